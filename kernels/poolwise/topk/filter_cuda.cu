#include <bit>
#include <cub/device/device_radix_sort.cuh>
#include <limits>
#include <utility>

#include "poolwise/core/detail/launch.cuh"
#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/core/half.hpp"
#include "poolwise/topk/detail/filter_cuda.hpp"
#include "poolwise/topk/detail/select_cuda.cuh"

namespace poolwise {
namespace {

constexpr int block_threads = 256;
constexpr int quads = 4;  // 16-byte reads in flight in a thread
/// Unsigned order is descending order of floats that are no NaN, with -0 as 0.
__device__ inline unsigned descending_bits(float score) {
  const unsigned bits = __float_as_uint(score + 0.0f);
  return bits & 0x80000000u ? bits : ~bits & 0x7fffffffu;
}

/// The score that descending_bits is of, as bits.
POOLWISE_HD unsigned score_bits(unsigned descending) {
  return descending & 0x80000000u ? descending : ~descending & 0x7fffffffu;
}

__global__ void start_kernel(filter_state* state, float score, index_t row) {
  *state = {score, row, 0, 0, ~0ull};
}

/// A sample of rows by their scores.
struct sampled_scores {
  static constexpr int key_bits = 32;
  const float* scores;         ///< of row i * step at i * stride
  index_t stride;              ///< places from a score of the sample to the next
  index_t count;               ///< rows of the sample
  index_t step;                ///< rows from one of the sample to the next
  const std::uint8_t* barred;  ///< of every row, or null

  POOLWISE_HD index_t size() const { return count; }
  __device__ unsigned key(index_t i) const {
    const float score = scores[i * stride];
    const bool out = score != score || (barred != nullptr && barred[i * step] != 0);
    return out ? no_key : descending_bits(score);
  }
};

/// Keeps from now on what is not behind the limits of a sample as well. Limits are not always a row's: keys
/// behind that of -infinity are no score's.
__global__ void sharpen_kernel(filter_state* state, const selection* limits, index_t step) {
  const unsigned key = min(limits->key_limit, descending_bits(-std::numeric_limits<float>::infinity()));
  const float score = __uint_as_float(score_bits(key));
  const index_t row =
      limits->row_limit == ~0ull ? std::numeric_limits<index_t>::max() : index_t(limits->row_limit) * step + 1;
  if (score > state->score || (score == state->score && row < state->row)) {
    state->score = score;
    state->row = row;
  }
}

__device__ float4 four(float value) { return {value, value, value, value}; }

/// Up to four neighbouring values from x[0], 16-byte aligned; `lowest` for those that are not in [begin, end).
__device__ float4 load_quad(const float* x, index_t begin, index_t end) {
  if (begin <= 0 && end >= 4) return *reinterpret_cast<const float4*>(x);
  float4 v = four(-std::numeric_limits<float>::infinity());
  if (begin <= 0 && end > 0) v.x = x[0];
  if (begin <= 1 && end > 1) v.y = x[1];
  if (begin <= 2 && end > 2) v.z = x[2];
  if (begin <= 3 && end > 3) v.w = x[3];
  return v;
}

/// Which of four scores are not below the threshold: few but the rows that are kept, and NaN.
__device__ unsigned not_below(float4 s, float threshold) {
  return unsigned(!(s.x < threshold)) | unsigned(!(s.y < threshold)) << 1 | unsigned(!(s.z < threshold)) << 2 |
         unsigned(!(s.w < threshold)) << 3;
}

/// A block takes 256 * 16 neighbouring scores at a time. One compare a score settles nearly all of them; a warp
/// with one that it does not settle looks again at those alone, and takes room for all it keeps at once.
__global__ __launch_bounds__(block_threads) void filter_kernel(vector_view<const float> scores,
                                                               index_t first_row, const std::uint8_t* barred,
                                                               filter_state* state, row_key* keys,
                                                               index_t capacity, int row_bits) {
  const float threshold = state->score;
  const index_t threshold_row = state->row;
  const int lane = int(threadIdx.x % 32);
  const index_t shift = index_t(reinterpret_cast<std::uintptr_t>(scores.data) / sizeof(float) % 4);
  const float* const aligned = scores.data - shift;
  const index_t end = shift + scores.size;
  constexpr index_t block_values = index_t(block_threads) * quads * 4;
  for (index_t base = blockIdx.x * block_values; base < end; base += gridDim.x * block_values) {
    const auto place_of = [&](int quad) { return base + (index_t(quad) * block_threads + threadIdx.x) * 4; };
    float4 s[quads];
    if (base >= shift &&
        base + block_values <= end) {  // no branch between the reads: all are under way at once
#pragma unroll
      for (int q = 0; q < quads; ++q) s[q] = *reinterpret_cast<const float4*>(aligned + place_of(q));
    } else {
#pragma unroll
      for (int q = 0; q < quads; ++q) {
        const index_t place = place_of(q);
        s[q] = load_quad(aligned + place, shift - place, end - place);
      }
    }
    unsigned open = 0;
#pragma unroll
    for (int q = 0; q < quads; ++q) open |= not_below(s[q], threshold) << 4 * q;
    if (!__any_sync(whole_warp, open != 0)) continue;

    unsigned kept = 0;
    int nans = 0;
    index_t first_nan = 0;
    for (; open != 0; open &= open - 1) {
      const int bit = __ffs(int(open)) - 1;
      const index_t place = place_of(bit / 4) + bit % 4;
      if (place < shift || place >= end) continue;
      const float score = aligned[place];
      const index_t i = place - shift;
      const bool nan = score != score;
      if (!nan && !(score > threshold || first_row + i < threshold_row)) continue;
      if (barred != nullptr && barred[i] != 0) continue;
      if (nan) {
        if (nans++ == 0) first_nan = first_row + i;
      } else {
        kept |= 1u << bit;
      }
    }
    if (nans > 0) atomicMin(&state->first_nan, static_cast<unsigned long long>(first_nan));
    int total_nans = 0, total = 0;
    warp_sum_before(nans, total_nans);
    const int before = warp_sum_before(__popc(kept), total);
    unsigned long long begin = 0;
    if (lane == 0) {
      if (total_nans > 0) atomicAdd(&state->nans, static_cast<unsigned long long>(total_nans));
      if (total > 0) begin = atomicAdd(&state->count, static_cast<unsigned long long>(total));
    }
    index_t to = index_t(__shfl_sync(whole_warp, begin, 0)) + before;
    for (; kept != 0; kept &= kept - 1, ++to) {
      const int bit = __ffs(int(kept)) - 1;
      const index_t place = place_of(bit / 4) + bit % 4;
      if (to < capacity)
        keys[to] = row_key{descending_bits(aligned[place])} << row_bits | row_key(first_row + place - shift);
    }
  }
}

// Enough blocks for the largest device, each at work long enough to be worth its start.
constexpr index_t most_blocks = 4096;

}  // namespace

row_filter::row_filter(device_memory& memory, index_t rows, index_t capacity)
    : memory_(memory),
      row_bits_(std::bit_width(std::uint64_t(rows))),
      keys_(memory, capacity),
      sorted_(memory, capacity),
      state_(memory, 1) {
  std::size_t scratch = 0;
  cub::DoubleBuffer<row_key> buffer(keys_.data(), sorted_.data());
  check(cub::DeviceRadixSort::SortKeys(nullptr, scratch, buffer, capacity), memory.call(),
        "sizing a radix sort");
  scratch_ = memory.array<std::byte>(index_t(scratch));
}

std::size_t row_filter::bytes(index_t capacity, const char* call) {
  std::size_t scratch = 0;
  cub::DoubleBuffer<row_key> buffer(nullptr, nullptr);
  check(cub::DeviceRadixSort::SortKeys(nullptr, scratch, buffer, capacity), call, "sizing a radix sort");
  return std::size_t(capacity) * 2 * sizeof(row_key) + scratch + sizeof(filter_state);
}

void row_filter::start(const std::optional<candidate>& limit) {
  const candidate none{std::numeric_limits<index_t>::max(), -std::numeric_limits<float>::infinity()};
  const candidate from = limit.value_or(none);
  launch(memory_.call(), "start_kernel", {1, 1, 0, memory_.stream()}, start_kernel, state_.data(), from.score,
         from.row);
  if (capacity() == 0) return;
  // Places that nothing is written to sort last.
  check(cudaMemsetAsync(keys_.data(), 0xff, std::size_t(capacity()) * sizeof(row_key), memory_.stream()),
        memory_.call(), "clearing keys");
}

void row_filter::sharpen(const float* scores, index_t stride, index_t count, index_t step,
                         const std::uint8_t* barred, index_t rank) {
  const auto limits = memory_.array<selection>(1);
  find_best(memory_, sampled_scores{scores, stride, count, step, barred}, rank, limits.data());
  launch(memory_.call(), "sharpen_kernel", {1, 1, 0, memory_.stream()}, sharpen_kernel, state_.data(),
         limits.data(), step);
}

void row_filter::show(vector_view<const float> scores, index_t row, const std::uint8_t* barred) {
  if (scores.size == 0) return;
  const index_t per_block = block_threads * quads * 4;
  launch(memory_.call(), "filter_kernel",
         {grid_of(scores.size + 3, per_block, most_blocks), block_threads, 0, memory_.stream()}, filter_kernel,
         scores, row, barred, state_.data(), keys_.data(), capacity(), row_bits_);
}

row_filter::result row_filter::best(index_t k) {
  const index_t size = std::min(k, capacity());
  if (size > 0) sort();
  filter_state found{};
  std::vector<row_key> keys(static_cast<std::size_t>(size));
  copy_async(&found, state_.data(), 1, memory_);
  copy_async(keys.data(), keys_.data(), size, memory_);
  check(cudaStreamSynchronize(memory_.stream()), memory_.call(), "waiting for the best rows");

  result all;
  all.count = index_t(found.count);
  all.limit = {found.row, found.score};
  if (found.nans > 0) all.nan = {index_t(found.first_nan), index_t(found.nans)};
  keys.resize(std::size_t(std::min(size, all.count)));
  for (const row_key key : keys)
    all.best.push_back({index_t(key & ((row_key{1} << row_bits_) - 1)),
                        std::bit_cast<float>(score_bits(unsigned(key >> row_bits_)))});
  return all;
}

void row_filter::sort() {
  cub::DoubleBuffer<row_key> buffer(keys_.data(), sorted_.data());
  auto bytes = std::size_t(scratch_.size());
  check(cub::DeviceRadixSort::SortKeys(scratch_.data(), bytes, buffer, capacity(), 0, 32 + row_bits_,
                                       memory_.stream()),
        memory_.call(), "sorting the best rows");
  if (buffer.Current() != keys_.data()) std::swap(keys_, sorted_);
}

}  // namespace poolwise
