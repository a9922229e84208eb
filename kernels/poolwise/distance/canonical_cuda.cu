// The canonical tree over the rows of a matrix. Memory-bound: each kernel reads the rows once, coalesced, with
// several loads of a thread in flight; which one runs depends on the shape and the alignment alone.
#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/detail/launch.cuh"
#include "poolwise/distance/detail/canonical_cuda.hpp"
#include "poolwise/distance/detail/canonical_tree.cuh"

namespace poolwise {
namespace {

constexpr int block_threads = 256;
constexpr int rows_a_block = 128;  // of short rows, one a thread
constexpr int short_cols = 32;     // so that its tile leaves room for eight blocks a multiprocessor

/// A column that is not finite contributes a NaN.
struct poison {
  __device__ static float step(float x, float, float sum) { return __fmaf_rn(x, 0.0f, sum); }
};

struct store {
  float* result;
  __device__ void operator()(index_t row, float sum) const { result[row] = sum; }
};

struct note_nonfinite {
  nonfinite_rows_bits* found;
  __device__ void operator()(index_t row, float sum) const {
    if (sum == 0) return;
    atomicMin(&found->first, static_cast<unsigned long long>(row));
    atomicAdd(&found->count, 1ull);
  }
};

/// Four threads share a row, each with four of the sixteen partial sums and 128-bit loads. y: the other row,
/// or null for the row itself.
template <class Pair, class Out>
__global__ void __launch_bounds__(block_threads)
    canonical_rows_by_quads_kernel(matrix_view<const float> x, const float* y, Out out) {
  constexpr int threads = canonical_lanes / 4;
  const index_t thread = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const index_t row = thread / threads;
  const int quad = int(thread % threads);
  float sum[4] = {};
  if (row < x.rows) {
    const auto* const x4 = reinterpret_cast<const float4*>(x.row(row));
    const auto* const y4 = reinterpret_cast<const float4*>(y);
    const index_t quads = x.cols / 4;
#pragma unroll 8
    for (index_t c = quad; c < quads; c += threads) {
      const float4 a = x4[c], b = y != nullptr ? y4[c] : a;
      add_quad<Pair>(a, b, sum);
    }
    if (quads % threads == quad) {  // the columns behind the last whole vector
      const float* const self = x.row(row);
      const float* const other = y != nullptr ? y : self;
      const index_t c = quads * 4;
      if (c < x.cols) sum[0] = Pair::step(self[c], other[c], sum[0]);
      if (c + 1 < x.cols) sum[1] = Pair::step(self[c + 1], other[c + 1], sum[1]);
      if (c + 2 < x.cols) sum[2] = Pair::step(self[c + 2], other[c + 2], sum[2]);
    }
  }
  const float total = fold_quads(sum);
  if (row < x.rows && quad == 0) out(row, total);
}

/// Sixteen threads share a row, one partial sum each: rows of any alignment.
template <class Pair, class Out>
__global__ void __launch_bounds__(block_threads)
    canonical_rows_by_lanes_kernel(matrix_view<const float> x, const float* y, Out out) {
  const index_t thread = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const index_t row = thread / canonical_lanes;
  const int lane = int(thread % canonical_lanes);
  float sum = 0;
  if (row < x.rows) {
    const float* const self = x.row(row);
    const float* const other = y != nullptr ? y : self;
#pragma unroll 8
    for (index_t c = lane; c < x.cols; c += canonical_lanes) sum = Pair::step(self[c], other[c], sum);
  }
  sum = warp_sum(sum, canonical_lanes);
  if (row < x.rows && lane == 0) out(row, sum);
}

/// A thread takes a row, from a tile that the block has loaded coalesced: rows shorter than a segment.
/// An odd pitch keeps 32 rows in 32 banks. magic = ceil(2^32 / cols) divides by cols.
template <class Pair, class Out>
__global__ void __launch_bounds__(rows_a_block)
    canonical_short_rows_kernel(matrix_view<const float> x, const float* y, Out out, unsigned magic) {
  __shared__ float tile[rows_a_block * (short_cols + 1)];
  const index_t first = index_t(blockIdx.x) * rows_a_block;
  const int rows = int(x.rows - first < rows_a_block ? x.rows - first : rows_a_block);
  const int cols = int(x.cols), pitch = cols | 1;
#pragma unroll 4
  for (int i = int(threadIdx.x); i < rows * cols; i += rows_a_block) {
    const int row = cols == 1 ? i : int(__umulhi(unsigned(i), magic)), col = i - row * cols;
    tile[row * pitch + col] = x(first + row, col);
  }
  __syncthreads();
  if (int(threadIdx.x) >= rows) return;
  const float* const self = tile + int(threadIdx.x) * pitch;
  float sum[canonical_lanes] = {};
  for (int c = 0; c < cols; c += canonical_lanes)
#pragma unroll
    for (int j = 0; j < canonical_lanes; ++j)
      if (c + j < cols) sum[j] = Pair::step(self[c + j], y != nullptr ? y[c + j] : self[c + j], sum[j]);
#pragma unroll
  for (int half = canonical_lanes / 2; half > 0; half /= 2)
#pragma unroll
    for (int j = 0; j < half; ++j) sum[j] += sum[j + half];
  out(first + threadIdx.x, sum[0]);
}

/// The device of `on` is current.
template <class Pair, class Out>
void canonical_rows(const cuda& on, const char* call, matrix_view<const float> x, const float* y, Out out) {
  if (x.rows == 0) return;  // an empty grid is a launch error
  const bool vectors = has_vectors(x) && (y == nullptr || reinterpret_cast<std::uintptr_t>(y) % 16 == 0);
  if (x.cols <= short_cols && x.cols > 0 && (!vectors || x.cols < canonical_lanes)) {
    const auto magic = unsigned((0x100000000ull + std::uint64_t(x.cols) - 1) / std::uint64_t(x.cols));
    launch(call, "canonical_rows_kernel", {grid_of(x.rows, rows_a_block), rows_a_block, 0, on.stream},
           canonical_short_rows_kernel<Pair, Out>, x, y, out, magic);
  } else if (vectors) {
    launch(call, "canonical_rows_kernel",
           {grid_of(x.rows * (canonical_lanes / 4), block_threads), block_threads, 0, on.stream},
           canonical_rows_by_quads_kernel<Pair, Out>, x, y, out);
  } else {
    launch(call, "canonical_rows_kernel",
           {grid_of(x.rows * canonical_lanes, block_threads), block_threads, 0, on.stream},
           canonical_rows_by_lanes_kernel<Pair, Out>, x, y, out);
  }
}

}  // namespace

void squared_distances_cuda(const cuda& on, matrix_view<const float> points, vector_view<const float> center,
                            vector_view<float> d2) {
  const current_device here(on.device, "squared_distances");
  canonical_rows<difference>(on, "squared_distances", points, center.data, store{d2.data});
}

void squared_norms_cuda(const cuda& on, matrix_view<const float> points, vector_view<float> d2) {
  const current_device here(on.device, "squared_norms");
  canonical_rows<product>(on, "squared_norms", points, nullptr, store{d2.data});
}

void note_nonfinite_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                         nonfinite_rows_bits* found) {
  canonical_rows<poison>(on, call, points, nullptr, note_nonfinite{found});
}

nonfinite_rows find_nonfinite_cuda(const cuda& on, const char* call, matrix_view<const float> points) {
  if (points.rows == 0) return {};
  const current_device here(on.device, call);
  device_memory memory(on, call);
  const nonfinite_rows_bits none{~0ull, 0};
  nonfinite_rows_bits bits = none;
  const auto found = memory.array<nonfinite_rows_bits>(1);
  copy_async(found.data(), &none, 1, memory);
  note_nonfinite_cuda(on, call, points, found.data());
  copy_async(&bits, found.data(), 1, memory);
  check(cudaStreamSynchronize(on.stream), call, "waiting for the search for NaN and infinity");
  return bits.count == 0 ? nonfinite_rows{} : nonfinite_rows{index_t(bits.first), index_t(bits.count)};
}

}  // namespace poolwise
