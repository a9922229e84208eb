#include "poolwise/distance/detail/rows_cuda.hpp"

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/detail/launch.cuh"

namespace poolwise {
namespace {

constexpr int block_threads = 256;
constexpr index_t most_blocks = 1 << 16;

__global__ void gather_rows_kernel(matrix_view<const float> points, vector_view<const index_t> rows,
                                   matrix_view<float> gathered) {
  for (index_t i = blockIdx.x; i < rows.size; i += gridDim.x)
    for (index_t c = threadIdx.x; c < points.cols; c += blockDim.x) gathered(i, c) = points(rows[i], c);
}

}  // namespace

void gather_rows(const device_memory& memory, matrix_view<const float> points, vector_view<const index_t> rows,
                 matrix_view<float> gathered) {
  if (rows.size == 0 || points.cols == 0) return;
  launch(memory.call(), "gather_rows_kernel",
         {grid_of(rows.size, 1, most_blocks), block_threads, 0, memory.stream()}, gather_rows_kernel, points,
         rows, gathered);
}

}  // namespace poolwise
