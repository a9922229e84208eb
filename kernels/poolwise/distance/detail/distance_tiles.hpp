// The canonical distances of many rows to many others, but for those that are proven to be far: as fast as a
// matrix product.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/dot_table.hpp"
#include "poolwise/distance/detail/error_bound.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {

/// A block of points meets the references chunk by chunk: |x|^2 + |y|^2 - 2 x.y, made by dot_table, excludes
/// pairs, and the canonical distance of the others is taken. A thread works on a block of its own, so that
/// threads never wait for each other. Holds 4 B a reference and, for a block, copies of its points and of a
/// chunk.
class distance_tiles {
 public:
  /// Both must outlive this.
  distance_tiles(cpu on, matrix_view<const float> points, matrix_view<const float> references)
      : points_(points),
        references_(references),
        norm2_(std::size_t(references.rows + most_chunk), std::numeric_limits<float>::infinity()) {
    const index_t row_bytes = std::max<index_t>(1, points.cols) * index_t(sizeof(float));
    // A tile, a chunk and their table stay in an L2 cache of 1 MiB.
    tile_ = std::clamp(192 * 1024 / row_bytes / left_group * left_group, left_group, most_tile);
    chunk_ = std::clamp(384 * 1024 / row_bytes / step * step, step, most_chunk);
    squared_norms(on, references, {norm2_.data(), references.rows});
  }

  /// Points that a thread takes at a time.
  index_t block() const { return 4 * tile_; }

  /// For points begin, ..., end - 1, at most a block, and the references from `first` on: settled(i, j, d2)
  /// with the canonical distance of every pair that may be within reach(i), which is 0 or more and is asked for
  /// again for every chunk. For each point the references come in ascending order.
  template <class Reach, class Settled>
  void settle(index_t begin, index_t end, index_t first, Reach&& reach, Settled&& settled) const {
    const auto block = rows_between(points_, begin, end);
    std::vector<float> norm2(std::size_t(block.rows));
    canonical_squared_norms(block, norm2.data());
    std::vector<packed_rows> tiles;
    for (index_t from = 0; from < block.rows; from += tile_) {
      const index_t to = std::min(block.rows, from + tile_);
      tiles.emplace_back(points_.cols, to - from, left_group);
      for (index_t i = from; i < to; ++i) tiles.back().add(block.row(i));
    }
    packed_rows chunk(points_.cols, chunk_, right_group);
    std::vector<float> products(std::size_t(tile_ * chunk_));
    for (; first < references_.rows; first += chunk.rows()) {
      chunk.clear();
      for (index_t j = first; j < std::min(references_.rows, first + chunk_); ++j)
        chunk.add(references_.row(j));
      const float* const of_chunk = norm2_.data() + first;
      const error_bound bound(points_.cols, *std::max_element(of_chunk, of_chunk + chunk.rows()));
      index_t i = 0;
      for (const packed_rows& tile : tiles) {
        dot_table(tile, chunk, products.data(), chunk_);
        for (index_t of_tile = 0; of_tile < tile.rows(); ++of_tile, ++i) {
          const float norm2_i = norm2[std::size_t(i)];
          settle_row(begin + i, norm2_i, first, chunk.rows(), products.data() + of_tile * chunk_,
                     double(reach(begin + i)) + bound.of(norm2_i), settled);
        }
      }
    }
  }

 private:
  static constexpr index_t most_tile = 96, most_chunk = 256, step = 16;

  template <class Settled>
  void settle_row(index_t i, float norm2, index_t first, index_t count, const float* product, double within,
                  Settled&& settled) const {
    index_t open[most_chunk], found = 0;
    if (within < 0x1p127) {
      const float most = float(within) + (float(within) * 0x1p-22f + 0x1p-149f);  // not below it
      const float* const of = norm2_.data() + first;
      for (index_t from = 0; from < count; from += step) {
        int any = 0;  // beyond the references the norm is infinite
        for (index_t j = from; j < from + step; ++j) any |= int(norm2 + of[j] - 2 * product[j] <= most);
        if (any == 0) continue;
        for (index_t j = from; j < from + step; ++j)
          if (norm2 + of[j] - 2 * product[j] <= most) open[found++] = j;
      }
    } else {
      while (found < count) {
        open[found] = found;
        ++found;
      }
    }
    if (found == 0) return;
    const float* other[most_chunk];
    float d2[most_chunk];
    for (index_t n = 0; n < found; ++n) other[n] = references_.row(first + open[n]);
    canonical_squared_distances(points_.row(i), {other, found}, points_.cols, d2);
    for (index_t n = 0; n < found; ++n) settled(i, first + open[n], d2[n]);
  }

  matrix_view<const float> points_, references_;
  std::vector<float> norm2_;  // of the references, and infinity beyond
  index_t tile_, chunk_;
};

}  // namespace poolwise
