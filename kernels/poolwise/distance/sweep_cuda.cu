// Tensor cores by mma.sync with operands from cp.async and ldmatrix: that runs on every device since sm_80.
// Not written: wgmma (sm_90) and tcgen05 (sm_100), which read both operands from shared memory by descriptor.
// [model] mma.sync reaches about 60 % of Hopper's bf16 peak and less of Blackwell's; they would bring a sweep
// of 512 columns, the filter's epilogue included, from about 17 to 11 ms for 10^13 operations on sm_90.
#include <cuda_bf16.h>

#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/distance/detail/canonical_tree.cuh"
#include "poolwise/distance/detail/sweep_cuda.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {
namespace {

// ---- bf16 copies --------------------------------------------------------------------------------------------

constexpr int origin_sample = 256;
constexpr float too_large = 0x1p120f;  // squared norms from here on could overflow on the way

/// Columns of the copy: whole steps of the filter.
constexpr int k_step = 32;
POOLWISE_HD inline index_t narrowed_pitch(index_t cols) { return (cols + k_step - 1) / k_step * k_step; }

/// What is known of a row and its rounding, all of it NaN where nothing is: then no comparison excludes.
///   x, y  half of |y^|^2, from below and from above
///   z     |y^| from above      w  |y - y^| from above
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

/// A warp takes a row. limits: the largest norm and residual of all rows, as bits, or null.
__global__ void __launch_bounds__(256)
    narrow_rows_kernel(matrix_view<const float> x, const float* origin, __nv_bfloat16* values, float4* facts,
                       unsigned* limits) {
  const index_t row = (index_t(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  const int lane = int(threadIdx.x % 32);
  if (row >= x.rows) return;
  const index_t pitch = narrowed_pitch(x.cols);
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
  atomicMax(limits, __float_as_uint(known.z));
  atomicMax(limits + 1, __float_as_uint(known.w));
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

// ---- where distances go -------------------------------------------------------------------------------------

/// Distances are never below 0, so their bits order as they do; a NaN comes last, ties go to the lower centre.
__device__ inline nearest_key key_of(float d2, unsigned center) {
  return nearest_key(__float_as_uint(d2)) << 32 | center;
}
constexpr nearest_key no_center = ~nearest_key{0};

/// The least distance. Floats that are not negative compare as their bits do.
struct least_distance {
  static constexpr bool keeps_all = false;
  float* m;

  __device__ void offer(index_t row, float d2, int) const {
    if (d2 < m[row]) atomicMin(reinterpret_cast<int*>(m) + row, __float_as_int(d2));
  }
  __host__ __device__ const float* bounds() const { return m; }
  static constexpr int bound_step = 1;
  static constexpr bool ties = false;  // a pair at the bound does not matter
  least_distance from(index_t row) const { return {m + row}; }
};

struct nearest_reference {
  static constexpr bool keeps_all = false;
  nearest_key* nearest;
  std::uint32_t first;

  __device__ void offer(index_t row, float d2, int center) const {
    const nearest_key key = key_of(d2, first + unsigned(center));
    if (key < nearest[row]) atomicMin(nearest + row, key);
  }
  /// The upper words, on a little-endian device.
  const float* bounds() const { return reinterpret_cast<const float*>(nearest) + 1; }
  static constexpr int bound_step = 2;
  static constexpr bool ties = true;
  nearest_reference from(index_t row) const { return {nearest + row, first}; }
};

__global__ void begin_nearest_kernel(vector_view<nearest_key> keys) {
  const index_t i = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < keys.size) keys[i] = no_reference;
}

__global__ void end_nearest_kernel(vector_view<const nearest_key> keys, index_t first, float* d2,
                                   index_t* which) {
  const index_t i = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= keys.size) return;
  const nearest_key key = __ldg(keys.data + i);  // as a whole, not half by half
  const float found = __uint_as_float(unsigned(key >> 32));
  if (first > 0 && !(found < d2[i])) return;
  d2[i] = found;
  if (which != nullptr) which[i] = first + index_t(unsigned(key));
}

struct all_distances {
  static constexpr bool keeps_all = true;
  float* d2;
  index_t pitch;

  __device__ void offer(index_t row, float value, int center) const { d2[row * pitch + center] = value; }
};

// ---- the canonical kernel -----------------------------------------------------------------------------------

constexpr int tile_rows = 64, tile_centers = 16, tile_cols = 32;
constexpr int tile_pitch = tile_cols + 4;  // rows four apart lie in different banks
constexpr int listed_edge = 64;            // rows and centres of a listed tile

/// The columns c, ..., c + 3 of a row, 0 past the end.
__device__ inline float4 quad_of(const float* row, index_t c, index_t cols) {
  if (c + 4 <= cols) return *reinterpret_cast<const float4*>(row + c);
  return {c < cols ? row[c] : 0.0f, c + 1 < cols ? row[c + 1] : 0.0f, c + 2 < cols ? row[c + 2] : 0.0f, 0.0f};
}

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

/// A block takes 64 rows and 16 centres at a time, a warp 8 rows, a thread 4 rows by 4 centres and, of each
/// pair, four of the sixteen partial sums. Columns past the end count as 0 on both sides, which adds nothing.
/// tiles: the 64 x 64 pairs that begin at (row, centre), or null for all pairs.
template <class Sink>
__global__ void __launch_bounds__(256, 2)
    canonical_tiles_kernel(matrix_view<const float> x, matrix_view<const float> y, bool vectors,
                           const uint2* tiles, const unsigned* tile_count, Sink sink) {
  __shared__ __align__(16) float xs[2][tile_rows][tile_pitch];
  __shared__ __align__(16) float ys[2][tile_centers][tile_pitch];
  constexpr unsigned parts = listed_edge / tile_centers;
  const int t = int(threadIdx.x), lane = t % 32;
  const int quad = lane % 4, group = lane / 4 % 4;
  const int my_row = t / 32 * 8 + lane / 16 * 4;
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
    // Rows past the end are the last one, whose distances nobody takes.
    const auto load = [&](index_t c, int slot) {
      if (vectors) {
        const index_t at = c + t % 8 * 4;
#pragma unroll
        for (int i = 0; i < 2; ++i)
          bring_quad(&xs[slot][t / 8 + i * 32][t % 8 * 4], x.row(min(row0 + t / 8 + i * 32, rows - 1)), at,
                     x.cols);
        if (t < tile_centers * 8)
          bring_quad(&ys[slot][t / 8][t % 8 * 4], y.row(min(center0 + t / 8, centers - 1)), at, y.cols);
      } else {
        const index_t at = c + lane;
#pragma unroll 2
        for (int r = t / 32; r < tile_rows; r += 8)
          bring<1>(&xs[slot][r][lane], x.row(min(row0 + r, rows - 1)) + at, at < x.cols);
        for (int r = t / 32; r < tile_centers; r += 8)
          bring<1>(&ys[slot][r][lane], y.row(min(center0 + r, centers - 1)) + at, at < y.cols);
      }
    };

    float sum[4][4][4] = {};  // row, centre, partial sum
    __syncthreads();          // of the tile before, all has been read
    if (x.cols > 0) load(0, 0);
    int slot = 0;
    for (index_t c = 0; c < x.cols; c += tile_cols) {
      wait_for_copies();
      __syncthreads();
      if (c + tile_cols < x.cols) load(c + tile_cols, slot ^ 1);
#pragma unroll 1
      for (int s = 0; s < tile_cols; s += canonical_lanes) {
        float4 b[4];
#pragma unroll
        for (int j = 0; j < 4; ++j)
          b[j] = *reinterpret_cast<const float4*>(&ys[slot][group * 4 + j][s + quad * 4]);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float4 a = *reinterpret_cast<const float4*>(&xs[slot][my_row + i][s + quad * 4]);
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            sum[i][j][0] = __fmaf_rn(a.x - b[j].x, a.x - b[j].x, sum[i][j][0]);
            sum[i][j][1] = __fmaf_rn(a.y - b[j].y, a.y - b[j].y, sum[i][j][1]);
            sum[i][j][2] = __fmaf_rn(a.z - b[j].z, a.z - b[j].z, sum[i][j][2]);
            sum[i][j][3] = __fmaf_rn(a.w - b[j].w, a.w - b[j].w, sum[i][j][3]);
          }
        }
      }
      slot ^= 1;
    }

    // Partial sums j and j + 8, then j + 4, lie in different threads. Each of the four hands over the rows of
    // the others and is left with row `quad`.
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
#pragma unroll
        for (int p = 0; p < 4; ++p) {
          const float keep = quad & 2 ? sum[i + 2][j][p] : sum[i][j][p];
          const float give = quad & 2 ? sum[i][j][p] : sum[i + 2][j][p];
          sum[i][j][p] = keep + __shfl_xor_sync(whole_warp, give, 2);
        }
    float d2[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float four[4];
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        const float keep = quad & 1 ? sum[1][j][p] : sum[0][j][p];
        const float give = quad & 1 ? sum[0][j][p] : sum[1][j][p];
        four[p] = keep + __shfl_xor_sync(whole_warp, give, 1);
      }
      d2[j] = (four[0] + four[2]) + (four[1] + four[3]);
    }

    const int row = row0 + my_row + quad, center = center0 + group * 4;
    if constexpr (Sink::keeps_all) {
#pragma unroll
      for (int j = 0; j < 4; ++j)
        if (row < rows && center + j < centers) sink.offer(row, d2[j], center + j);
    } else {
      nearest_key best = no_center;
#pragma unroll
      for (int j = 0; j < 4; ++j)
        if (center + j < centers) best = min(best, key_of(d2[j], unsigned(center + j)));
      best = warp_min(best, 4, 4);
      if (group == 0 && row < rows) sink.offer(row, __uint_as_float(unsigned(best >> 32)), int(unsigned(best)));
    }
  }
}

// ---- pairs one by one ---------------------------------------------------------------------------------------

constexpr unsigned no_row = 0xffffffffu;  // of a place in the list that stayed empty

/// Threads threads share a pair: 4 with vectors, else 16.
template <int Threads, class Sink>
__global__ void __launch_bounds__(256)
    settle_pairs_kernel(matrix_view<const float> x, matrix_view<const float> y, const uint2* pairs,
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
      float4 sum = {0, 0, 0, 0};
#pragma unroll 4
      for (index_t c = lane * 4; c < x.cols; c += canonical_lanes) {
        const float4 u = quad_of(a, c, x.cols), v = quad_of(b, c, x.cols);
        sum.x = __fmaf_rn(u.x - v.x, u.x - v.x, sum.x);
        sum.y = __fmaf_rn(u.y - v.y, u.y - v.y, sum.y);
        sum.z = __fmaf_rn(u.z - v.z, u.z - v.z, sum.z);
        sum.w = __fmaf_rn(u.w - v.w, u.w - v.w, sum.w);
      }
      d2 = fold_quads(sum);
    } else {
      float sum = 0;
#pragma unroll 8
      for (index_t c = lane; c < x.cols; c += canonical_lanes) sum = __fmaf_rn(a[c] - b[c], a[c] - b[c], sum);
      d2 = warp_sum(sum, canonical_lanes);
    }
    if (there && lane == 0) sink.offer(pair.x, d2, int(pair.y));
  }
}

// ---- the filter ---------------------------------------------------------------------------------------------

constexpr int block_rows = 256, block_centers = 128, stages = 3;
constexpr int warp_edge = 64;  // rows and centres of a warp
constexpr int step_bytes = k_step * 2, stage_bytes = (block_rows + block_centers) * step_bytes;
constexpr int filter_shared_bytes = stages * stage_bytes;
static_assert(warp_edge == listed_edge);

struct filter_job {
  const __nv_bfloat16* x;
  const float4* x_facts;
  int rows;
  const __nv_bfloat16* y;
  const float4* y_facts;
  int centers;
  int pitch;
  const float* bounds;
  int bound_step;
  bool ties;
  const unsigned* limits;  // the largest norm and residual of the centres, as bits
  float products, canonical, underflow;
  uint2* pairs;
  unsigned pair_room;
  uint2* tiles;
  unsigned *pair_count, *tile_count;
  unsigned long long* survivors;
};

#if __CUDA_ARCH__ >= 800

__device__ inline void copy_16_async(unsigned to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

__device__ inline void load_matrices(unsigned (&r)[4], unsigned from) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from)
               : "memory");
}

__device__ inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Where the 16 bytes `chunk` of a 64-byte row of a stage lie: eight neighbouring rows fill all banks.
__device__ inline int swizzled(int row, int chunk) { return row * step_bytes + (chunk ^ (row / 2 % 4)) * 16; }

#endif

/// A block keeps 256 rows and goes through its centres, 128 at a time; warps hold 64 x 64 products each. The
/// ring of stages runs on from one tile of centres to the next, behind the filtering of the last.
__global__ void __launch_bounds__(256, 1) exclude_by_bf16_kernel(filter_job job) {
#if __CUDA_ARCH__ >= 800
  // From so many survivors of a tile on, all its pairs are settled.
  constexpr unsigned crowded = warp_edge * warp_edge / 8;
  extern __shared__ __align__(128) unsigned char stage[];
  __shared__ float row_above[block_rows], row_below[block_rows], row_reach[block_rows];
  __shared__ int row_least[block_rows];
  __shared__ float4 center[block_centers];  // what a centre adds to a limit, r_z, and half of |z^|^2 from above

  const int t = int(threadIdx.x), lane = t % 32, warp = t / 32;
  const int warp_row = warp / 2 * warp_edge, warp_center = warp % 2 * warp_edge;
  const int row0 = int(blockIdx.x) * block_rows;
  const int steps = job.pitch / k_step;
  const int tiles = (job.centers + block_centers - 1) / block_centers;
  const int my_tiles = (tiles - int(blockIdx.y) + int(gridDim.y) - 1) / int(gridDim.y);
  const int total = my_tiles * steps;

  // Each thread brings four chunks of rows and two of centres to a stage. What lies past the end is another
  // row, whose products nobody reads.
  const auto base = unsigned(__cvta_generic_to_shared(stage));
  const __nv_bfloat16* row_from[4];
#pragma unroll
  for (int i = 0; i < 4; ++i)
    row_from[i] = job.x + index_t(min(row0 + t / 4 + i * 64, job.rows - 1)) * job.pitch + t % 4 * 8;
  int loading_tile = int(blockIdx.y), loading_step = 0;
  const auto load = [&](int slot) {
    const unsigned to = base + unsigned(slot * stage_bytes);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      copy_16_async(to + unsigned(swizzled(t / 4 + i * 64, t % 4)), row_from[i] + loading_step * k_step);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int c = min(loading_tile * block_centers + t / 4 + i * 64, job.centers - 1);
      copy_16_async(to + unsigned(block_rows * step_bytes + swizzled(t / 4 + i * 64, t % 4)),
                    job.y + index_t(c) * job.pitch + loading_step * k_step + t % 4 * 8);
    }
    if (++loading_step == steps) {
      loading_step = 0;
      loading_tile += int(gridDim.y);
    }
  };

  // Thread t keeps what belongs to row t.
  const float inf = __int_as_float(0x7f800000);
  const int my_row = min(row0 + t, job.rows - 1);
  const float4 mine = job.x_facts[my_row];
  const float product_error = job.products * mine.z * __uint_as_float(job.limits[0]) + job.underflow;
  const float largest_residual = __uint_as_float(job.limits[1]);
  float bound = job.bounds[index_t(my_row) * job.bound_step];
  const bool idle = !job.ties && bound <= 0;  // nothing is nearer
  if (job.ties) bound = bound * (1 + 0x1p-20f) + job.underflow;
  row_above[t] = mine.y + product_error;

  float sum[4][8][4] = {};  // 16 rows, 8 centres, the four of a thread
#pragma unroll
  for (int i = 0; i < stages - 1; ++i) {
    if (i < total) load(i);
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  int slot = 0, step = 0, tile = int(blockIdx.y);
  for (int it = 0; it < total; ++it) {
    asm volatile("cp.async.wait_group %0;" ::"n"(stages - 2) : "memory");
    __syncthreads();
    if (it + stages - 1 < total) load((slot + stages - 1) % stages);
    asm volatile("cp.async.commit_group;" ::: "memory");
    const unsigned rows_at = base + unsigned(slot * stage_bytes);
    const unsigned centers_at = rows_at + block_rows * step_bytes;
    slot = (slot + 1) % stages;
#pragma unroll
    for (int k = 0; k < k_step / 16; ++k) {
      unsigned a[4][4], b[4][4];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        load_matrices(a[i], rows_at + unsigned(swizzled(warp_row + i * 16 + lane % 16, k * 2 + lane / 16)));
#pragma unroll
      for (int j = 0; j < 4; ++j)
        load_matrices(b[j], centers_at + unsigned(swizzled(warp_center + j * 16 + lane % 8 + lane / 16 * 8,
                                                           k * 2 + lane / 8 % 2)));
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j) multiply_add(sum[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
    if (++step < steps) continue;
    step = 0;
    const int center0 = tile * block_centers;
    tile += int(gridDim.y);

    if (t < block_centers) {
      const int c = center0 + t;
      const float nan = __int_as_float(0x7fffffff);
      const float4 f = c < job.centers ? job.y_facts[c] : float4{nan, nan, nan, nan};
      center[t] = {f.x - 0.5f * f.w * f.w * (1 + 0x1p-20f), f.w, f.y, 0};
    }
    row_least[t] = __float_as_int(inf);
    __syncthreads();

    // The least |z^|^2 / 2 - y^.z^ of every row. fminf passes over a NaN, a centre of which nothing is known.
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float least = inf;
#pragma unroll
        for (int j = 0; j < 8; ++j) {
          const int c = warp_center + j * 8 + lane % 4 * 2;
          least = fminf(least, center[c].z - sum[i][j][h * 2]);
          least = fminf(least, center[c + 1].z - sum[i][j][h * 2 + 1]);
        }
        least = warp_min(least, 4);
        const int row = warp_row + i * 16 + h * 8 + lane / 4;
        if (lane % 4 == 0) atomicMin(&row_least[row], __float_as_int(fmaxf(least + row_above[row], 0.0f)));
      }
    __syncthreads();

    // Some centre is no farther than this: what surely is cannot be the nearest.
    const float far = sqrtf(2 * __int_as_float(row_least[t])) * (1 + 0x1p-20f) + mine.w + largest_residual;
    bound = fminf(bound, far * far * (1 + job.canonical) + job.underflow);
    const float reach = (sqrtf((bound + job.underflow) * (1 + job.canonical)) + mine.w) * (1 + 0x1p-20f);
    row_reach[t] = idle ? 0.0f : reach;
    row_below[t] = idle ? inf : (mine.x - product_error) - 0.5f * reach * reach * (1 + 0x1p-20f);
    __syncthreads();

    // A pair is out where y^.z^ <= (|y^|^2 - reach^2) / 2 + (|z^|^2 - r_z^2) / 2 - reach r_z. A NaN is not.
    unsigned left[4] = {};
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const int c = warp_center + j * 8 + lane % 4 * 2;
      const float4 even = center[c], odd = center[c + 1];
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int row = warp_row + i * 16 + h * 8 + lane / 4;
          const float below = row_below[row], far_row = row_reach[row];
          if (!(sum[i][j][h * 2] <= __fmaf_rn(-far_row, even.y, below + even.x)))
            left[i] |= 1u << (j * 4 + h * 2);
          if (!(sum[i][j][h * 2 + 1] <= __fmaf_rn(-far_row, odd.y, below + odd.x)))
            left[i] |= 2u << (j * 4 + h * 2);
        }
    }
    const auto row_of = [&](int i, int bit) { return row0 + warp_row + i * 16 + bit / 2 % 2 * 8 + lane / 4; };
    const auto center_of = [&](int bit) {
      return center0 + warp_center + bit / 4 * 8 + lane % 4 * 2 + bit % 2;
    };
    unsigned mine_left = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (row0 + block_rows > job.rows || center0 + block_centers > job.centers)
        for (unsigned bits = left[i]; bits != 0; bits &= bits - 1) {
          const int bit = __ffs(int(bits)) - 1;
          if (row_of(i, bit) >= job.rows || center_of(bit) >= job.centers) left[i] &= ~(1u << bit);
        }
      mine_left += unsigned(__popc(left[i]));
#pragma unroll
      for (int j = 0; j < 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sum[i][j][e] = 0;
    }

    unsigned all = 0;
    const unsigned before = warp_sum_before(mine_left, all);
    if (all == 0) continue;
    unsigned place = 0;
    if (lane == 0) {
      atomicAdd(job.survivors, static_cast<unsigned long long>(all));
      if (all <= crowded) place = atomicAdd(job.pair_count, all);
    }
    place = __shfl_sync(whole_warp, place, 0);
    if (all > crowded || all > job.pair_room || place > job.pair_room - all) {
      if (all <= crowded)  // the places it has taken stay empty
        for (unsigned p = place + unsigned(lane); p < job.pair_room && p - place < all; p += 32)
          job.pairs[p] = {no_row, 0};
      if (lane == 0)
        job.tiles[atomicAdd(job.tile_count, 1u)] = {unsigned(row0 + warp_row), unsigned(center0 + warp_center)};
      continue;
    }
    place += before;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      for (unsigned bits = left[i]; bits != 0; bits &= bits - 1) {
        const int bit = __ffs(int(bits)) - 1;
        job.pairs[place++] = {unsigned(row_of(i, bit)), unsigned(center_of(bit))};
      }
  }
#else
  __trap();  // narrows() keeps it from being launched
#endif
}

// ---- host ---------------------------------------------------------------------------------------------------

constexpr index_t most_slab = 1 << 18;  // rows of a launch: what it lists stays small
constexpr index_t pairs_per_row = 4;    // that are listed
constexpr index_t narrow_cols = 32;     // rows narrower than this, ...
constexpr index_t few_centers = 16;     // ... or so few centres, or ...
constexpr index_t wide_cols = 1 << 20;  // ... rows wider than the bound speaks of: the canonical kernel

constexpr index_t most_canonical = 1 << 28;  // rows of a launch of the canonical kernel: it counts in 32 bits

matrix_view<const float> some_of(matrix_view<const float> x, index_t first, index_t rows) {
  return {x.row(first), std::min(rows, x.rows - first), x.cols, x.stride};
}

index_t slab_of(index_t rows) { return std::min(rows, most_slab); }
index_t tiles_of(index_t rows, index_t centers) {
  return grid_of(rows, block_rows) * (block_rows / warp_edge) * grid_of(centers, block_centers) *
         (block_centers / warp_edge);
}

// Words of the counters: two of 32 bits that a launch begins at 0, and one of 64 that goes on.
constexpr index_t counter_words = 3;  // [0] pairs and tiles, [1] survivors, [2] largest norm and residual

template <class Kernel>
void allow_shared(Kernel kernel, const char* call) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, filter_shared_bytes), call,
        "asking for shared memory");
}

}  // namespace

void begin_nearest(const device_memory& memory, vector_view<nearest_key> keys) {
  if (keys.empty()) return;
  begin_nearest_kernel<<<grid_of(keys.size, 256), 256, 0, memory.stream()>>>(keys);
  check(cudaGetLastError(), memory.call(), "launching begin_nearest_kernel");
}

void end_nearest(const device_memory& memory, vector_view<const nearest_key> keys, index_t first, float* d2,
                 index_t* which) {
  if (keys.empty()) return;
  end_nearest_kernel<<<grid_of(keys.size, 256), 256, 0, memory.stream()>>>(keys, first, d2, which);
  check(cudaGetLastError(), memory.call(), "launching end_nearest_kernel");
}

std::size_t canonical_sweep::narrowed_bytes(index_t cols, index_t rows) {
  return std::size_t(rows) * (std::size_t(narrowed_pitch(cols)) * sizeof(std::uint16_t) + sizeof(float4));
}

std::size_t canonical_sweep::scratch_bytes(index_t cols, index_t rows, index_t centers) {
  const index_t slab = slab_of(rows), some = std::min(centers, most_centers);
  return narrowed_bytes(cols, some) + std::size_t(slab * pairs_per_row + tiles_of(slab, some)) * sizeof(uint2) +
         std::size_t(cols) * sizeof(float) + counter_words * sizeof(unsigned long long);
}

canonical_sweep::canonical_sweep(device_memory& memory, int device, index_t cols, index_t rows, index_t centers,
                                 path allowed)
    : memory_(memory), cols_(cols) {
  check(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, device), memory.call(),
        "asking for the multiprocessors");
  room_ = std::min(centers, most_centers);
  slab_ = slab_of(rows);
  if (allowed == path::canonical || cols < narrow_cols || cols > wide_cols || centers <= few_centers ||
      rows == 0)
    return;
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, exclude_by_bf16_kernel), memory.call(), "asking about a kernel");
  if (attributes.ptxVersion < 80) return;
  // Copies of a slab at a time, of as many rows as there is room for, where none are kept.
  const std::size_t left = memory.left();
  while (slab_ > block_rows && scratch_bytes(cols, slab_, centers) + narrowed_bytes(cols, slab_) > left)
    slab_ /= 2;
  if (scratch_bytes(cols, slab_, centers) + narrowed_bytes(cols, slab_) > left) return;
  allow_shared(exclude_by_bf16_kernel, memory.call());
  tensor_cores_ = true;
  origin_ = memory.array<float>(cols);
  check(cudaMemsetAsync(origin_.data(), 0, std::size_t(cols) * sizeof(float), memory.stream()), memory.call(),
        "clearing the origin");
  narrow_centers_ = {memory.array<std::uint16_t>(room_ * narrowed_pitch(cols)), memory.array<float4>(room_)};
  pairs_ = memory.array<uint2>(slab_ * pairs_per_row);
  tiles_ = memory.array<uint2>(tiles_of(slab_, room_));
  counts_ = memory.array<unsigned long long>(counter_words);
  check(cudaMemsetAsync(counts_.data(), 0, counter_words * sizeof(unsigned long long), memory.stream()),
        memory.call(), "clearing the counters");
}

bool canonical_sweep::narrows(index_t centers) const { return tensor_cores_ && centers > few_centers; }

void canonical_sweep::set_origin(matrix_view<const float> points) {
  if (!tensor_cores_ || points.rows == 0) return;
  const auto rows = int(std::min<index_t>(points.rows, origin_sample));
  mean_kernel<<<grid_of(cols_, 64), 64, 0, memory_.stream()>>>(points, points.rows / rows, rows,
                                                               origin_.data());
  check(cudaGetLastError(), memory_.call(), "launching mean_kernel");
}

void canonical_sweep::narrow(matrix_view<const float> points, std::uint16_t* values, float4* facts,
                             unsigned* limits) {
  narrow_rows_kernel<<<grid_of(points.rows * 32, 256), 256, 0, memory_.stream()>>>(
      points, origin_.data(), reinterpret_cast<__nv_bfloat16*>(values), facts, limits);
  check(cudaGetLastError(), memory_.call(), "launching narrow_rows_kernel");
}

narrowed_rows canonical_sweep::narrow(matrix_view<const float> points) {
  narrowed_rows kept{memory_.array<std::uint16_t>(points.rows * narrowed_pitch(cols_)),
                     memory_.array<float4>(points.rows)};
  if (points.rows > 0) narrow(points, kept.values.data(), kept.facts.data(), nullptr);
  return kept;
}

void canonical_sweep::set_centers(matrix_view<const float> c) {
  centers_ = c;
  if (!narrows(c.rows)) return;
  auto* const limits = reinterpret_cast<unsigned*>(counts_.data() + 2);
  check(cudaMemsetAsync(limits, 0, 2 * sizeof(unsigned), memory_.stream()), memory_.call(), "clearing limits");
  narrow(c, narrow_centers_.values.data(), narrow_centers_.facts.data(), limits);
}

template <class Sink>
void canonical_sweep::canonical(matrix_view<const float> points, Sink sink) {
  if (points.rows == 0 || centers_.rows == 0) return;
  const index_t blocks =
      (points.rows + tile_rows - 1) / tile_rows * ((centers_.rows + tile_centers - 1) / tile_centers);
  canonical_tiles_kernel<<<grid_of(blocks, 1), 256, 0, memory_.stream()>>>(
      points, centers_, has_vectors(points) && has_vectors(centers_), nullptr, nullptr, sink);
  check(cudaGetLastError(), memory_.call(), "launching canonical_tiles_kernel");
}

template <class Sink>
void canonical_sweep::filter_and_settle(matrix_view<const float> points, const std::uint16_t* values,
                                        const float4* facts, Sink sink) {
  auto* const counters = reinterpret_cast<unsigned*>(counts_.data());
  check(cudaMemsetAsync(counters, 0, 2 * sizeof(unsigned), memory_.stream()), memory_.call(),
        "clearing the counters");
  const float canonical_error = float(cols_ / canonical_lanes + 9) * 0x1p-23f + 0x1p-18f;
  const filter_job job{reinterpret_cast<const __nv_bfloat16*>(values),
                       facts,
                       int(points.rows),
                       reinterpret_cast<const __nv_bfloat16*>(narrow_centers_.values.data()),
                       narrow_centers_.facts.data(),
                       int(centers_.rows),
                       int(narrowed_pitch(cols_)),
                       sink.bounds(),
                       Sink::bound_step,
                       Sink::ties,
                       counters + 4,
                       float(narrowed_pitch(cols_) + 16) * 0x1p-22f,
                       canonical_error,
                       float(cols_) * 0x1p-118f,
                       pairs_.data(),
                       unsigned(pairs_.size()),
                       tiles_.data(),
                       counters,
                       counters + 1,
                       counts_.data() + 1};
  const index_t across = grid_of(points.rows, block_rows), deep = grid_of(centers_.rows, block_centers);
  const dim3 grid(unsigned(across), unsigned(std::clamp<index_t>(2 * processors_ / across, 1, deep)));
  exclude_by_bf16_kernel<<<grid, 256, filter_shared_bytes, memory_.stream()>>>(job);
  check(cudaGetLastError(), memory_.call(), "launching exclude_by_bf16_kernel");
  const bool vectors = has_vectors(points) && has_vectors(centers_);
  const auto settle = vectors ? settle_pairs_kernel<4, Sink> : settle_pairs_kernel<16, Sink>;
  const index_t most_blocks = 8 * index_t(processors_);
  settle<<<grid_of(pairs_.size() * (vectors ? 4 : 16), 256, most_blocks), 256, 0, memory_.stream()>>>(
      points, centers_, pairs_.data(), counters, unsigned(pairs_.size()), sink);
  check(cudaGetLastError(), memory_.call(), "launching settle_pairs_kernel");
  canonical_tiles_kernel<<<grid_of(tiles_of(points.rows, centers_.rows) * 4, 1, 2 * index_t(processors_)), 256,
                           0, memory_.stream()>>>(points, centers_, vectors, tiles_.data(), counters + 1, sink);
  check(cudaGetLastError(), memory_.call(), "launching canonical_tiles_kernel");
}

template <class Sink>
void canonical_sweep::sweep(matrix_view<const float> points, const narrowed_rows* kept, Sink sink) {
  if (!narrows(centers_.rows)) {
    for (index_t first = 0; first < points.rows; first += most_canonical)
      canonical(some_of(points, first, most_canonical), sink.from(first));
    return;
  }
  const index_t pitch = narrowed_pitch(cols_);
  if (kept == nullptr && narrow_slab_.facts.size() == 0)
    narrow_slab_ = {memory_.array<std::uint16_t>(slab_ * pitch), memory_.array<float4>(slab_)};
  for (index_t first = 0; first < points.rows; first += slab_) {
    const auto slab = some_of(points, first, slab_);
    if (kept == nullptr) narrow(slab, narrow_slab_.values.data(), narrow_slab_.facts.data(), nullptr);
    filter_and_settle(slab, kept == nullptr ? narrow_slab_.values.data() : kept->values.data() + first * pitch,
                      kept == nullptr ? narrow_slab_.facts.data() : kept->facts.data() + first,
                      sink.from(first));
  }
}

void canonical_sweep::lower(matrix_view<const float> points, const narrowed_rows* kept, float* m) {
  sweep(points, kept, least_distance{m});
}

void canonical_sweep::lower(matrix_view<const float> points, const narrowed_rows* kept, nearest_key* nearest,
                            std::uint32_t first_reference) {
  sweep(points, kept, nearest_reference{nearest, first_reference});
}

void canonical_sweep::all_pairs(matrix_view<const float> points, float* d2, index_t pitch) {
  centers_ = points;
  canonical(points, all_distances{d2, pitch});
}

index_t canonical_sweep::survivors() const {
  unsigned long long count = 0;
  if (!tensor_cores_) return 0;
  copy_async(&count, counts_.data() + 1, 1, memory_);
  check(cudaStreamSynchronize(memory_.stream()), memory_.call(), "waiting for a count");
  return index_t(count);
}

}  // namespace poolwise
