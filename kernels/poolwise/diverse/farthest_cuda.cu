#include <algorithm>

#include "poolwise/core/detail/launch.cuh"
#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/diverse/detail/farthest_cuda.hpp"
#include "poolwise/topk/detail/select_cuda.cuh"

namespace poolwise {
namespace {

constexpr int block_threads = 256;
constexpr index_t most_blocks = 1024;  // of kernels that stride over the rows
constexpr int chain_threads = 1024;
constexpr int rows_of_thread = int(most_chain_rows) / chain_threads;

__device__ inline index_t first_of_thread() { return index_t(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline index_t all_threads() { return index_t(gridDim.x) * blockDim.x; }

__global__ void begin_distances_kernel(shard_rows shard, const float* covered, const std::uint8_t* barred) {
  for (index_t i = first_of_thread(); i < shard.rows; i += all_threads()) {
    // + 0 makes a -0 the 0 that bits compare with.
    float distance = covered != nullptr ? covered[i] + 0.0f : __int_as_float(0x7f800000);
    // A weight of 0 makes a gain of 0 even where the distance is infinite.
    if (shard.weight != nullptr && shard.weight[i] == 0) distance = 0;
    if (barred != nullptr && barred[i] != 0) distance = retired_distance;
    shard.distance[i] = distance;
  }
}

__global__ void retire_rows_kernel(shard_rows shard, vector_view<const index_t> rows) {
  const index_t i = first_of_thread();
  if (i >= rows.size) return;
  const index_t row = rows[i] - shard.first;
  if (row >= 0 && row < shard.rows) shard.distance[row] = retired_distance;
}

__global__ void retire_beyond_kernel(shard_rows shard, const std::int64_t* cost, std::int64_t budget,
                                     const index_t* group, const index_t* quota) {
  for (index_t i = first_of_thread(); i < shard.rows; i += all_threads())
    if ((cost != nullptr && cost[i] > budget) || (group != nullptr && quota[group[i]] <= 0))
      shard.distance[i] = retired_distance;
}

__global__ void note_first_outside_kernel(vector_view<const float> values, float most,
                                          unsigned long long* first) {
  for (index_t i = first_of_thread(); i < values.size; i += all_threads())
    if (!(values[i] >= 0 && values[i] <= most)) atomicMin(first, static_cast<unsigned long long>(i));
}

// ---- the best rows ------------------------------------------------------------------------------------------

/// Rows by what they gain.
struct gains {
  static constexpr int key_bits = 31;  // gains are not negative
  shard_rows shard;

  POOLWISE_HD index_t size() const { return shard.rows; }
  __device__ float weight(index_t i) const { return shard.weight != nullptr ? shard.weight[i] : 1.0f; }
  __device__ float gain(index_t i) const { return weight(i) * shard.distance[i] + 0.0f; }
  __device__ unsigned key(index_t i) const {
    if (shard.distance[i] < 0) return no_key;
    return 0x7f800000u - __float_as_uint(gain(i));
  }
};

__global__ void take_best_kernel(gains rows, selection* limits, shortlisted* best) {
  const unsigned key_limit = limits->key_limit;
  const unsigned long long row_limit = limits->row_limit;
  for (index_t i = first_of_thread(); i < rows.size(); i += all_threads()) {
    const unsigned key = rows.key(i);
    if (key > key_limit || (key == key_limit && static_cast<unsigned long long>(i) > row_limit)) continue;
    best[atomicAdd(&limits->taken, 1u)] = {rows.shard.first + i, rows.gain(i), rows.shard.distance[i],
                                           rows.weight(i)};
  }
}

// ---- the chain ----------------------------------------------------------------------------------------------

using place_key = unsigned long long;  // greatest: the highest gain, of equals the lowest place; 0 for none

__global__ void __launch_bounds__(chain_threads) chain_kernel(chain_job job) {
  __shared__ place_key best_of_warp[2][32];
  const int t = int(threadIdx.x), threads = int(blockDim.x), lane = t % 32;
  float distance[rows_of_thread], weight[rows_of_thread];
  std::int64_t cost[rows_of_thread];
  index_t group[rows_of_thread], left[rows_of_thread];
#pragma unroll
  for (int r = 0; r < rows_of_thread; ++r) {
    const int place = t + r * threads;
    const chain_row row = place < job.count ? job.rows[place] : chain_row{retired_distance, 0, 0, 0, 0};
    distance[r] = row.distance;
    weight[r] = row.weight;
    cost[r] = row.cost;
    group[r] = row.group;
    left[r] = row.left;
  }
  std::int64_t budget = job.budget;
  int picks = 0;
  for (; picks < job.picks; ++picks) {
    place_key best = 0;
#pragma unroll
    for (int r = 0; r < rows_of_thread; ++r) {
      if (distance[r] < 0 || cost[r] > budget) continue;
      const place_key bits = __float_as_uint(weight[r] * distance[r] + 0.0f) + 1;
      const place_key key = bits << 32 | (0xffffffffu - unsigned(t + r * threads));
      best = best > key ? best : key;
    }
    best = warp_max(best);
    if (lane == 0) best_of_warp[picks % 2][t / 32] = best;
    __syncthreads();
    best = warp_max(lane < threads / 32 ? best_of_warp[picks % 2][lane] : place_key{0});
    if (best == 0) break;
    const int place = int(0xffffffffu - unsigned(best));
    const float gain = __uint_as_float(unsigned(best >> 32) - 1);
    if (!(gain > job.rival_gain || (gain == job.rival_gain && place < job.rival_place))) break;
    if (t == 0) {
      job.pick[1 + picks] = place;
      job.gain[picks] = gain;
    }
    const chain_row& picked = job.rows[place];
    budget -= picked.cost;
#pragma unroll
    for (int r = 0; r < rows_of_thread; ++r) {
      const int mine = t + r * threads;
      if (distance[r] < 0) continue;
      if (mine == place || (group[r] == picked.group && --left[r] == 0))
        distance[r] = retired_distance;
      else
        distance[r] = fminf(distance[r], job.d2[index_t(place) * job.pitch + mine]);
    }
  }
  if (t == 0) job.pick[0] = picks;
}

unsigned grid_over(index_t rows) { return grid_of(rows, block_threads, most_blocks); }

}  // namespace

void begin_distances(const device_memory& memory, const shard_rows& shard, const float* covered,
                     const std::uint8_t* barred) {
  if (shard.rows == 0) return;
  launch(memory.call(), "begin_distances_kernel", {grid_over(shard.rows), block_threads, 0, memory.stream()},
         begin_distances_kernel, shard, covered, barred);
}

void retire_rows(const device_memory& memory, const shard_rows& shard, vector_view<const index_t> rows) {
  if (rows.empty()) return;
  launch(memory.call(), "retire_rows_kernel",
         {grid_of(rows.size, block_threads), block_threads, 0, memory.stream()}, retire_rows_kernel, shard,
         rows);
}

void retire_beyond(const device_memory& memory, const shard_rows& shard, const std::int64_t* cost,
                   std::int64_t budget, const index_t* group, const index_t* quota) {
  if (shard.rows == 0 || (cost == nullptr && group == nullptr)) return;
  launch(memory.call(), "retire_beyond_kernel", {grid_over(shard.rows), block_threads, 0, memory.stream()},
         retire_beyond_kernel, shard, cost, budget, group, quota);
}

void note_first_outside(const device_memory& memory, vector_view<const float> values, float most,
                        unsigned long long* first) {
  if (values.empty()) return;
  launch(memory.call(), "note_first_outside_kernel",
         {grid_over(values.size), block_threads, 0, memory.stream()}, note_first_outside_kernel, values, most,
         first);
}

void select_best(const device_memory& memory, const shard_rows& shard, index_t count, selection* limits,
                 shortlisted* best) {
  const gains rows{shard};
  find_best(memory, rows, count, limits);
  if (shard.rows == 0 || count == 0) return;
  launch(memory.call(), "take_best_kernel", {grid_over(shard.rows), block_threads, 0, memory.stream()},
         take_best_kernel, rows, limits, best);
}

void run_chain(const device_memory& memory, const chain_job& job) {
  const index_t threads = std::clamp<index_t>((job.count + 31) / 32 * 32, 32, chain_threads);
  launch(memory.call(), "chain_kernel", {1, unsigned(threads), 0, memory.stream()}, chain_kernel, job);
}

}  // namespace poolwise
