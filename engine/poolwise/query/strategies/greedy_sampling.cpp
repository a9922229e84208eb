#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

/// In which space rows are to lie far from what has a label.
enum class space { features, outputs, both };

const char* name_of(space in) { return in == space::features ? "gsx" : in == space::outputs ? "gsy" : "igs"; }

/// The mean over members of the one output of every row.
std::vector<double> mean_output(const char* call, cube_view<const float> predictions) {
  if (predictions.cols != 1 || predictions.members < 1)
    throw shape_error(std::string(call) + ": predictions is [" + std::to_string(predictions.members) + ", " +
                      std::to_string(predictions.rows) + ", " + std::to_string(predictions.cols) +
                      "], and labels are one number a row; pass at least one member, and one output");
  std::vector<double> mean(std::size_t(predictions.rows), 0.0);
  for (index_t m = 0; m < predictions.members; ++m)
    for (index_t i = 0; i < predictions.rows; ++i) mean[std::size_t(i)] += double(predictions.member(m)(i, 0));
  for (double& one : mean) one /= double(predictions.members);
  return mean;
}

/// A batch of rows each of which is far from all labelled and picked ones. A pick's output is what is
/// predicted.
template <space In>
class greedy_sampling {
 public:
  explicit greedy_sampling(const stage_input& x)
      : x_(x),
        left_(x.limit),
        apart_(std::size_t(x.rows()), std::numeric_limits<float>::infinity()),
        now_(apart_.size()),
        taken_(apart_.size()) {
    if (In != space::features) output_ = mean_output(name_of(In), *x.pool.predictions);
    for (index_t i = 0; i < x.labelled.rows; ++i) {
      const float label = x.labels.empty() ? std::numeric_limits<float>::quiet_NaN() : x.labels[i];
      if (In != space::features && !(label == label)) continue;
      if (In != space::features && !std::isfinite(label))
        throw value_error(std::string(name_of(In)) + ": the label of labelled row number " + std::to_string(i) +
                          " is not finite; give what was measured, or NaN where nobody knows it");
      meet({x.labelled.row(i), x.labelled.cols}, double(label));
    }
  }

  index_t picks_left() const { return left_.picks(); }

  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    const matrix_view<const float> points = *x_.pool.embeddings;
    meet({points.row(row), points.cols}, In == space::features ? 0 : output_[std::size_t(row)]);
  }

  /// The row that is farthest from the nearest; of none, the row nearest to the mean of all. Its row is -1
  /// where none is allowed.
  candidate next() {
    if (!met_) return central();
    candidate found;
    for (index_t i = 0; i < x_.rows(); ++i) consider({i, apart_[std::size_t(i)]}, found);
    return found;
  }

 private:
  void consider(const candidate& c, candidate& found) const {
    if (taken_[std::size_t(c.row)] == 0 && (found.row < 0 || before(c, found)) && left_.eligible(c.row))
      found = c;
  }

  /// Takes in the distances to a row that has a label, or is about to.
  void meet(vector_view<const float> place, double output) {
    met_ = true;
    if (In != space::outputs) squared_distances(x_.on, *x_.pool.embeddings, place, {now_.data(), x_.rows()});
    parallel_blocks(host_of(x_.on), x_.rows(), 4096, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        double apart = In == space::outputs ? 1 : std::sqrt(double(now_[std::size_t(i)])) / x_.unit;
        if (In != space::features) apart *= std::abs(output_[std::size_t(i)] - output);
        apart_[std::size_t(i)] = std::min(apart_[std::size_t(i)], float(apart));
      }
    });
  }

  candidate central() {
    const matrix_view<const float> points = *x_.pool.embeddings;
    std::vector<double> mean(std::size_t(points.cols), 0.0);
    double rows = 0;
    for (index_t i = 0; i < points.rows; ++i) {
      if (!x_.limit.barred.empty() && x_.limit.barred[i] != 0) continue;
      ++rows;
      for (index_t f = 0; f < points.cols; ++f) mean[std::size_t(f)] += double(points(i, f));
    }
    std::vector<float> center;
    for (const double sum : mean) center.push_back(float(sum / rows));
    squared_distances(x_.on, points, {center.data(), points.cols}, {now_.data(), x_.rows()});
    candidate found;
    for (index_t i = 0; i < x_.rows(); ++i) consider({i, -now_[std::size_t(i)]}, found);
    found.score = std::numeric_limits<float>::infinity();
    return found;
  }

  const stage_input& x_;
  remaining left_;
  std::vector<float> apart_, now_;  // from the nearest; squared distances to one
  std::vector<double> output_;
  std::vector<std::uint8_t> taken_;
  bool met_ = false;  // whether anything has a label
};

template <space In>
std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<greedy_sampling<In>>(name_of(In), x, run);
}

std::uint64_t bytes(const strategy_size& size) {
  return size.rows * (2 * sizeof(float) + sizeof(double) + 1) + size.features * 12;
}

strategy_entry entry_of(const char* name, const char* formula, parts needs) {
  return {.name = name,
          .kind = "diversity",
          .formula = formula,
          .source = "Wu, Lin & Huang 2019",
          .on_devices = "distances",
          .needs = needs,
          .does = trait::counts_labelled,
          .reason = "far from labelled and picked rows",
          .bytes = bytes};
}

}  // namespace

/// For regression. d is the distance of features, D that of outputs: of a label, or of a pick's prediction.
std::vector<strategy_entry> strategies_of_greedy_sampling() {
  const parts both = part::embeddings | part::predictions | part::labels;
  strategy_entry gsx = entry_of("gsx", "min_j d_ij, j labelled or picked; of none, nearest to the mean row",
                                part::embeddings),
                 gsy = entry_of(
                     "gsy", "min_j D_ij, D the distance of the prediction from j's label or prediction", both),
                 igs = entry_of("igs", "min_j d_ij D_ij, d the distance of features, D that of outputs", both);
  gsx.pick = pick<space::features>;
  gsy.pick = pick<space::outputs>;
  igs.pick = pick<space::both>;
  gsx.aliases = {"greedysamplingx"};
  gsy.aliases = {"greedysamplingy"};
  igs.aliases = {"greedysampling", "improvedgreedysampling"};
  return {gsx, gsy, igs};
}

}  // namespace poolwise
