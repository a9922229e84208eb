// How a pass over a pool is cut into tiles.
#pragma once

#include <omp.h>

#include <algorithm>
#include <vector>

#include "poolwise/core/parallel.hpp"
#include "poolwise/distance/detail/narrow.hpp"

namespace poolwise {

/// Rows that meet all centres together, while they are in the cache.
struct tile_size {
  static constexpr index_t tallest = 96;

  /// Of so many columns: such rows, narrowed ones and a panel of centres stay in an L2 cache of 1 MiB.
  static index_t height_for(index_t cols) {
    const index_t row = std::max<index_t>(1, cols) * index_t(sizeof(float));
    return std::clamp(384 * 1024 / row / narrow_step * narrow_step, narrow_step, tallest);
  }
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
