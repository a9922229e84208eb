#include "poolwise/distance/detail/dot_table.hpp"

#include <cmath>

#include "poolwise/core/detail/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/distance/dot_table.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/core/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {
namespace {

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

void dot_tile(const packed_rows& x, const packed_rows& y, float* table, index_t stride) {
  for (index_t i = 0; i < x.rows(); ++i)
    for (index_t j = 0; j < y.rows(); ++j) {
      const float* of_x = x.group(i / left_group) + i % left_group * canonical_lanes;
      const float* of_y = y.group(j / right_group) + j % right_group * canonical_lanes;
      float sum[canonical_lanes] = {};
      for (index_t s = 0; s < y.steps(); ++s)
        for (int c = 0; c < canonical_lanes; ++c)
          sum[c] = std::fma(of_x[s * left_group * canonical_lanes + c],
                            of_y[s * right_group * canonical_lanes + c], sum[c]);
      for (int half = canonical_lanes / 2; half > 0; half /= 2)
        for (int c = 0; c < half; ++c) sum[c] += sum[c + half];
      table[i * stride + j] = sum[0];
    }
}

#else

inline constexpr int parts = canonical_lanes / lanes;  // vectors that hold the sixteen partial sums

// Pairs whose sums are in registers together: `tile_rows` rows of x with four of y. All but a few of the
// registers hold sums, so that a load serves several of them.
inline constexpr int tile_cols = 4;
inline constexpr int tile_rows = HWY_TARGET == HWY_AVX2 ? 2 : 6;
inline constexpr int folded_rows = lanes / 4;  // rows of x whose four sums fit into one vector
static_assert(left_group % tile_rows == 0 && right_group == tile_cols);

// The levels of the tree, each for two vectors at once: a vector of n sums a pair and its neighbour's make one
// that holds n/2 sums of both. Below j + 8 the blocks of four lanes keep to one row of x.

/// j + 8 of the pairs of two rows of x.
HWY_INLINE floats fold_parts(const floats (&sum)[parts]) {
  const floats_tag d;
  if constexpr (parts == 1) return sum[0];
  if constexpr (parts == 2) return hn::Add(sum[0], sum[1]);
  if constexpr (parts == 4) return hn::Add(hn::Add(sum[0], sum[2]), hn::Add(sum[1], sum[3]));
  return hn::Zero(d);
}
HWY_INLINE floats fold_eights(floats a, floats b) {
  const floats_tag d;
  return hn::Add(hn::ConcatLowerLower(d, b, a), hn::ConcatUpperUpper(d, b, a));
}
/// j + 4
HWY_INLINE floats fold_fours(floats a, floats b) {
  return hn::Add(hn::OddEvenBlocks(b, a), hn::SwapAdjacentBlocks(hn::OddEvenBlocks(a, b)));
}
/// j + 2
HWY_INLINE floats fold_twos(floats a, floats b) {
  const floats_tag d;
  const hn::Repartition<double, floats_tag> pairs;
  const auto wide_a = hn::BitCast(pairs, a), wide_b = hn::BitCast(pairs, b);
  return hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, wide_a, wide_b)),
                 hn::BitCast(d, hn::InterleaveUpper(pairs, wide_a, wide_b)));
}
/// j + 1
HWY_INLINE floats fold_ones(floats a, floats b) {
  return hn::Add(hn::OddEven(b, a), hn::Shuffle2301(hn::OddEven(a, b)));
}

/// Four sums for each of `folded_rows` neighbouring rows of x, one row a block, become one dot product a lane.
HWY_INLINE floats fold_tile(const floats (*sum)[tile_cols], int row) {
  floats column[tile_cols];
  for (int t = 0; t < tile_cols; ++t) {
    if constexpr (lanes == 16) {
      column[t] =
          fold_fours(fold_eights(sum[row][t], sum[row + 2][t]), fold_eights(sum[row + 1][t], sum[row + 3][t]));
    } else if constexpr (lanes == 8) {
      column[t] = fold_fours(sum[row][t], sum[row + 1][t]);
    } else {
      column[t] = sum[row][t];
    }
  }
  return fold_ones(fold_twos(column[0], column[2]), fold_twos(column[1], column[3]));
}

/// Block b to row b of the table, as far as `rows` go.
HWY_INLINE void store_blocks(hn::Vec<hn::Full128<float> > v, int rows, float* table, index_t) {
  if (rows > 0) hn::StoreU(v, hn::Full128<float>(), table);
}
template <class V>
HWY_INLINE void store_blocks(V v, int rows, float* table, index_t stride) {
  const hn::Half<hn::DFromV<V> > half;
  constexpr int half_rows = int(hn::MaxLanes(half)) / 4;
  store_blocks(hn::LowerHalf(half, v), rows, table, stride);
  store_blocks(hn::UpperHalf(half, v), rows - half_rows, table + half_rows * stride, stride);
}

// The second side streams by, from a cache that is far: fetch it so many steps ahead.
inline constexpr index_t steps_ahead = 8;

HWY_INLINE void dot_rows_by_four(const float* x, const float* y, index_t steps, float* table,
                                 index_t table_stride) {
  const floats_tag d;
  floats part[parts][tile_rows][tile_cols];
  for (int p = 0; p < parts; ++p) {
    for (int r = 0; r < tile_rows; ++r)
      for (int t = 0; t < tile_cols; ++t) part[p][r][t] = hn::Zero(d);
    const float* at_x = x + p * lanes;
    const float* at_y = y + p * lanes;
    for (index_t s = 0; s < steps; ++s) {
      floats of_y[tile_cols];
      for (int t = 0; t < tile_cols; ++t) {
        of_y[t] = hn::Load(d, at_y + t * canonical_lanes);
        if (p == 0) hwy::Prefetch(at_y + (steps_ahead * right_group + t) * canonical_lanes);
      }
      for (int r = 0; r < tile_rows; ++r) {
        const floats of_x = hn::Load(d, at_x + r * canonical_lanes);
        for (int t = 0; t < tile_cols; ++t) part[p][r][t] = hn::MulAdd(of_x, of_y[t], part[p][r][t]);
      }
      at_x += left_group * canonical_lanes;
      at_y += right_group * canonical_lanes;
    }
  }
  // Room for a fold to look past the last row; what it makes of it is not stored.
  floats sum[tile_rows + folded_rows][tile_cols];
  for (int r = 0; r < tile_rows + folded_rows; ++r)
    for (int t = 0; t < tile_cols; ++t) {
      floats parts_of[parts];
      for (int p = 0; p < parts; ++p) parts_of[p] = part[p][r < tile_rows ? r : 0][t];
      sum[r][t] = fold_parts(parts_of);
    }
  for (int r = 0; r < tile_rows; r += folded_rows)
    store_blocks(fold_tile(sum, r), tile_rows - r, table + r * table_stride, table_stride);
}

void dot_tile(const packed_rows& x, const packed_rows& y, float* table, index_t stride) {
  for (index_t g = 0; g < x.groups(); ++g)
    for (int r = 0; r < left_group; r += tile_rows)
      for (index_t q = 0; q < y.groups(); ++q)
        dot_rows_by_four(x.group(g) + r * canonical_lanes, y.group(q), y.steps(),
                         table + (g * left_group + r) * stride + q * right_group, stride);
}

#endif

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {

HWY_EXPORT(dot_tile);

void dot_table(const packed_rows& x, const packed_rows& y, float* table, index_t stride) {
  HWY_DYNAMIC_DISPATCH(dot_tile)(x, y, table, stride);
}

}  // namespace poolwise
#endif
