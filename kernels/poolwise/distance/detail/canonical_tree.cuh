// The canonical tree's last levels over the threads of a warp, and what its kernels ask of a matrix.
#pragma once

#include <cstdint>

#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/core/types.hpp"

namespace poolwise {

/// Whether every row starts where 128-bit loads may.
inline bool has_vectors(matrix_view<const float> x) {
  return reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && (x.stride % 4 == 0 || x.rows <= 1);
}

/// The sum of sixteen partial sums held by four neighbouring threads, four each, in the canonical order: j and
/// j + 8, then j + 4, j + 2, j + 1. Every thread of the warp calls it; all four get the sum.
__device__ inline float fold_quads(float4 sum) {
  sum = {warp_sum(sum.x, 4), warp_sum(sum.y, 4), warp_sum(sum.z, 4), warp_sum(sum.w, 4)};
  return (sum.x + sum.z) + (sum.y + sum.w);
}

}  // namespace poolwise
