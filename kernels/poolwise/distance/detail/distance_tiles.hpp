// The canonical distances of many rows to many others, but for those that are proven to be far: faster than a
// matrix product.
#pragma once

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/narrow.hpp"

namespace poolwise {

/// A block of points meets the references panel by panel: products of narrowed rows (narrow.hpp) exclude pairs,
/// and the canonical distance of the others is taken. A thread works on a block of its own, so that threads
/// never wait for each other. Holds, for a block, its points in bytes or words.
class distance_tiles {
 public:
  /// Both must outlive this. `filter` is what every block begins with; to make one asks the CPU what it can.
  distance_tiles(matrix_view<const float> points, matrix_view<const float> references,
                 const pair_filter& filter = pair_filter(enough_references))
      : points_(points),
        references_(references),
        filter_(filter),
        least_(points.cols),
        origin_(std::size_t(points.cols)) {
    // Their mean, roughly: products of rows around it say the most.
    const index_t step = std::max<index_t>(1, references.rows / 256);
    const auto share = float((references.rows + step - 1) / step);
    for (index_t j = 0; j < references.rows; j += step)
      for (index_t c = 0; c < points.cols; ++c) origin_[std::size_t(c)] += references.row(j)[c] / share;
  }

  /// Points that a thread takes at a time: many, since the references are narrowed anew for each block.
  index_t block() const {
    const index_t fit = block_bytes / std::max<index_t>(1, points_.cols);
    return std::clamp(std::min(points_.rows / 32, fit), tile, largest_block) / tile * tile;
  }

  class block_of_points;

  // The lists of a block are still far from what they will be after a few references.
  static constexpr index_t enough_references = 1024;

 private:
  // The table of a tile and a panel stays in the cache.
  static constexpr index_t tile = 96, largest_block = 10 * tile, block_bytes = 4 << 20, at_once = 128;

  matrix_view<const float> points_, references_;
  pair_filter filter_;
  narrow_distance least_;
  std::vector<float> origin_;
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
        limit_(reach_.size()),
        table_(std::size_t(tile * narrow_panel::width)),
        open_(std::size_t(tile * narrow_panel::width)) {}

  /// For references first, ..., last - 1, in this order for each point: settled(i, j, d2) with the canonical
  /// distance of every pair that may be within reach(i, j); below 0 nothing is. What is settled may lower the
  /// reach, and so may a later j.
  template <class Reach, class Settled>
  void settle(index_t first, index_t last, Reach&& reach, Settled&& settled) {
    bool fresh = true;
    for (; first < last; first += narrow_panel::width) {
      const auto some = rows_between(of_.references_, first, std::min(last, first + narrow_panel::width));
      if (filter_.direct() || end_ - begin_ <= few_points) {
        settle_all(first, some, settled);
        continue;
      }
      if (fine_ != filter_.fine()) {
        narrow_points();
        fresh = true;
      }
      if (std::exchange(fresh, false))
        for (index_t i = begin_; i < end_; ++i) limit(i, reach(i, first));
      meet(first, some, reach, settled);
    }
  }

 private:
  // So few points do not repay the narrowing of the references.
  static constexpr index_t few_points = 8;

  static constexpr float infinity = std::numeric_limits<float>::infinity();

  void narrow_points() {
    fine_ = filter_.fine();
    tiles_.clear();
    part_.clear();
    for (index_t from = begin_; from < end_; from += tile) {
      narrow_rows& rows = tiles_.emplace_back(*fine_, of_.points_.cols, std::min(tile, end_ - from));
      for (index_t i = from; i < std::min(end_, from + tile); ++i) {
        rows.add(of_.points_.row(i), of_.origin_.data());
        part_.push_back(of_.least_.part(rows.facts().norm2[std::size_t(i - from)]));
      }
    }
    chunk_.emplace(*fine_, of_.points_.cols, narrow_panel::width);
  }

  void limit(index_t i, float reach) {
    const auto at = std::size_t(i - begin_);
    reach_[at] = reach;
    limit_[at] = reach < 0 ? -infinity : open_limit(part_[at], reach, of_.least_.underflow());
  }

  template <class Reach, class Settled>
  void meet(index_t first, matrix_view<const float> references, Reach&& reach, Settled&& settled) {
    chunk_->clear();
    for (index_t j = 0; j < references.rows; ++j) chunk_->add(references.row(j), of_.origin_.data());
    const narrow_panel panel(*chunk_);
    float base[narrow_panel::width];
    std::fill_n(base, narrow_panel::width, infinity);  // beyond the references
    for (index_t j = 0; j < references.rows; ++j)
      base[j] = open_base(of_.least_.part(panel.facts().norm2[std::size_t(j)]));
    index_t idle = 0, at = begin_;
    for (const narrow_rows& rows : tiles_) {
      narrow_products(rows, panel, table_.data());
      const index_t open =
          find_open_pairs({&rows, &panel, table_.data()}, base, limit_.data() + (at - begin_), open_.data());
      for (index_t from = 0; from < open; from += at_once)
        idle +=
            settle_some(at, first, references, {open_.data() + from, std::min(open - from, at_once)}, settled);
      index_t lowered = -1;
      for (index_t p = 0; p < open; ++p)
        if (const index_t i = open_[std::size_t(p)].row; i != std::exchange(lowered, i))
          limit(at + i, reach(at + i, first + references.rows));
      at += rows.rows();
    }
    filter_.count(*fine_, end_ - begin_, references.rows, idle);
  }

  /// Of a tile that begins with point `at`. Returns how many were out of reach.
  template <class Settled>
  index_t settle_some(index_t at, index_t first, matrix_view<const float> references,
                      vector_view<const narrow_pair> pairs, Settled&& settled) const {
    const float *one[at_once], *other[at_once];
    float d2[at_once];
    for (index_t p = 0; p < pairs.size; ++p) {
      one[p] = of_.points_.row(at + pairs[p].row);
      other[p] = references.row(pairs[p].place);
    }
    canonical_squared_distances({one, pairs.size}, other, of_.points_.cols, d2);
    index_t idle = 0;
    for (index_t p = 0; p < pairs.size; ++p) {
      const index_t i = at + pairs[p].row;
      idle += d2[p] > reach_[std::size_t(i - begin_)];
      settled(i, first + pairs[p].place, d2[p]);
    }
    return idle;
  }

  template <class Settled>
  void settle_all(index_t first, matrix_view<const float> references, Settled&& settled) const {
    float d2[narrow_panel::width];
    for (index_t i = begin_; i < end_; ++i) {
      canonical_squared_distances(references, of_.points_.row(i), d2);
      for (index_t j = 0; j < references.rows; ++j) settled(i, first + j, d2[j]);
    }
  }

  const distance_tiles& of_;
  index_t begin_, end_;
  pair_filter filter_;
  std::optional<grain> fine_;
  std::vector<narrow_rows> tiles_;
  std::vector<double> part_;          // of the points, in their squared distances
  std::vector<float> reach_, limit_;  // of the points, as they were last asked for
  std::optional<narrow_rows> chunk_;
  std::vector<float, line_allocator<float>> table_;
  std::vector<narrow_pair> open_;
};

}  // namespace poolwise
