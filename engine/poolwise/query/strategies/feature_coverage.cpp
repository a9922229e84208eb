#include <algorithm>
#include <cmath>
#include <vector>

#include "poolwise/query/detail/one_by_one.hpp"

namespace poolwise {
namespace {

/// f(A) = sum_f sqrt(sum_{a in A} max(0, x_af)).
class feature_coverage {
 public:
  explicit feature_coverage(const stage_input& x)
      : rows_(*x.pool.embeddings), sums_(std::size_t(rows_.cols), 0.0), roots_(sums_.size(), 0.0) {
    for (index_t i = 0; i < x.labelled.rows; ++i) add(x.labelled.row(i));
  }

  /// sqrt(s + v) - sqrt(s) as v / (sqrt(s + v) + sqrt(s)), which never rises with s.
  double gain(index_t row) const {
    const float* const values = rows_.row(row);
    double sum = 0;
    for (index_t f = 0; f < rows_.cols; ++f) {
      const auto value = double(values[f]);
      if (value > 0) sum += value / (std::sqrt(sums_[std::size_t(f)] + value) + roots_[std::size_t(f)]);
    }
    return sum;
  }

  void take(index_t row) { add(rows_.row(row)); }

 private:
  void add(const float* values) {
    for (std::size_t f = 0; f < sums_.size(); ++f) {
      sums_[f] += std::max(0.0, double(values[f]));
      roots_[f] = std::sqrt(sums_[f]);
    }
  }

  matrix_view<const float> rows_;
  std::vector<double> sums_, roots_;  // [features]
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<largest_gain<feature_coverage>>("feature_coverage", x, run);
}

}  // namespace

std::vector<strategy_entry> strategies_of_feature_coverage() {
  return {{.name = "feature_coverage",
           .kind = "diversity",
           .formula = "max sum_f sqrt(sum_{picked or labelled a} max(0, x_af)), f of the features",
           .source = "Lin & Bilmes 2011; Wei et al. 2014",
           .on_devices = "none",
           .needs = part::embeddings,
           .does = trait::counts_labelled,
           .aliases = {"featurebased"},
           .pick = pick,
           .reason = "most of features that labelled and picked rows lack",
           .worth = total_gain,
           .bytes = [](const strategy_size& size) {
             return largest_gain_bytes(size.rows) + size.features * 2 * sizeof(double);
           }}};
}

}  // namespace poolwise
