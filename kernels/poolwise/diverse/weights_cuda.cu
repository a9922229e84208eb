#include "poolwise/core/detail/launch.cuh"
#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/distance/detail/canonical_tile.cuh"
#include "poolwise/diverse/detail/stale_rejection.hpp"
#include "poolwise/diverse/detail/weights_cuda.hpp"

namespace poolwise {
namespace {

constexpr int block_threads = 256;

__device__ inline double share_of(float weight) { return double(weight > 0 ? weight : 0.0f); }

/// Eight threads take a block of weights.
__global__ void sum_weights_kernel(vector_view<const float> weights, index_t blocks, double* sums) {
  const index_t thread = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const index_t block = thread / weight_lanes;
  const int lane = int(thread % weight_lanes);
  double sum = 0;
  if (block < blocks) {
    const index_t begin = block * weight_block, end = min(weights.size, begin + weight_block);
#pragma unroll 8
    for (index_t i = begin + lane; i < end; i += weight_lanes) sum += share_of(weights[i]);
  }
  double total = 0;
  for (int l = 0; l < weight_lanes; ++l) total += __shfl_sync(whole_warp, sum, l, weight_lanes);
  if (block < blocks && lane == 0) sums[block] = total;
}

/// A warp takes a draw, a lane first a run of its block and then a row of a run: what lanes hold is added in
/// their order by all of them alike.
__global__ void draw_rows_kernel(vector_view<const float> weights, vector_view<const block_draw> draws,
                                 candidate* drawn) {
  static_assert(weight_run == 32 && weight_block == weight_run * 32);
  const index_t which = (index_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  if (which >= draws.size) return;
  const int lane = int(threadIdx.x % 32);
  const block_draw draw = draws[which];
  const index_t begin = draw.block * weight_block, end = min(weights.size, begin + weight_block);

  const index_t my_run = begin + lane * weight_run;
  double share = 0;
#pragma unroll 8
  for (index_t i = my_run; i < min(end, my_run + weight_run); ++i) share += share_of(weights[i]);
  int run = 0;
  double before_run = 0, reached = 0;
  for (int l = 0; l < 32 && reached <= draw.target; ++l) {
    const double next = __shfl_sync(whole_warp, share, l);
    if (next == 0) continue;
    run = l;
    before_run = reached;
    reached += next;
  }

  const index_t first = begin + run * weight_run;
  const double mine = first + lane < end ? share_of(weights[first + lane]) : 0.0;
  int row = 0;
  reached = before_run;
  for (int l = 0; l < 32 && reached <= draw.target; ++l) {
    const double next = __shfl_sync(whole_warp, mine, l);
    if (next == 0) continue;
    row = l;
    reached += next;
  }
  if (lane == 0) drawn[which] = {first + row, weights[first + row]};
}

__global__ void multiply_norms_kernel(vector_view<const float> a_norm2, const float* h_norm2, double bias,
                                      double* norm2, unsigned long long* first_beyond) {
  const index_t i = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= a_norm2.size) return;
  const float a = a_norm2[i], h = h_norm2[i];
  if (a > largest_norm2 || h > largest_norm2) atomicMin(first_beyond, static_cast<unsigned long long>(i));
  norm2[i] = double(a) * (double(h) + bias);
}

__global__ void round_norms_kernel(vector_view<const double> from, float* to) {
  const index_t i = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < from.size) to[i] = float(from[i]);
}

// ---- factored rows ------------------------------------------------------------------------------------------

/// Canonical dots of a tile: of this thread's row + quad with its four centres. Columns past the end count as
/// 0, which adds nothing; rows past the end are the last one.
__device__ inline void dot_tile(matrix_view<const float> x, matrix_view<const float> y, index_t row0,
                                index_t center0, tile_room& room, const tile_place& at, float (&dot)[4]) {
  const int t = int(threadIdx.x);
  tile_sums sum = {};
  for (index_t c0 = 0; c0 < x.cols; c0 += tile_cols) {
    __syncthreads();
    const index_t c = c0 + t % tile_cols;
#pragma unroll
    for (int r = t / tile_cols; r < tile_rows; r += block_threads / tile_cols)
      room.x[r][t % tile_cols] = c < x.cols ? x(min(row0 + r, x.rows - 1), c) : 0.0f;
#pragma unroll
    for (int r = t / tile_cols; r < tile_centers; r += block_threads / tile_cols)
      room.y[r][t % tile_cols] = c < y.cols ? y(min(center0 + r, y.rows - 1), c) : 0.0f;
    __syncthreads();
#pragma unroll
    for (int s = 0; s < tile_cols; s += canonical_lanes) add_columns<product>(room, at, s, sum);
  }
  fold_tile(sum, at, dot);
}

struct lower_minimum {
  float* m;
  /// The least of four distances of each of sixteen threads that share four rows, in `d2`.
  __device__ void operator()(index_t row, bool there, index_t, int centers, const float (&d2)[4]) const {
    float least = __int_as_float(0x7f800000);
    for (int j = 0; j < 4; ++j)
      if (j < centers) least = fminf(least, d2[j]);
    least = warp_min(least, 4, 4);
    // Floats that are not negative compare as their bits do, and a negative m stays below them all.
    if (there && threadIdx.x / 4 % 4 == 0 && least < m[row])
      atomicMin(reinterpret_cast<int*>(m) + row, __float_as_int(least));
  }
};

struct store_all {
  float* d2;
  index_t pitch;
  __device__ void operator()(index_t row, bool there, index_t center, int centers,
                             const float (&value)[4]) const {
    for (int j = 0; j < 4; ++j)
      if (there && j < centers) d2[row * pitch + center + j] = value[j];
  }
};

template <class Sink>
__global__ void __launch_bounds__(block_threads, 2)
    factored_tiles_kernel(factored_view x, factored_view y, Sink sink) {
  __shared__ tile_room room;
  const tile_place at;
  const index_t across = (y.a.rows + tile_centers - 1) / tile_centers;
  const index_t work = (x.a.rows + tile_rows - 1) / tile_rows * across;
  for (index_t w = blockIdx.x; w < work; w += gridDim.x) {
    const index_t row0 = w / across * tile_rows, center0 = w % across * tile_centers;
    float h_dot[4], a_dot[4], d2[4];
    dot_tile(x.h, y.h, row0, center0, room, at, h_dot);
    dot_tile(x.a, y.a, row0, center0, room, at, a_dot);
    const index_t row = row0 + at.row + at.quad, center = center0 + at.center;
    const double norm2 = x.norm2[min(row, x.a.rows - 1)];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const double d =
          norm2 + y.norm2[min(center + j, y.a.rows - 1)] - 2 * (double(a_dot[j]) * (double(h_dot[j]) + x.bias));
      d2[j] = float(d > 0 ? d : 0);
    }
    sink(row, row < x.a.rows, center, int(min(index_t(4), y.a.rows - center)), d2);
  }
}

template <class Sink>
void visit_pairs(const device_memory& memory, const factored_view& x, const factored_view& y, Sink sink) {
  if (x.a.rows == 0 || y.a.rows == 0) return;
  const index_t tiles = (x.a.rows + tile_rows - 1) / tile_rows * ((y.a.rows + tile_centers - 1) / tile_centers);
  launch(memory.call(), "factored_tiles_kernel",
         {grid_of(tiles, 1, 1 << 16), block_threads, 0, memory.stream()}, factored_tiles_kernel<Sink>, x, y,
         sink);
}

}  // namespace

void sum_weights(const device_memory& memory, vector_view<const float> weights, double* sums) {
  if (weights.empty()) return;
  const index_t blocks = (weights.size + weight_block - 1) / weight_block;
  launch(memory.call(), "sum_weights_kernel",
         {grid_of(blocks * weight_lanes, block_threads), block_threads, 0, memory.stream()}, sum_weights_kernel,
         weights, blocks, sums);
}

void draw_rows(const device_memory& memory, vector_view<const float> weights,
               vector_view<const block_draw> draws, candidate* drawn) {
  if (draws.empty()) return;
  launch(memory.call(), "draw_rows_kernel",
         {grid_of(draws.size * 32, block_threads), block_threads, 0, memory.stream()}, draw_rows_kernel,
         weights, draws, drawn);
}

void multiply_norms(const device_memory& memory, vector_view<const float> a_norm2, const float* h_norm2,
                    double bias, double* norm2, unsigned long long* first_beyond) {
  if (a_norm2.empty()) return;
  launch(memory.call(), "multiply_norms_kernel",
         {grid_of(a_norm2.size, block_threads), block_threads, 0, memory.stream()}, multiply_norms_kernel,
         a_norm2, h_norm2, bias, norm2, first_beyond);
}

void round_norms(const device_memory& memory, vector_view<const double> from, float* to) {
  if (from.empty()) return;
  launch(memory.call(), "round_norms_kernel",
         {grid_of(from.size, block_threads), block_threads, 0, memory.stream()}, round_norms_kernel, from, to);
}

void lower_factored(const device_memory& memory, const factored_view& x, const factored_view& y, float* m) {
  visit_pairs(memory, x, y, lower_minimum{m});
}

void all_factored_pairs(const device_memory& memory, const factored_view& x, float* d2, index_t pitch) {
  visit_pairs(memory, x, x, store_all{d2, pitch});
}

}  // namespace poolwise
