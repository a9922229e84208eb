// The kernels of k-center beside the sweep: what a row gains, the best rows, the chain. The device of the
// memory is current; arrays lie on it; nothing waits.
#pragma once

#include <cstdint>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/topk/detail/selection_cuda.hpp"

namespace poolwise {

/// A row that may not be picked any more has this squared distance: below all others, so that taking minima
/// leaves it alone.
inline constexpr float retired_distance = -1.0f;

/// The rows of a shard. Distances are squared, to the nearest labelled or picked row.
struct shard_rows {
  index_t rows = 0;
  float* distance = nullptr;
  const float* weight = nullptr;  ///< or null for 1
  index_t first = 0;              ///< the row of the pool that is the shard's first
};

/// distance = covered, or infinity where that is null; 0 where the weight is 0; retired where barred.
void begin_distances(const device_memory& memory, const shard_rows& shard, const float* covered,
                     const std::uint8_t* barred);

/// Retires those of the rows of the pool that are the shard's.
void retire_rows(const device_memory& memory, const shard_rows& shard, vector_view<const index_t> rows);

/// Retires what costs more than the budget, or is of a group without quota. cost and group may be null.
void retire_beyond(const device_memory& memory, const shard_rows& shard, const std::int64_t* cost,
                   std::int64_t budget, const index_t* group, const index_t* quota);

/// The first of values that is not a number from 0 to `most`: `*first` becomes the least of itself and that.
void note_first_outside(const device_memory& memory, vector_view<const float> values, float most,
                        unsigned long long* first);

/// One of the best rows.
struct shortlisted {
  index_t row;     ///< of the pool
  float gain;      ///< weight * distance
  float distance;  ///< squared
  float weight;
};

/// The best `count` rows by (gain descending, row ascending), in any order; limits->taken of them.
void select_best(const device_memory& memory, const shard_rows& shard, index_t count, selection* limits,
                 shortlisted* best);

/// A row of a chain. Those of a chain are in ascending order.
struct chain_row {
  float distance;     ///< squared, to the nearest labelled or picked row
  float weight;       ///< that the distance counts with
  std::int64_t cost;  ///< of labelling it
  index_t group;      ///< that its pick counts for
  index_t left;       ///< picks that its group may still have
};

struct chain_job {
  const chain_row* rows;  ///< [count]
  int count;              ///< of rows, at most most_chain_rows
  const float* d2;        ///< [count, pitch] squared distances between them
  index_t pitch;          ///< of d2
  index_t picks;          ///< that may still be made
  std::int64_t budget;    ///< that the picks' costs may still take
  float rival_gain;       ///< of the best row that is not in the chain
  int rival_place;        ///< how many of the rows come before the rival where they gain as much
  int* pick;              ///< [count + 1] how many picks, then which in their order
  float* gain;            ///< [count] of these
};

/// The most rows of a chain.
inline constexpr index_t most_chain_rows = 4096;

/// Greedy among the rows, in one launch of one block, until the rival comes first.
void run_chain(const device_memory& memory, const chain_job& job);

}  // namespace poolwise
