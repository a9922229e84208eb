// Ranks among which a pool is shared out, as computations see them.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

struct rank_group {
  /// What each rank gave, in the order of ranks. All ranks call it in the same order.
  std::function<std::vector<std::vector<std::byte>>(std::span<const std::byte> mine)> allgather;
  index_t pool_rows = 0;  ///< of all ranks; -1 where some numbers below the largest have no row
};

}  // namespace poolwise
