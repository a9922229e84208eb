// The canonical sums of a tile: a block of 256 threads takes 64 rows and 16 centres, a warp 8 rows, a thread 4
// rows by 4 centres and, of each pair, four of the sixteen partial sums.
#pragma once

#include "poolwise/distance/detail/canonical_tree.cuh"
#include "poolwise/distance/distance.hpp"

namespace poolwise {

inline constexpr int tile_threads = 256;
inline constexpr int tile_rows = 64, tile_centers = 16, tile_cols = 32;
inline constexpr int tile_pitch = tile_cols + 4;  // rows four apart lie in different banks

/// Some columns of a tile in shared memory.
struct tile_room {
  __align__(16) float x[tile_rows][tile_pitch];
  __align__(16) float y[tile_centers][tile_pitch];
};

/// A thread's place in a tile.
struct tile_place {
  int quad = int(threadIdx.x % 4);                                       ///< which four of the partial sums
  int center = int(threadIdx.x / 4 % 4) * 4;                             ///< its first centre
  int row = int(threadIdx.x / 32) * 8 + int(threadIdx.x % 32 / 16) * 4;  ///< its first row
};

/// By row, centre and partial sum.
using tile_sums = float[4][4][4];

/// Adds the columns s, ..., s + 15 of those in shared memory.
template <class Pair>
__device__ __forceinline__ void add_columns(const tile_room& room, const tile_place& at, int s,
                                            tile_sums& sum) {
  float4 b[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) b[j] = *reinterpret_cast<const float4*>(&room.y[at.center + j][s + at.quad * 4]);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float4 a = *reinterpret_cast<const float4*>(&room.x[at.row + i][s + at.quad * 4]);
#pragma unroll
    for (int j = 0; j < 4; ++j) add_quad<Pair>(a, b[j], sum[i][j]);
  }
}

/// One level of the tree: a thread keeps one of two sums and gets the other half of it from the thread `bit`
/// lanes away, to which it hands over the other.
__device__ __forceinline__ float join_half(int quad, int bit, float lower, float upper) {
  const float keep = quad & bit ? upper : lower, give = quad & bit ? lower : upper;
  return keep + from_lane_xor(give, bit);
}

/// The whole sums of this thread's row at.row + at.quad with its four centres. Partial sums j and j + 8, then j
/// + 4, lie in different threads: each of the four hands over the rows of the others.
__device__ __forceinline__ void fold_tile(tile_sums& sum, const tile_place& at, float (&total)[4]) {
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int p = 0; p < 4; ++p) sum[i][j][p] = join_half(at.quad, 2, sum[i][j][p], sum[i + 2][j][p]);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    float four[4];
#pragma unroll
    for (int p = 0; p < 4; ++p) four[p] = join_half(at.quad, 1, sum[0][j][p], sum[1][j][p]);
    total[j] = (four[0] + four[2]) + (four[1] + four[3]);
  }
}

}  // namespace poolwise
