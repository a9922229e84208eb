// The steps of the canonical sums and their tree's last levels over the threads of a warp, and what their
// kernels ask of a matrix.
#pragma once

#include <cstdint>

#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/core/types.hpp"

namespace poolwise {

/// A pair of columns contributes the square of their difference ...
struct difference {
  __device__ static float step(float x, float y, float sum) { return __fmaf_rn(x - y, x - y, sum); }
};

/// ... or their product.
struct product {
  __device__ static float step(float x, float y, float sum) { return __fmaf_rn(x, y, sum); }
};

/// Whether every row starts where 128-bit loads may.
inline bool has_vectors(matrix_view<const float> x) {
  return reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && (x.stride % 4 == 0 || x.rows <= 1);
}

/// Adds the contributions of four neighbouring columns to four partial sums.
template <class Pair>
__device__ __forceinline__ void add_quad(const float4& x, const float4& y, float (&sum)[4]) {
  sum[0] = Pair::step(x.x, y.x, sum[0]);
  sum[1] = Pair::step(x.y, y.y, sum[1]);
  sum[2] = Pair::step(x.z, y.z, sum[2]);
  sum[3] = Pair::step(x.w, y.w, sum[3]);
}

/// The sum of sixteen partial sums held by four neighbouring threads, four each, in the canonical order: j and
/// j + 8, then j + 4, j + 2, j + 1. Every thread of the warp calls it; all four get the sum.
__device__ __forceinline__ float fold_quads(const float (&sum)[4]) {
  return (warp_sum(sum[0], 4) + warp_sum(sum[2], 4)) + (warp_sum(sum[1], 4) + warp_sum(sum[3], 4));
}

}  // namespace poolwise
