#include "poolwise/core/detail/launch.cuh"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical_tile.cuh"
#include "poolwise/distance/detail/canonical_tiles_cuda.hpp"

namespace poolwise {
namespace {

constexpr int block_threads = 256;

// ---- where distances go -------------------------------------------------------------------------------------

/// Distances are never below 0, so their bits order as they do; a NaN comes last, ties go to the lower
/// reference.
__device__ inline nearest_key key_of(float d2, unsigned reference) {
  return nearest_key(__float_as_uint(d2)) << 32 | reference;
}
__device__ inline float d2_of(nearest_key key) { return __uint_as_float(unsigned(key >> 32)); }

__device__ inline void offer(const least_distance& to, index_t row, float d2, int) {
  if (d2 < to.m[row]) atomicMin(reinterpret_cast<int*>(to.m) + row, __float_as_int(d2));
}

__device__ inline void offer(const nearest_reference& to, index_t row, float d2, int center) {
  const nearest_key key = key_of(d2, to.first + unsigned(center));
  if (key < to.nearest[row]) atomicMin(to.nearest + row, key);
}

__global__ void begin_nearest_kernel(vector_view<nearest_key> keys) {
  const index_t i = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < keys.size) keys[i] = no_reference;
}

__global__ void end_nearest_kernel(vector_view<const nearest_key> keys, index_t first, float* d2,
                                   index_t* which) {
  const index_t i = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= keys.size) return;
  const nearest_key key = __ldg(keys.data + i);  // as a whole, not half by half
  const float found = d2_of(key);
  if (first > 0 && !(found < d2[i])) return;
  d2[i] = found;
  if (which != nullptr) which[i] = first + index_t(unsigned(key));
}

/// Offers this thread's distances of a row to `centers` of the four centres from `center` on. Four neighbours
/// of every fourth thread share the row.
template <class Sink>
__device__ __forceinline__ void offer_tile(const Sink& to, index_t row, bool there, int center, int centers,
                                           bool leads, const float (&d2)[4]) {
  nearest_key best = ~nearest_key{0};
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (j < centers) best = min(best, key_of(d2[j], unsigned(center + j)));
  best = warp_min(best, 4, 4);
  if (leads && there) offer(to, row, d2_of(best), int(unsigned(best)));
}

__device__ __forceinline__ void offer_tile(const all_distances& to, index_t row, bool there, int center,
                                           int centers, bool, const float (&d2)[4]) {
#pragma unroll
  for (int j = 0; j < 4; ++j)
    if (there && j < centers) to.d2[row * to.pitch + center + j] = d2[j];
}

// ---- whole tiles --------------------------------------------------------------------------------------------

/// Copies Floats elements to shared memory, or makes them 0 where they are not `there`. Asynchronous since
/// sm_80.
template <int Floats>
__device__ inline void bring(float* to, const float* from, bool there) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(unsigned(__cvta_generic_to_shared(to))),
               "l"(from), "n"(Floats * 4), "r"(there ? Floats * 4 : 0)
               : "memory");
#else
  for (int i = 0; i < Floats; ++i) to[i] = there ? from[i] : 0.0f;
#endif
}

/// The columns c, ..., c + 3 of a row.
__device__ inline void bring_quad(float* to, const float* row, index_t c, index_t cols) {
  if (c + 4 <= cols || c >= cols) return bring<4>(to, row + c, c < cols);
  for (int i = 0; i < 4; ++i) bring<1>(to + i, row + c + i, c + i < cols);
}

__device__ inline void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

/// Begins to bring the columns from c on of a tile, 0 past the end, which adds nothing. Rows past the end are
/// the last one, whose distances nobody takes. vectors: whether rows begin where 128-bit loads may.
__device__ __forceinline__ void bring_tile(matrix_view<const float> x, matrix_view<const float> y, bool vectors,
                                           int row0, int center0, index_t c, tile_room& room) {
  const int t = int(threadIdx.x), rows = int(x.rows), centers = int(y.rows);
  if (vectors) {
    const index_t at = c + t % 8 * 4;
#pragma unroll
    for (int i = 0; i < 2; ++i)
      bring_quad(&room.x[t / 8 + i * 32][t % 8 * 4], x.row(min(row0 + t / 8 + i * 32, rows - 1)), at, x.cols);
    if (t < tile_centers * 8)
      bring_quad(&room.y[t / 8][t % 8 * 4], y.row(min(center0 + t / 8, centers - 1)), at, y.cols);
  } else {
    const int lane = t % 32;
    const index_t at = c + lane;
#pragma unroll 2
    for (int r = t / 32; r < tile_rows; r += 8)
      bring<1>(&room.x[r][lane], x.row(min(row0 + r, rows - 1)) + at, at < x.cols);
    for (int r = t / 32; r < tile_centers; r += 8)
      bring<1>(&room.y[r][lane], y.row(min(center0 + r, centers - 1)) + at, at < y.cols);
  }
}

/// tiles: those that are listed, or null for all pairs.
template <class Sink>
__global__ void __launch_bounds__(block_threads, 2)
    canonical_tiles_kernel(matrix_view<const float> x, matrix_view<const float> y, bool vectors,
                           const uint2* tiles, const unsigned* tile_count, Sink sink) {
  __shared__ tile_room room[2];
  constexpr unsigned parts = listed_edge / tile_centers;
  const tile_place at;
  const int rows = int(x.rows), centers = int(y.rows);
  const unsigned across = (unsigned(centers) + tile_centers - 1) / tile_centers;
  const unsigned work =
      tiles != nullptr ? *tile_count * parts : (unsigned(rows) + tile_rows - 1) / tile_rows * across;
  for (unsigned w = blockIdx.x; w < work; w += gridDim.x) {
    int row0 = int(w / across) * tile_rows, center0 = int(w % across) * tile_centers;
    if (tiles != nullptr) {
      const uint2 tile = tiles[w / parts];
      row0 = int(tile.x);
      center0 = int(tile.y + w % parts * tile_centers);
      if (center0 >= centers) continue;
    }
    tile_sums sum = {};
    __syncthreads();  // of the tile before, all has been read
    if (x.cols > 0) bring_tile(x, y, vectors, row0, center0, 0, room[0]);
    int slot = 0;
    for (index_t c = 0; c < x.cols; c += tile_cols) {
      wait_for_copies();
      __syncthreads();  // the columns are there, and nobody reads the other slot any more
      if (c + tile_cols < x.cols) bring_tile(x, y, vectors, row0, center0, c + tile_cols, room[slot ^ 1]);
#pragma unroll 1
      for (int s = 0; s < tile_cols; s += canonical_lanes) add_columns<difference>(room[slot], at, s, sum);
      slot ^= 1;
    }
    float d2[4];
    fold_tile(sum, at, d2);
    const int row = row0 + at.row + at.quad, center = center0 + at.center;
    offer_tile(sink, row, row < rows, center, centers - center, at.center == 0, d2);
  }
}

// ---- pairs one by one ---------------------------------------------------------------------------------------

/// The columns c, ..., c + 3 of a row, 0 past the end.
__device__ inline float4 quad_of(const float* row, index_t c, index_t cols) {
  if (c + 4 <= cols) return *reinterpret_cast<const float4*>(row + c);
  return {c < cols ? row[c] : 0.0f, c + 1 < cols ? row[c + 1] : 0.0f, c + 2 < cols ? row[c + 2] : 0.0f, 0.0f};
}

/// `Threads` threads share a pair: 4 with vectors, else 16.
template <int Threads, class Sink>
__global__ void __launch_bounds__(block_threads)
    canonical_pairs_kernel(matrix_view<const float> x, matrix_view<const float> y, const uint2* pairs,
                           const unsigned* pair_count, unsigned room, Sink sink) {
  const unsigned count = min(*pair_count, room);
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  const int lane = int(thread % Threads);
  // Whole warps go around together.
  for (unsigned first = thread / 32 * (32 / Threads); first < count;
       first += gridDim.x * (blockDim.x / Threads)) {
    const unsigned p = first + thread % 32 / Threads;
    const uint2 pair = p < count ? pairs[p] : uint2{no_row, 0};
    const bool there = pair.x != no_row;
    const float* const a = x.row(there ? index_t(pair.x) : 0);
    const float* const b = y.row(there ? index_t(pair.y) : 0);
    float d2;
    if constexpr (Threads == 4) {
      float sum[4] = {};
#pragma unroll 4
      for (index_t c = lane * 4; c < x.cols; c += canonical_lanes)
        add_quad<difference>(quad_of(a, c, x.cols), quad_of(b, c, x.cols), sum);
      d2 = fold_quads(sum);
    } else {
      float sum = 0;
#pragma unroll 8
      for (index_t c = lane; c < x.cols; c += canonical_lanes) sum = difference::step(a[c], b[c], sum);
      d2 = warp_sum(sum, canonical_lanes);
    }
    if (there && lane == 0) offer(sink, pair.x, d2, int(pair.y));
  }
}

constexpr index_t most_rows = 1 << 28;  // of a launch: the kernels count in 32 bits

}  // namespace

void begin_nearest(const device_memory& memory, vector_view<nearest_key> keys) {
  if (keys.empty()) return;
  launch(memory.call(), "begin_nearest_kernel",
         {grid_of(keys.size, block_threads), block_threads, 0, memory.stream()}, begin_nearest_kernel, keys);
}

void end_nearest(const device_memory& memory, vector_view<const nearest_key> keys, index_t first, float* d2,
                 index_t* which) {
  if (keys.empty()) return;
  launch(memory.call(), "end_nearest_kernel",
         {grid_of(keys.size, block_threads), block_threads, 0, memory.stream()}, end_nearest_kernel, keys,
         first, d2, which);
}

template <class Sink>
void all_canonical(const device_memory& memory, matrix_view<const float> points,
                   matrix_view<const float> centers, Sink sink) {
  if (centers.rows == 0) return;
  for (index_t first = 0; first < points.rows; first += most_rows) {
    const auto some = rows_between(points, first, std::min(points.rows, first + most_rows));
    const index_t blocks =
        (some.rows + tile_rows - 1) / tile_rows * ((centers.rows + tile_centers - 1) / tile_centers);
    launch(memory.call(), "canonical_tiles_kernel", {grid_of(blocks, 1), block_threads, 0, memory.stream()},
           canonical_tiles_kernel<Sink>, some, centers, has_vectors(some) && has_vectors(centers), nullptr,
           nullptr, sink.from(first));
  }
}

template <class Sink>
void listed_canonical(const device_memory& memory, matrix_view<const float> points,
                      matrix_view<const float> centers, const pair_list& listed, index_t most_tiles,
                      int multiprocessors, Sink sink) {
  const bool vectors = has_vectors(points) && has_vectors(centers);
  const auto pairs_kernel = vectors ? canonical_pairs_kernel<4, Sink> : canonical_pairs_kernel<16, Sink>;
  const index_t pair_threads = index_t(listed.pair_room) * (vectors ? 4 : 16);
  launch(
      memory.call(), "canonical_pairs_kernel",
      {grid_of(pair_threads, block_threads, 8 * index_t(multiprocessors)), block_threads, 0, memory.stream()},
      pairs_kernel, points, centers, listed.pairs, listed.pair_count, listed.pair_room, sink);
  constexpr index_t parts = listed_edge / tile_centers;
  launch(memory.call(), "canonical_tiles_kernel",
         {grid_of(most_tiles * parts, 1, 2 * index_t(multiprocessors)), block_threads, 0, memory.stream()},
         canonical_tiles_kernel<Sink>, points, centers, vectors, listed.tiles, listed.tile_count, sink);
}

template void all_canonical(const device_memory&, matrix_view<const float>, matrix_view<const float>,
                            least_distance);
template void all_canonical(const device_memory&, matrix_view<const float>, matrix_view<const float>,
                            nearest_reference);
template void all_canonical(const device_memory&, matrix_view<const float>, matrix_view<const float>,
                            all_distances);
template void listed_canonical(const device_memory&, matrix_view<const float>, matrix_view<const float>,
                               const pair_list&, index_t, int, least_distance);
template void listed_canonical(const device_memory&, matrix_view<const float>, matrix_view<const float>,
                               const pair_list&, index_t, int, nearest_reference);

}  // namespace poolwise
