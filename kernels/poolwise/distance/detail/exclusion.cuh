// How a block excludes pairs. It keeps its rows and goes through its centres, a tile at a time; warps hold 64 x
// 64 products each. The ring of stages runs on from one tile to the next, behind the filtering of the last.
//
// Tensor cores by mma.sync with operands from cp.async and ldmatrix: that runs on every device since sm_80.
// Not written: wgmma (sm_90) and tcgen05 (sm_100), which read both operands from shared memory by descriptor.
// [model] mma.sync reaches about 60 % of Hopper's bf16 peak and less of Blackwell's; they would bring a sweep
// of 512 columns, the filter's epilogue included, from about 17 to 11 ms for 10^13 operations on sm_90.
#pragma once

#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/distance/detail/exclude_pairs_cuda.hpp"

namespace poolwise {

__device__ inline void copy_16_async(unsigned to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

__device__ inline void end_stage() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Until no more than `Open` of the stages that were ended last are on their way.
template <int Open>
__device__ inline void wait_for_stages() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Open) : "memory");
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

template <class Tuning>
class exclusion {
 public:
  static constexpr int edge = listed_edge;  // rows and centres of a warp
  static constexpr int step_bytes = rounded_step * 2;
  static constexpr int stage_bytes = (Tuning::rows + Tuning::centers) * step_bytes;
  static constexpr int ring_bytes = Tuning::stages * stage_bytes;
  static_assert(Tuning::rows / edge * (Tuning::centers / edge) * 32 == Tuning::rows,
                "a warp has its own products");

  /// The warps tell each other this of a tile.
  struct notes {
    float row_above[Tuning::rows];   ///< half of |y^|^2 and the products' error, from above
    int row_least[Tuning::rows];     ///< half the least |y^ - z^|^2 in the tile, from above, as bits
    float row_reach[Tuning::rows];   ///< how near |y^ - z^| - r_z must come for a pair to matter
    float row_below[Tuning::rows];   ///< y^.z^ up to here excludes a centre z^ = 0 without residual
    float4 center[Tuning::centers];  ///< what a centre adds to that limit; r_z; half of |z^|^2 from above
  };

  __device__ __forceinline__ exclusion(const exclusion_job& job, unsigned char* ring, notes& known)
      : job_(job), known_(known), ring_(unsigned(__cvta_generic_to_shared(ring))) {}

  __device__ __forceinline__ void run() {
    const int tiles = (job_.centers + Tuning::centers - 1) / Tuning::centers;
    const int my_tiles = (tiles - int(blockIdx.y) + int(gridDim.y) - 1) / int(gridDim.y);
    const int total = my_tiles * steps_;
    begin(total);
    int slot = 0, step = 0, center0 = int(blockIdx.y) * Tuning::centers;
    for (int it = 0; it < total; ++it) {
      wait_for_stages<Tuning::stages - 2>();
      __syncthreads();  // the stage in `slot` is there, and nobody reads the one before it any more
      if (it + Tuning::stages - 1 < total) load((slot + Tuning::stages - 1) % Tuning::stages);
      end_stage();
      multiply(slot);
      slot = (slot + 1) % Tuning::stages;
      if (++step < steps_) continue;
      // Here the sums are whole products, and the whole block comes by.
      step = 0;
      know_centers(center0);
      find_least();
      tighten();
      filter();
      drop_outside(center0);
      list(center0);
      center0 += int(gridDim.y) * Tuning::centers;
    }
  }

 private:
  // Of a thread's sums, sum_[i][j][h * 2 + e] is the product of these, in the block and in the tile. It is bit
  // j * 4 + h * 2 + e of left_[i].
  __device__ int row_at(int i, int h) const { return warp_row_ + i * 16 + h * 8 + lane_ / 4; }
  __device__ int center_at(int j, int e) const { return warp_center_ + j * 8 + lane_ % 4 * 2 + e; }
  __device__ int row_of(int i, int bit) const { return row0_ + row_at(i, bit / 2 % 2); }
  __device__ int center_of(int bit) const { return center_at(bit / 4, bit % 2); }

  /// Where the 16 bytes `chunk` of a row of a stage lie: eight neighbouring rows fill all banks.
  __device__ static unsigned swizzled(int row, int chunk) {
    return unsigned(row * step_bytes + (chunk ^ (row / 2 % 4)) * 16);
  }

  /// Learns about this thread's row, and sends for all stages but one.
  __device__ __forceinline__ void begin(int total) {
#pragma unroll
    for (int i = 0; i < row_chunks; ++i)
      row_from_[i] =
          job_.x + index_t(min(row0_ + t_ / 4 + i * chunk_rows, job_.rows - 1)) * job_.pitch + t_ % 4 * 8;
    know_row();
#pragma unroll
    for (int i = 0; i < Tuning::stages - 1; ++i) {
      if (i < total) load(i);
      end_stage();
    }
  }

  /// Sends for the next columns of the rows and of a tile of centres: each thread for a chunk of every 64th.
  /// Past the end stands another row, whose products nobody reads.
  __device__ __forceinline__ void load(int slot) {
    const unsigned to = ring_ + unsigned(slot * stage_bytes);
#pragma unroll
    for (int i = 0; i < row_chunks; ++i)
      copy_16_async(to + swizzled(t_ / 4 + i * chunk_rows, t_ % 4),
                    row_from_[i] + loading_step_ * rounded_step);
#pragma unroll
    for (int i = 0; i < center_chunks; ++i) {
      const int c = min(loading_tile_ * Tuning::centers + t_ / 4 + i * chunk_rows, job_.centers - 1);
      copy_16_async(to + unsigned(Tuning::rows * step_bytes) + swizzled(t_ / 4 + i * chunk_rows, t_ % 4),
                    job_.y + index_t(c) * job_.pitch + loading_step_ * rounded_step + t_ % 4 * 8);
    }
    if (++loading_step_ == steps_) {
      loading_step_ = 0;
      loading_tile_ += int(gridDim.y);
    }
  }

  /// Adds the products of a stage's columns.
  __device__ __forceinline__ void multiply(int slot) {
    const unsigned rows_at = ring_ + unsigned(slot * stage_bytes);
    const unsigned centers_at = rows_at + unsigned(Tuning::rows * step_bytes);
#pragma unroll
    for (int k = 0; k < rounded_step / 16; ++k) {
      unsigned a[4][4], b[4][4];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        load_matrices(a[i], rows_at + swizzled(warp_row_ + i * 16 + lane_ % 16, k * 2 + lane_ / 16));
#pragma unroll
      for (int j = 0; j < 4; ++j)
        load_matrices(b[j], centers_at + swizzled(warp_center_ + j * 16 + lane_ % 8 + lane_ / 16 * 8,
                                                  k * 2 + lane_ / 8 % 2));
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j)
          multiply_add(sum_[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
  }

  /// This thread's row.
  __device__ __forceinline__ void know_row() {
    const int row = min(row0_ + t_, job_.rows - 1);
    mine_ = job_.x_facts[row];
    product_error_ = job_.product_error * mine_.z * __uint_as_float(job_.limits->norm) + job_.underflow;
    largest_residual_ = __uint_as_float(job_.limits->residual);
    bound_ = job_.bounds[index_t(row) * job_.bound_step];
    idle_ = !job_.ties && bound_ <= 0;  // nothing is nearer
    if (job_.ties) bound_ = bound_ * (1 + 0x1p-20f) + job_.underflow;
    known_.row_above[t_] = mine_.y + product_error_;
  }

  __device__ __forceinline__ void know_centers(int center0) {
    if (t_ < Tuning::centers) {
      const int c = center0 + t_;
      const float nan = __int_as_float(0x7fffffff);
      const float4 f = c < job_.centers ? job_.y_facts[c] : float4{nan, nan, nan, nan};
      known_.center[t_] = {f.x - 0.5f * f.w * f.w * (1 + 0x1p-20f), f.w, f.y, 0};
    }
    known_.row_least[t_] = __float_as_int(infinite());
    __syncthreads();
  }

  /// The least |z^|^2 / 2 - y^.z^ of every row. fminf passes over a NaN, a centre of which nothing is known.
  __device__ __forceinline__ void find_least() {
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float least = infinite();
#pragma unroll
        for (int j = 0; j < 8; ++j) {
          least = fminf(least, known_.center[center_at(j, 0)].z - sum_[i][j][h * 2]);
          least = fminf(least, known_.center[center_at(j, 1)].z - sum_[i][j][h * 2 + 1]);
        }
        least = warp_min(least, 4);
        const int row = row_at(i, h);
        if (lane_ % 4 == 0)
          atomicMin(&known_.row_least[row], __float_as_int(fmaxf(least + known_.row_above[row], 0.0f)));
      }
    __syncthreads();
  }

  /// Some centre is no farther than the least: what surely is cannot be the nearest.
  __device__ __forceinline__ void tighten() {
    const float far =
        sqrtf(2 * __int_as_float(known_.row_least[t_])) * (1 + 0x1p-20f) + mine_.w + largest_residual_;
    bound_ = fminf(bound_, far * far * (1 + job_.canonical_error) + job_.underflow);
    const float reach =
        (sqrtf((bound_ + job_.underflow) * (1 + job_.canonical_error)) + mine_.w) * (1 + 0x1p-20f);
    known_.row_reach[t_] = idle_ ? 0.0f : reach;
    known_.row_below[t_] =
        idle_ ? infinite() : (mine_.x - product_error_) - 0.5f * reach * reach * (1 + 0x1p-20f);
    __syncthreads();
  }

  /// A pair is out where y^.z^ <= (|y^|^2 - reach^2) / 2 + (|z^|^2 - r_z^2) / 2 - reach r_z. A NaN is not.
  __device__ __forceinline__ void filter() {
#pragma unroll
    for (int i = 0; i < 4; ++i) left_[i] = 0;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const float4 even = known_.center[center_at(j, 0)], odd = known_.center[center_at(j, 1)];
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const float below = known_.row_below[row_at(i, h)], reach = known_.row_reach[row_at(i, h)];
          if (!(sum_[i][j][h * 2] <= __fmaf_rn(-reach, even.y, below + even.x)))
            left_[i] |= 1u << (j * 4 + h * 2);
          if (!(sum_[i][j][h * 2 + 1] <= __fmaf_rn(-reach, odd.y, below + odd.x)))
            left_[i] |= 2u << (j * 4 + h * 2);
        }
    }
  }

  /// Takes out what is no pair, and begins the next tile's sums.
  __device__ __forceinline__ void drop_outside(int center0) {
    left_count_ = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (row0_ + Tuning::rows > job_.rows || center0 + Tuning::centers > job_.centers)
        for (unsigned bits = left_[i]; bits != 0; bits &= bits - 1) {
          const int bit = __ffs(int(bits)) - 1;
          if (row_of(i, bit) >= job_.rows || center0 + center_of(bit) >= job_.centers) left_[i] &= ~(1u << bit);
        }
      left_count_ += unsigned(__popc(left_[i]));
#pragma unroll
      for (int j = 0; j < 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sum_[i][j][e] = 0;
    }
  }

  /// Lists what is left of the warp's pairs, or all of them as a tile where these are many or have no room.
  __device__ __forceinline__ void list(int center0) {
    unsigned all = 0;
    const unsigned before = warp_sum_before(left_count_, all), room = job_.left.pair_room;
    if (all == 0) return;
    const bool crowded = all > unsigned(Tuning::crowded);
    unsigned place = 0;
    if (lane_ == 0) {
      atomicAdd(job_.survivors, static_cast<unsigned long long>(all));
      if (!crowded) place = atomicAdd(job_.left.pair_count, all);
    }
    place = __shfl_sync(whole_warp, place, 0);
    if (crowded || all > room || place > room - all) {
      if (!crowded)  // the places it has taken stay empty
        for (unsigned p = place + unsigned(lane_); p < room && p - place < all; p += 32)
          job_.left.pairs[p] = {no_row, 0};
      if (lane_ == 0)
        job_.left.tiles[atomicAdd(job_.left.tile_count, 1u)] = {unsigned(row0_ + warp_row_),
                                                                unsigned(center0 + warp_center_)};
      return;
    }
    place += before;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      for (unsigned bits = left_[i]; bits != 0; bits &= bits - 1) {
        const int bit = __ffs(int(bits)) - 1;
        job_.left.pairs[place++] = {unsigned(row_of(i, bit)), unsigned(center0 + center_of(bit))};
      }
  }

  __device__ static float infinite() { return __int_as_float(0x7f800000); }

  static constexpr int chunk_rows = Tuning::rows / 4;  // whose chunks the threads bring together
  static constexpr int row_chunks = Tuning::rows / chunk_rows, center_chunks = Tuning::centers / chunk_rows;

  const exclusion_job& job_;
  notes& known_;
  unsigned ring_;  // its address in shared memory
  int t_ = int(threadIdx.x), lane_ = t_ % 32;
  int warp_row_ = t_ / 32 / (Tuning::centers / edge) * edge;     // the warp's first row in the block
  int warp_center_ = t_ / 32 % (Tuning::centers / edge) * edge;  // and its first centre in a tile
  int row0_ = int(blockIdx.x) * Tuning::rows;
  int steps_ = job_.pitch / rounded_step;  // that make a product whole

  // The stage that is loaded next.
  const std::uint16_t* row_from_[row_chunks];
  int loading_tile_ = int(blockIdx.y), loading_step_ = 0;

  // Of the row that this thread knows.
  float4 mine_;
  float product_error_, largest_residual_, bound_;
  bool idle_;

  // Of the pairs that this thread has.
  float sum_[4][8][4] = {};
  unsigned left_[4], left_count_;
};

/// A block of Tuning::rows threads.
template <class Tuning>
__global__ void __launch_bounds__(Tuning::rows, 1)
    exclude_by_bf16_kernel(const __grid_constant__ exclusion_job job) {
#if __CUDA_ARCH__ >= 800
  extern __shared__ __align__(128) unsigned char ring[];
  __shared__ typename exclusion<Tuning>::notes known;
  exclusion<Tuning>(job, ring, known).run();
#else
  __trap();  // ready_to_exclude() keeps it from being launched
#endif
}

}  // namespace poolwise
