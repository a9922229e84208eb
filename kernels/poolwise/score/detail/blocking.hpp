// How the rows of model outputs are handed out to threads.
#pragma once

#include <algorithm>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// The rows of a tile: the lanes of the widest vector, a multiple of those of every target.
inline constexpr index_t tile_rows = 16;

/// Whole tiles that read about 256 KiB of fp32: far more work than handing the block out. Fours of tiles where
/// there is room, for narrow rows are taken so.
inline index_t rows_per_block(index_t cols) {
  const index_t rows = 65536 / cols, whole = rows < 4 * tile_rows ? tile_rows : 4 * tile_rows;
  return std::max(tile_rows, rows / whole * whole);
}

}  // namespace poolwise
