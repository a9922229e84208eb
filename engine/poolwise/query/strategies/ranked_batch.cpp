#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/pool/unit_rows.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

/// Rows of length 1, whose squared distances are 2 less 2 cosines. One of zeros has a cosine of 0 to all.
struct directions {
  directions(cpu on, matrix_view<const float> rows) : values(unit_rows(on, rows)), cols(rows.cols) {
    for (index_t i = 0; i < rows.rows; ++i) {
      const auto first = values.begin() + i * cols;
      none.push_back(cols == 0 || std::isnan(*first));
      if (none.back() != 0) std::fill_n(first, cols, 0.0f);
    }
  }
  matrix_view<const float> view() const { return {values.data(), index_t(none.size()), cols}; }

  std::vector<float> values;
  index_t cols;
  std::vector<std::uint8_t> none;  // [rows] whether it is one of zeros
};

/// A batch of rows that are uncertain, and unlike what is labelled or picked.
class ranking {
 public:
  explicit ranking(const stage_input& x)
      : x_(x),
        left_(x.limit),
        score_(std::size_t(x.rows())),
        rows_(host_of(x.on), *x.pool.embeddings),
        unlike_(score_.size(), std::numeric_limits<float>::infinity()),
        now_(score_.size()),
        taken_(score_.size()),
        labelled_(double(x.labelled.rows)) {
    score_inner(x, {score_.data(), x.rows()});
    for (index_t i = 0; i < x.rows(); ++i) unlabelled_ += is_barred(i) ? 0 : 1;
    if (x.labelled.rows > 0) meet_labelled();
  }

  index_t picks_left() const { return left_.picks(); }

  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    squared_distances(x_.on, rows_.view(), {rows_.view().row(row), rows_.cols}, {now_.data(), x_.rows()});
    meet(rows_.none[std::size_t(row)] != 0);
    --unlabelled_;
    ++labelled_;
  }

  /// The row of highest alpha (1 - cosine to the nearest) + (1 - alpha) score; of no labelled row, that of the
  /// highest mean cosine to all. Its row is -1 where none is allowed.
  candidate next() {
    std::vector<float>& value = now_;
    if (labelled_ == 0) {
      const matrix_view<const float> rows = *x_.pool.embeddings;
      const std::vector<double> mean =
          mean_direction(host_of(x_.on), rows, [&](index_t i) { return !is_barred(i); });
      parallel_blocks(host_of(x_.on), x_.rows(), 256, [&](index_t, index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) value[std::size_t(i)] = float(mean_cosine(rows.row(i), mean));
      });
    } else {
      const double alpha = unlabelled_ / (unlabelled_ + labelled_);
      for (std::size_t i = 0; i < value.size(); ++i)
        value[i] = float(alpha * double(unlike_[i]) + (1 - alpha) * double(score_[i]));
    }
    candidate found;
    for (index_t i = 0; i < x_.rows(); ++i) {
      const candidate c{i, value[std::size_t(i)]};
      if (taken_[std::size_t(i)] == 0 && (found.row < 0 || before(c, found)) && left_.eligible(i)) found = c;
    }
    return found;
  }

 private:
  bool is_barred(index_t i) const { return !x_.limit.barred.empty() && x_.limit.barred[i] != 0; }

  void meet_labelled() {
    const cpu host = host_of(x_.on);
    const directions labelled(host, x_.labelled);
    std::vector<index_t> with_one;
    for (index_t i = 0; i < x_.labelled.rows; ++i)
      if (labelled.none[std::size_t(i)] == 0) with_one.push_back(i);
    if (index_t(with_one.size()) < x_.labelled.rows) meet(true);
    if (with_one.empty()) return;
    const std::vector<float> some = gather(host, labelled.view(), with_one);
    const matrix_view<const float> references{some.data(), index_t(with_one.size()), rows_.cols};
    now_ = distances_to(x_.on, finite_rows::judged(rows_.view()), finite_rows::judged(references));
    meet(false);
  }

  /// Takes in the squared distances in `now_`, or a cosine of 0 to all.
  void meet(bool to_none) {
    for (std::size_t i = 0; i < unlike_.size(); ++i)
      unlike_[i] = std::min(unlike_[i], to_none || rows_.none[i] != 0 ? 1.0f : 0.5f * now_[i]);
  }

  const stage_input& x_;
  remaining left_;
  std::vector<float> score_;
  directions rows_;
  std::vector<float> unlike_, now_;  // 1 less the cosine to the nearest; squared distances, or values
  std::vector<std::uint8_t> taken_;
  double unlabelled_ = 0, labelled_;
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<ranking>("ranked_batch", x, run);
}

std::uint64_t bytes(const strategy_size& size) {
  return (size.rows + 2 * size.labelled) * (size.features * sizeof(float) + 1) +
         size.rows * (3 * sizeof(float) + 1) + mean_direction_bytes(size.features);
}

}  // namespace

std::vector<strategy_entry> strategies_of_ranked_batch() {
  return {{.name = "ranked_batch",
           .kind = "diversity",
           .formula = "a (1 - max cos to labelled or picked) + (1 - a) score, a = unlabelled / all rows",
           .source = "Cardoso et al. 2017",
           .on_devices = "score, distances",
           .needs = part::embeddings,
           .does = trait::takes_score | trait::counts_labelled,
           .aliases = {"rankedbatchmode"},
           .pick = pick,
           .reason = "uncertain, and unlike labelled and picked rows",
           .bytes = bytes}};
}

}  // namespace poolwise
