#include <cuda_bf16.h>

#include "poolwise/core/detail/launch.cuh"
#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/distance/detail/round_rows_cuda.hpp"

namespace poolwise {
namespace {

constexpr int block_threads = 256, mean_threads = 64;
constexpr int origin_sample = 256;
constexpr float too_large = 0x1p120f;  // squared norms from here on could overflow on the way

/// As rounded_rows has them: then a row with NaN is in no comparison that excludes.
__device__ float4 facts_of(float norm2, float residual2, index_t cols) {
  if (!(norm2 < too_large) || !(residual2 < too_large)) {
    const float nan = __int_as_float(0x7fffffff);
    return {nan, nan, nan, nan};
  }
  // A sum of cols squares by 32 lanes is off by at most (cols / 32 + 6) 2^-24 of itself, and by 2^-149 for each
  // square that underflows.
  const float slack = float(cols + 32) * 0x1p-23f, underflow = float(cols) * 0x1p-126f;
  const float above = norm2 * (1 + slack) + underflow;
  const float norm = sqrtf(above) * (1 + 0x1p-20f);
  // x - o itself is rounded: by 2^-24 of what it is, which is at most |y^| + |y - y^|.
  const float residual = sqrtf(residual2 * (1 + slack) + underflow) * (1 + 0x1p-20f);
  return {0.5f * (norm2 * (1 - slack) - underflow), 0.5f * above, norm,
          (residual + (norm + residual) * 0x1p-23f) * (1 + 0x1p-20f)};
}

/// A warp takes a row.
__global__ void __launch_bounds__(block_threads)
    round_rows_kernel(matrix_view<const float> x, const float* origin, __nv_bfloat16* values, float4* facts,
                      rounded_limits* limits) {
  const index_t row = (index_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  const int lane = int(threadIdx.x % 32);
  if (row >= x.rows) return;
  const index_t pitch = rounded_pitch(x.cols);
  float norm2 = 0, residual2 = 0;
#pragma unroll 4
  for (index_t c = lane; c < pitch; c += 32) {
    const float y = c < x.cols ? x(row, c) - origin[c] : 0.0f;
    // Tensor cores need not keep a subnormal.
    const float rounded = __bfloat162float(__float2bfloat16_rn(y));
    const float kept = fabsf(rounded) < 0x1p-126f ? 0.0f : rounded;
    values[row * pitch + c] = __float2bfloat16_rn(kept);
    norm2 = __fmaf_rn(kept, kept, norm2);
    residual2 = __fmaf_rn(y - kept, y - kept, residual2);
  }
  norm2 = warp_sum(norm2);
  residual2 = warp_sum(residual2);
  if (lane != 0) return;
  const float4 known = facts_of(norm2, residual2, x.cols);
  facts[row] = known;
  if (limits == nullptr || !(known.z >= 0)) return;
  atomicMax(&limits->norm, __float_as_uint(known.z));
  atomicMax(&limits->residual, __float_as_uint(known.w));
}

/// origin[c] = the mean of column c over rows 0, step, 2 step, ...
__global__ void mean_kernel(matrix_view<const float> x, index_t step, int rows, float* origin) {
  const index_t c = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= x.cols) return;
  float sum = 0;
#pragma unroll 8
  for (int i = 0; i < rows; ++i) sum += x(i * step, c) / float(rows);
  origin[c] = sum;
}

}  // namespace

rounded_rows rounded_room(device_memory& memory, index_t rows, index_t cols) {
  return {memory.array<std::uint16_t>(rows * rounded_pitch(cols)), memory.array<float4>(rows)};
}

void round_rows(const device_memory& memory, matrix_view<const float> points, const float* origin,
                const rounded_rows& to, rounded_limits* limits) {
  if (points.rows == 0) return;
  launch(memory.call(), "round_rows_kernel",
         {grid_of(points.rows * 32, block_threads), block_threads, 0, memory.stream()}, round_rows_kernel,
         points, origin, reinterpret_cast<__nv_bfloat16*>(to.values.data()), to.facts.data(), limits);
}

void find_origin(const device_memory& memory, matrix_view<const float> points, float* origin) {
  const auto rows = int(std::min<index_t>(points.rows, origin_sample));
  launch(memory.call(), "mean_kernel", {grid_of(points.cols, mean_threads), mean_threads, 0, memory.stream()},
         mean_kernel, points, points.rows / rows, rows, origin);
}

}  // namespace poolwise
