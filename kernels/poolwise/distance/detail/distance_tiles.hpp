// The canonical distances of many rows to many others, but for those that are proven to be far: faster than a
// matrix product.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/pair_sweep.hpp"

namespace poolwise {

/// A block of points meets the references panel by panel (pair_sweep.hpp). A thread works on a block of its
/// own, so that threads never wait for each other. It holds the points of its block in bytes or words.
class distance_tiles {
 public:
  /// Both must outlive this. Every block begins with `filter`; to make one asks the CPU for its instructions.
  distance_tiles(matrix_view<const float> points, matrix_view<const float> references,
                 const pair_filter& filter = pair_filter(enough_references))
      : points_(points),
        references_(references),
        filter_(filter),
        pairs_(points, references, rough_mean(references)) {}

  /// Points that a thread takes at a time: many, since the references are quantised anew for each block.
  index_t block() const {
    const index_t fit = block_bytes / std::max<index_t>(1, points_.cols);
    return std::clamp(std::min(points_.rows / 32, fit), tile, largest_block) / tile * tile;
  }

  class block_of_points;

  // The lists of a block are still far from what they will be after a few references.
  static constexpr index_t enough_references = 1024;

 private:
  // The table of a tile and a panel stays in the cache.
  static constexpr index_t tile = 96, largest_block = 10 * tile, block_bytes = 4 << 20;

  /// Products of rows around it say the most.
  static std::vector<float> rough_mean(matrix_view<const float> references) {
    std::vector<float> mean(std::size_t(references.cols));
    const index_t step = std::max<index_t>(1, references.rows / 256);
    const auto share = float((references.rows + step - 1) / step);
    for (index_t j = 0; j < references.rows; j += step)
      for (index_t c = 0; c < references.cols; ++c) mean[std::size_t(c)] += references.row(j)[c] / share;
    return mean;
  }

  matrix_view<const float> points_, references_;
  pair_filter filter_;
  plain_pairs pairs_;
};

/// Points begin, ..., end - 1, at most a block.
class distance_tiles::block_of_points {
 public:
  block_of_points(const distance_tiles& of, index_t begin, index_t end)
      : of_(of),
        begin_(begin),
        end_(end),
        filter_(of.filter_),
        reach_(std::size_t(end - begin)),
        sweep_(of.pairs_, tile) {}

  /// For references first, ..., last - 1, in this order for each point: decided(i, j, d2) with the canonical
  /// distance of every pair that may be within reach(i, j); below 0 none is. `decided` may lower the reach, and
  /// so may a later j.
  template <class Reach, class Decided>
  void decide(index_t first, index_t last, Reach&& reach, Decided&& decided) {
    bool fresh = true;
    for (; first < last; first += quantised_panel::width) {
      const index_t next = std::min(last, first + quantised_panel::width);
      if (filter_.direct() || end_ - begin_ <= few_points) {
        decide_all(first, next, decided);
        continue;
      }
      if (fine_ != filter_.fine()) {
        quantise_points();
        fresh = true;
      }
      if (std::exchange(fresh, false))
        for (auto& rows : tiles_)
          for (index_t i = 0; i < rows.count(); ++i)
            rows.limit(of_.pairs_, i, reached(rows.id(i), first, reach));
      meet(first, next, reach, decided);
    }
  }

 private:
  // So few points do not repay the quantising of the references.
  static constexpr index_t few_points = 8;

  void quantise_points() {
    fine_ = filter_.fine();
    tiles_.clear();
    for (index_t from = begin_; from < end_; from += tile) {
      const index_t count = std::min(tile, end_ - from);
      tiles_.emplace_back(of_.pairs_, *fine_, count).load(of_.pairs_, count, [from](index_t i) {
        return from + i;
      });
    }
    some_.emplace(of_.pairs_, side::references, *fine_, quantised_panel::width);
  }

  template <class Reach>
  float reached(index_t i, index_t j, Reach&& reach) {
    return reach_[std::size_t(i - begin_)] = reach(i, j);
  }

  template <class Reach, class Decided>
  void meet(index_t first, index_t next, Reach&& reach, Decided&& decided) {
    some_->load(of_.pairs_, next - first, [first](index_t j) { return first + j; });
    const reference_panel<plain_pairs> panel(*some_);
    index_t idle = 0;
    for (auto& rows : tiles_)
      idle += sweep_.meet(
          rows, panel, [&](index_t i) { return reached(i, next, reach); },
          [&](index_t i, index_t j, float d2) {
            decided(i, j, d2);
            return d2 <= reach_[std::size_t(i - begin_)];
          });
    filter_.count(*fine_, end_ - begin_, next - first, idle);
  }

  template <class Decided>
  void decide_all(index_t first, index_t next, Decided&& decided) const {
    const auto references = rows_between(of_.references_, first, next);
    float d2[quantised_panel::width];
    for (index_t i = begin_; i < end_; ++i) {
      canonical_squared_distances(references, of_.points_.row(i), d2);
      for (index_t j = 0; j < references.rows; ++j) decided(i, first + j, d2[j]);
    }
  }

  const distance_tiles& of_;
  index_t begin_, end_;
  pair_filter filter_;
  std::optional<grain> fine_;
  std::vector<row_tile<plain_pairs>> tiles_;
  std::optional<quantised_tile<plain_pairs>> some_;  // the references at hand
  std::vector<float> reach_;                         // of the points, as they were last asked for
  pair_sweep<plain_pairs> sweep_;
};

}  // namespace poolwise
