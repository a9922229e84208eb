// The pairs of rows and centres that tensor cores cannot exclude, listed. sweep_cuda.hpp has the bound. The
// device of the memory is current; arrays lie on it; nothing waits.
#pragma once

#include <cstdint>

#include "poolwise/distance/detail/canonical_tiles_cuda.hpp"
#include "poolwise/distance/detail/round_rows_cuda.hpp"

namespace poolwise {

/// How a block of threads works; a bench varies it.
struct exclusion_tuning {
  static constexpr int rows = 256;     ///< that a block keeps, and its threads: each knows one of the rows
  static constexpr int centers = 128;  ///< of a tile, those that a block takes at a time
  static constexpr int stages = 3;     ///< of rounded_step columns, in the ring that products are made from
  static constexpr int crowded = 512;  ///< more pairs than this of a warp's 64 x 64 are listed as one tile
};

/// The rows and centres of a launch, and where its results go.
struct exclusion_job {
  const std::uint16_t* x;  ///< [rows, pitch] rounded rows
  const float4* x_facts;   ///< [rows] what is known of them
  int rows;                ///< of the pool, in this launch
  const std::uint16_t* y;  ///< [centers, pitch] rounded centres
  const float4* y_facts;   ///< [centers] what is known of them
  int centers;             ///< that the rows are compared with
  int pitch;               ///< columns of a rounded row: whole steps
  const float* bounds;     ///< [rows * bound_step] squared distances that a pair must come below to matter
  int bound_step;          ///< places from the bound of a row to the next one's
  bool ties;               ///< whether a pair at the bound matters as well
  const rounded_limits* limits;   ///< the largest of the centres
  float product_error;            ///< of y^.z^ by tensor cores, for each |y^||z^|
  float canonical_error;          ///< of a canonical distance, for each of its size
  float underflow;                ///< what a sum loses to squares that underflow
  pair_list left;                 ///< where those go that are not excluded
  unsigned long long* survivors;  ///< raised by their number
};

/// Whether the device that is current runs our code for tensor cores. Comes before any exclude_pairs.
bool ready_to_exclude(const char* call);

/// The most tiles that a launch lists.
index_t most_listed_tiles(index_t rows, index_t centers);

void exclude_pairs(const device_memory& memory, const exclusion_job& job, int multiprocessors);

}  // namespace poolwise
