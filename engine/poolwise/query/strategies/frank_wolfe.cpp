#include <algorithm>
#include <cmath>
#include <vector>

#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"

namespace poolwise {
namespace {

/// A point among the rows, each scaled to the sum of all lengths, that goes to the sum of all rows: each pick
/// is the row of the steepest way, and the step is that by which the point comes nearest.
class approach {
 public:
  explicit approach(const stage_input& x)
      : on_(host_of(x.on)),
        rows_(*x.pool.embeddings),
        scales_(std::size_t(rows_.rows), 0.0),
        values_(scales_.size()),
        place_(std::size_t(rows_.cols), 0.0) {
    const auto counts = [&](index_t i) { return !is_barred(x, i); };
    way_ = mean_row(on_, rows_, counts);
    for (index_t i = 0; i < rows_.rows; ++i) {
      if (!counts(i)) continue;
      rows_that_count_ += 1;
      scales_[std::size_t(i)] = inverse_length(rows_.row(i), rows_.cols);
      if (scales_[std::size_t(i)] > 0) lengths_ += 1 / scales_[std::size_t(i)];
    }
    for (double& value : way_) value *= rows_that_count_;
  }

  vector_view<const float> values() {
    parallel_blocks(on_, rows_.rows, 256, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        values_[std::size_t(i)] =
            float(scales_[std::size_t(i)] * row_dot(rows_.row(i), way_.data(), rows_.cols));
    });
    return {values_.data(), rows_.rows};
  }

  void take(index_t row) {
    std::vector<double> corner;
    double along = 0, squares = 0;
    for (index_t f = 0; f < rows_.cols; ++f) {
      corner.push_back(lengths_ * scales_[std::size_t(row)] * double(rows_(row, f)));
      const double off = corner.back() - place_[std::size_t(f)];
      along += off * way_[std::size_t(f)];
      squares += off * off;
    }
    const double step = squares > 0 ? along / squares : 0;
    for (std::size_t f = 0; f < place_.size(); ++f) {
      const double moved = step * (corner[f] - place_[f]);
      place_[f] += moved;
      way_[f] -= moved;
    }
  }

 private:
  cpu on_;
  matrix_view<const float> rows_;
  std::vector<double> scales_;  // [rows] 1 over their lengths
  std::vector<float> values_;
  std::vector<double> place_, way_;  // [features] the point, and from it to the sum of all rows
  double rows_that_count_ = 0, lengths_ = 0;
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<largest_value<approach>>("frank_wolfe", x, run);
}

}  // namespace

std::vector<strategy_entry> strategies_of_frank_wolfe() {
  return {{.name = "frank_wolfe",
           .kind = "diversity",
           .formula = "max cos(x, sum of rows - w), w -> (1 - g) w + g (sum of lengths) x / |x|, best g",
           .source = "Pinsler et al. 2019; Holzmueller et al. 2023",
           .on_devices = "none",
           .needs = part::embeddings,
           .aliases = {"fw", "acsfw"},
           .pick = pick,
           .reason = "brings the picks' weighted sum nearest to that of all rows",
           .bytes = [](const strategy_size& size) {
             return size.rows * (sizeof(double) + sizeof(float) + 1) + mean_direction_bytes(size.features) +
                    size.features * 4 * sizeof(double);
           }}};
}

}  // namespace poolwise
