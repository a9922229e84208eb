// Canonical dot products of all rows of a matrix with some of them, tile by tile.
#pragma once

#include <omp.h>

#include <algorithm>
#include <vector>

#include "poolwise/core/parallel.hpp"
#include "poolwise/distance/detail/dot_table.hpp"

namespace poolwise {

/// The rows of a tile and the centres that it meets at a time.
struct tile_size {
  static constexpr index_t tallest = 96, widest = 256, step = 16;

  index_t height = tallest;  ///< a multiple of left_group
  index_t width = widest;    ///< a multiple of `step`

  /// For rows of so many columns: both sides and their table stay in an L2 cache of 1 MiB.
  static tile_size fitting(index_t cols) {
    const index_t row = std::max<index_t>(1, cols) * index_t(sizeof(float));
    return {std::clamp(192 * 1024 / row / left_group * left_group, left_group, tallest),
            std::clamp(384 * 1024 / row / step * step, step, widest)};
  }
};

/// Some rows of a matrix, the centres, in chunks that stay in the cache while tiles of rows pass by.
class dot_tiles {
 public:
  /// `points` must outlive this.
  dot_tiles(matrix_view<const float> points, const std::vector<index_t>& centers, tile_size size)
      : points_(points), size_(size) {
    const auto count = index_t(centers.size());
    for (index_t begin = 0; begin < count; begin += size.width) {
      const index_t end = std::min(count, begin + size.width);
      chunks_.emplace_back(points.cols, end - begin, right_group);
      for (index_t j = begin; j < end; ++j) chunks_.back().add(points.row(centers[std::size_t(j)]));
    }
  }

  index_t chunks() const { return index_t(chunks_.size()); }
  index_t count(index_t chunk) const { return chunks_[std::size_t(chunk)].rows(); }

  /// A thread's room for one tile.
  class scratch {
   public:
    explicit scratch(const dot_tiles& of)
        : rows_(of.points_.cols, std::min(of.size_.height, of.points_.rows), left_group),
          table_(std::size_t(of.size_.height * (of.chunks_.empty() ? 0 : of.stride(0)))) {}

   private:
    friend class dot_tiles;
    packed_rows rows_;
    std::vector<float> table_;
  };

  /// Rows begin, ..., end - 1, at most a tile of them, into `room`.
  void load(index_t begin, index_t end, scratch& room) const {
    room.rows_.clear();
    for (index_t i = begin; i < end; ++i) room.rows_.add(points_.row(i));
  }

  /// The products of the loaded rows with a chunk's centres: [rows, stride]. Beyond count(chunk) they
  /// are finite if all are, and mean nothing.
  const float* products(index_t chunk, scratch& room) const {
    dot_table(room.rows_, chunks_[std::size_t(chunk)], room.table_.data(), stride(chunk));
    return room.table_.data();
  }
  index_t stride(index_t chunk) const {
    return (count(chunk) + tile_size::step - 1) / tile_size::step * tile_size::step;
  }

 private:
  matrix_view<const float> points_;
  tile_size size_;
  std::vector<packed_rows> chunks_;
};

/// Room for every thread.
template <class Scratch>
class per_thread {
 public:
  per_thread(cpu on, const Scratch& first) : room_(std::size_t(threads_of(on)), first) {}
  const std::vector<Scratch>& all() const { return room_; }
  Scratch& mine() { return room_[std::size_t(omp_get_thread_num())]; }

 private:
  std::vector<Scratch> room_;
};

}  // namespace poolwise
