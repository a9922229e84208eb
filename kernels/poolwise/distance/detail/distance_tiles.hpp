// Squared distances of many rows with many others, near enough to exclude pairs, as fast as a matrix product.
#pragma once

#include <algorithm>
#include <vector>

#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/dot_table.hpp"
#include "poolwise/distance/detail/error_bound.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {

/// A block of points meets the references chunk by chunk. A thread works on a block of its own, so that threads
/// never wait for each other. Holds 4 B a reference and, for a block, its points and a chunk.
class distance_tiles {
 public:
  /// Both must outlive this.
  distance_tiles(cpu on, matrix_view<const float> points, matrix_view<const float> references)
      : points_(points), references_(references), norm2_(std::size_t(references.rows)) {
    const index_t row_bytes = std::max<index_t>(1, points.cols) * index_t(sizeof(float));
    // A tile, a chunk and their table stay in an L2 cache of 1 MiB.
    tile_ = std::clamp(192 * 1024 / row_bytes / left_group * left_group, left_group, most_tile);
    chunk_ = std::clamp(384 * 1024 / row_bytes / right_group * right_group, right_group, most_chunk);
    squared_norms(on, references, {norm2_.data(), references.rows});
  }

  /// Points that a thread takes at a time.
  index_t block() const { return 4 * tile_; }
  static constexpr index_t most_chunk = 256;

  /// For points begin, ..., end - 1, at most a block, and the references from `first` on, calls
  ///     visit(point, reference, count, d2, slack)
  /// where d2[j], j < count <= most_chunk, is within slack of the canonical distance to reference + j. Where
  /// slack is infinite, d2 means nothing and may be NaN.
  template <class Visit>
  void visit(index_t begin, index_t end, index_t first, Visit&& visit) const {
    const auto block = rows_between(points_, begin, end);
    std::vector<float> norm2(std::size_t(block.rows));
    canonical_squared_norms(block, norm2.data());
    std::vector<packed_rows> tiles;
    for (index_t from = 0; from < block.rows; from += tile_) {
      const index_t to = std::min(block.rows, from + tile_);
      tiles.emplace_back(points_.cols, to - from, left_group);
      for (index_t i = from; i < to; ++i) tiles.back().add(block.row(i));
    }
    packed_rows chunk(points_.cols, std::min(chunk_, references_.rows - first), right_group);
    std::vector<float> table(std::size_t(tile_ * chunk_));
    for (; first < references_.rows; first += chunk.rows()) {
      chunk.clear();
      for (index_t j = first; j < std::min(references_.rows, first + chunk_); ++j)
        chunk.add(references_.row(j));
      const float* const of_chunk = norm2_.data() + first;
      const error_bound bound(points_.cols, *std::max_element(of_chunk, of_chunk + chunk.rows()));
      index_t i = 0;
      for (const packed_rows& tile : tiles) {
        dot_table(tile, chunk, table.data(), chunk_);
        for (float* d2 = table.data(); d2 != table.data() + tile.rows() * chunk_; d2 += chunk_, ++i) {
          for (index_t j = 0; j < chunk.rows(); ++j) d2[j] = norm2[std::size_t(i)] + of_chunk[j] - 2 * d2[j];
          visit(begin + i, first, chunk.rows(), static_cast<const float*>(d2), bound.of(norm2[std::size_t(i)]));
        }
      }
    }
  }

 private:
  static constexpr index_t most_tile = 96;

  matrix_view<const float> points_, references_;
  std::vector<float> norm2_;  // of the references
  index_t tile_, chunk_;
};

/// Of the references that distance_tiles shows to a point, calls settled(reference, d2) with the canonical
/// distance for all that may be within `reach`, ascending.
template <class Settled>
void settle_pairs(const float* point, matrix_view<const float> references, index_t first, index_t count,
                  const float* near_d2, double slack, float reach, Settled&& settled) {
  const double within = double(reach) + slack;
  const bool all = !(within < 0x1p127);
  // Not below `within`, in fp32.
  const float most = all ? 0 : float(within) + (float(within) * 0x1p-22f + 0x1p-149f);
  const float* row[distance_tiles::most_chunk];
  index_t which[distance_tiles::most_chunk], open = 0;
  for (index_t j = 0; j < count; ++j) {
    which[open] = first + j;
    open += all || near_d2[j] <= most;
  }
  if (open == 0) return;
  float d2[distance_tiles::most_chunk];
  for (index_t p = 0; p < open; ++p) row[p] = references.row(which[p]);
  canonical_squared_distances(point, {row, open}, references.cols, d2);
  for (index_t p = 0; p < open; ++p) settled(which[p], d2[p]);
}

}  // namespace poolwise
