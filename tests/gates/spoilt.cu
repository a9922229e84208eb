// Kernels with a defect each, that the gates must find: spoilt.toml holds them to limits that a good one keeps.
// Under the simulator the program launches them all.
#include <cuda_runtime.h>

#include <cstdio>

namespace {

constexpr int threads = 256, blocks = 2, cols = 192;

/// 64 sums live at once, in the 32 registers that two blocks of 1024 threads leave each thread.
__global__ void __launch_bounds__(1024, 2) spilling_kernel(const float4* x, float* sums, int n) {
  float sum[64] = {};
  for (int i = threadIdx.x; i < n; i += int(blockDim.x)) {
    const float4 v = x[i];
#pragma unroll
    for (int k = 0; k < 64; ++k) sum[k] = sum[k] * v.x + v.y * float(k) + v.z - v.w;
  }
#pragma unroll
  for (int k = 0; k < 64; ++k) sums[k * int(blockDim.x) + int(threadIdx.x)] = sum[k];
}

/// Neighbouring threads read neighbouring rows: a sector for each of them.
__global__ void uncoalesced_kernel(const float* x, float* sums) {
  const int row = int(blockIdx.x * blockDim.x + threadIdx.x);
  float sum = 0;
  for (int c = 0; c < cols; ++c) sum += x[row * cols + c];
  sums[row] = sum;
}

/// As the textbook writes the entropy of a softmax: an exponential for the sum, one for the term, and a
/// logarithm.
__global__ void wasteful_kernel(const float4* x, float* sums, int n) {
  float sum = 0;
  for (int i = int(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += int(gridDim.x * blockDim.x)) {
    const float4 v = x[i];
    for (const float z : {v.x, v.y, v.z, v.w}) sum += expf(z) - expf(z + 1) * logf(expf(z) + 2);
  }
  sums[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

/// Coalesced, but four bytes at a time.
__global__ void narrow_kernel(const float* x, float* sums, int n) {
  float sum = 0;
  for (int i = int(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += int(gridDim.x * blockDim.x)) sum += x[i];
  sums[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

/// More registers than leave room for half of a multiprocessor's threads.
__global__ void crowding_kernel(const float* x, float* sums, int n) {
  float v[96];
#pragma unroll
  for (int k = 0; k < 96; ++k) v[k] = x[k * int(blockDim.x) + int(threadIdx.x)];
  for (int i = 0; i < n; ++i) {
#pragma unroll
    for (int k = 0; k < 96; ++k) v[k] = v[k] * v[(k + 1) % 96] + v[(k + 7) % 96];
  }
#pragma unroll
  for (int k = 0; k < 96; ++k) sums[k * int(blockDim.x) + int(threadIdx.x)] = v[k];
}

/// Of which the table knows nothing.
__global__ void stray_kernel(float* sums) { sums[threadIdx.x] = 0; }

/// Threads of a warp write into one bank.
__global__ void conflicting_kernel(const float* x, float* sums) {
  __shared__ float tile[32 * 32];
  const int lane = int(threadIdx.x % 32), warp = int(threadIdx.x / 32);
  if (warp == 0) {
    for (int c = 0; c < 32; ++c) tile[lane * 32 + c] = x[c * 32 + lane];
    __syncwarp();
    sums[lane] = tile[lane * 32 + 7];
  }
}

}  // namespace

int main() {
  constexpr int rows = threads * blocks, n = rows * cols / 4;
  float *x = nullptr, *sums = nullptr;
  cudaMalloc(&x, n * sizeof(float4));
  cudaMalloc(&sums, 64 * 1024 * sizeof(float));
  cudaMemset(x, 0, n * sizeof(float4));
  const auto* const x4 = reinterpret_cast<const float4*>(x);
  spilling_kernel<<<1, threads>>>(x4, sums, threads);
  uncoalesced_kernel<<<blocks, threads>>>(x, sums);
  wasteful_kernel<<<blocks, threads>>>(x4, sums, rows);
  narrow_kernel<<<blocks, threads>>>(x, sums, rows);
  crowding_kernel<<<1, threads>>>(x, sums, 2);
  conflicting_kernel<<<1, threads>>>(x, sums);
  stray_kernel<<<1, threads>>>(sums);
  const cudaError_t result = cudaDeviceSynchronize();
  if (result != cudaSuccess) std::printf("%s\n", cudaGetErrorString(result));
  return result == cudaSuccess ? 0 : 1;
}
