// The best rows of a device by radix selection, for whatever has a key: exact, without a copy of the keys, in a
// launch for each digit. Digits that only ties need are skipped.
#pragma once

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/detail/launch.cuh"
#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/core/half.hpp"
#include "poolwise/topk/detail/selection_cuda.hpp"

namespace poolwise {

inline constexpr int select_threads = 256;
inline constexpr index_t most_select_blocks = 1024;  // that stride over the rows
inline constexpr unsigned no_key = 0xffffffffu;      // of a row that is not to be selected
inline constexpr int key_passes = 3, row_digit_bits = 11;
static_assert(selection::bins == 1 << row_digit_bits);

/// The digit of a pass: three of the key, then those of the row, which only ties need.
struct select_digit {
  bool of_row;
  int shift, bits;
};

POOLWISE_HD inline select_digit select_digit_of(int pass, int passes, int key_bits) {
  if (pass == 0) return {false, key_bits - 11, 11};
  if (pass == 1) return {false, 10, key_bits - 21};
  if (pass == 2) return {false, 0, 10};
  return {true, row_digit_bits * (passes - 1 - pass), row_digit_bits};
}

/// Counts the rows by a digit among those that share the digits so far.
template <class Rows>
__device__ __forceinline__ void count_digits(const Rows& rows, const select_digit& at, int pass,
                                             unsigned key_limit, unsigned long long row_limit,
                                             unsigned (&counted)[selection::bins]) {
  const unsigned mask = (1u << at.bits) - 1;
  for (int b = int(threadIdx.x); b < selection::bins; b += select_threads) counted[b] = 0;
  __syncthreads();
  for (index_t i = index_t(blockIdx.x) * blockDim.x + threadIdx.x; i < rows.size();
       i += index_t(gridDim.x) * blockDim.x) {
    const unsigned key = rows.key(i);
    if (key == no_key) continue;
    const auto row = static_cast<unsigned long long>(i);
    if (!at.of_row) {
      if (pass == 0 || key >> (at.shift + at.bits) == key_limit >> (at.shift + at.bits))
        atomicAdd(&counted[key >> at.shift & mask], 1u);
    } else if (key == key_limit && row >> (at.shift + at.bits) == row_limit >> (at.shift + at.bits)) {
      atomicAdd(&counted[unsigned(row >> at.shift) & mask], 1u);
    }
  }
  __syncthreads();
}

/// Of a block, when all have counted: sets the digit of the limits that row number `need` has.
__device__ inline void find_digit(const select_digit& at, unsigned long long need, selection& limits) {
  constexpr int mine = selection::bins / select_threads, warps = select_threads / 32;
  __shared__ unsigned long long of_warp[warps];
  const int first = int(threadIdx.x) * mine, warp = int(threadIdx.x) / 32;
  unsigned long long sum = 0, all = 0;
  for (int b = first; b < first + mine; ++b) sum += __ldcg(&limits.count[b]);
  unsigned long long before = warp_sum_before(sum, all);
  if (threadIdx.x % 32 == 0) of_warp[warp] = all;
  __syncthreads();
  all = 0;
  for (int w = 0; w < warps; ++w) {
    if (w == warp) before += all;
    all += of_warp[w];
  }
  if (all < need) {  // all of them
    if (threadIdx.x == 0) {
      limits.key_limit = no_key - 1;
      limits.row_limit = ~0ull;
      limits.done = 1;
    }
    return;
  }
  if (before < need && need <= before + sum) {
    int b = first;
    unsigned long long here = __ldcg(&limits.count[b]);
    for (; before + here < need; here = __ldcg(&limits.count[++b])) before += here;
    const auto found = static_cast<unsigned long long>(b) << at.shift;
    const bool whole = before + here == need;  // every row of that digit
    const unsigned long long rest = whole ? (1ull << at.shift) - 1 : 0;
    if (at.of_row)
      limits.row_limit |= found | rest;
    else
      limits.key_limit |= unsigned(found | rest);
    if (whole && !at.of_row) limits.row_limit = ~0ull;
    limits.need = need - before;
    limits.done = whole ? 1 : 0;
    limits.ticket = 0;
  }
  for (int b = first; b < first + mine; ++b) limits.count[b] = 0;
}

/// One digit of the limits of the best `count` rows; the block that comes last finds it.
template <class Rows>
__global__ void __launch_bounds__(select_threads)
    select_digit_kernel(Rows rows, selection* limits, int pass, int passes, unsigned long long count) {
  __shared__ unsigned counted[selection::bins];
  __shared__ bool last;
  if (limits->done != 0) return;
  const select_digit at = select_digit_of(pass, passes, Rows::key_bits);
  const unsigned key_limit = limits->key_limit;
  const unsigned long long row_limit = limits->row_limit;
  count_digits(rows, at, pass, key_limit, row_limit, counted);
  for (int b = int(threadIdx.x); b < selection::bins; b += select_threads)
    if (counted[b] != 0) atomicAdd(&limits->count[b], static_cast<unsigned long long>(counted[b]));
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(&limits->ticket, 1u) + 1 == gridDim.x;
  __syncthreads();
  if (!last) return;
  __threadfence();
  find_digit(at, pass == 0 ? count : limits->need, *limits);
}

/// Finds the limits of the best `count` rows, or of all where they are fewer. Rows has a size(), a key(i) for
/// each row, below 2^key_bits or no_key, and key_bits, 31 or 32. Does not wait.
template <class Rows>
void find_best(const device_memory& memory, const Rows& rows, index_t count, selection* limits) {
  check(cudaMemsetAsync(limits, 0, sizeof *limits, memory.stream()), memory.call(), "clearing a selection");
  if (rows.size() == 0 || count == 0) return;
  int passes = key_passes;
  for (index_t last = rows.size() - 1; last > 0; last >>= row_digit_bits) ++passes;
  for (int pass = 0; pass < passes; ++pass) {
    launch(memory.call(), "select_digit_kernel",
           {grid_of(rows.size(), select_threads, most_select_blocks), select_threads, 0, memory.stream()},
           select_digit_kernel<Rows>, rows, limits, pass, passes, static_cast<unsigned long long>(count));
  }
}

}  // namespace poolwise
