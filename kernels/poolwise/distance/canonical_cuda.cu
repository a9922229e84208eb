#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/distance/detail/canonical_cuda.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {
namespace {

constexpr int block_threads = 256;

/// What a pair of columns contributes: the square of their difference ...
struct difference {
  __device__ static float step(float x, float y, float sum) { return __fmaf_rn(x - y, x - y, sum); }
};

/// ... or their product.
struct product {
  __device__ static float step(float x, float y, float sum) { return __fmaf_rn(x, y, sum); }
};

/// Sixteen neighbouring threads hold the sixteen partial sums of a row; every one of them reaches every
/// shuffle.
template <class Step, class Other>
__global__ void canonical_rows_kernel(matrix_view<const float> x, Other other, vector_view<float> result) {
  const index_t thread = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const index_t row = thread / canonical_lanes;
  const int lane = int(thread % canonical_lanes);
  float sum = 0;
  if (row < x.rows) {
    const float* const y = other(x, row);
    for (index_t c = lane; c < x.cols; c += canonical_lanes) sum = Step::step(x(row, c), y[c], sum);
  }
  for (int half = canonical_lanes / 2; half > 0; half /= 2)
    sum += __shfl_xor_sync(0xffffffffu, sum, half, canonical_lanes);
  if (row < x.rows && lane == 0) result[row] = sum;
}

struct one_row {
  const float* y;
  __device__ const float* operator()(const matrix_view<const float>&, index_t) const { return y; }
};

struct same_row {
  __device__ const float* operator()(const matrix_view<const float>& x, index_t row) const {
    return x.row(row);
  }
};

template <class Step, class Other>
void canonical_rows(const cuda& on, const char* call, matrix_view<const float> x, Other other,
                    vector_view<float> result) {
  if (x.rows == 0) return;  // an empty grid is a launch error
  const current_device here(on.device, call);
  canonical_rows_kernel<Step>
      <<<grid_of(x.rows * canonical_lanes, block_threads), block_threads, 0, on.stream>>>(x, other, result);
  check(cudaGetLastError(), call, "launching canonical_rows_kernel");
}

}  // namespace

void squared_distances_cuda(const cuda& on, matrix_view<const float> points, vector_view<const float> center,
                            vector_view<float> d2) {
  canonical_rows<difference>(on, "squared_distances", points, one_row{center.data}, d2);
}

void squared_norms_cuda(const cuda& on, matrix_view<const float> points, vector_view<float> d2) {
  canonical_rows<product>(on, "squared_norms", points, same_row{}, d2);
}

}  // namespace poolwise
