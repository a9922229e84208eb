// Many canonical distances at once: of all pairs of rows and centres, or of those that are listed. The device
// of the memory is current; views lie on it; nothing waits.
#pragma once

#include <cstdint>

#include "poolwise/core/detail/cuda_runtime.hpp"

namespace poolwise {

/// A nearest reference as atomics find it: the bits of the canonical distance, then the reference. The least of
/// all is the nearest, ties to the lower reference.
using nearest_key = unsigned long long;
inline constexpr nearest_key no_reference =
    0x7f800000'ffffffffull;  // at an infinite distance, after all others

/// keys[i] = no_reference.
void begin_nearest(const device_memory& memory, vector_view<nearest_key> keys);

/// Takes the keys apart; the references of the keys count from `first` on, and where that is not 0 only what is
/// nearer than d2 is taken. which may be null.
void end_nearest(const device_memory& memory, vector_view<const nearest_key> keys, index_t first, float* d2,
                 index_t* which);

// Where distances go. The bounds of row i, `bound_step` i places on, are what its distances must come below,
// or, where `ties`, not exceed to matter.

/// m[i] = the least distance of row i so far.
struct least_distance {
  static constexpr int bound_step = 1;
  static constexpr bool ties = false;
  float* m;
  const float* bounds() const { return m; }
  least_distance from(index_t row) const { return {m + row}; }
};

/// nearest[i] = the nearest reference of row i so far; the centres count from `first` on.
struct nearest_reference {
  static constexpr int bound_step = 2;
  static constexpr bool ties = true;
  nearest_key* nearest;
  std::uint32_t first;
  /// The upper words, on a little-endian device.
  const float* bounds() const { return reinterpret_cast<const float*>(nearest) + 1; }
  nearest_reference from(index_t row) const { return {nearest + row, first}; }
};

/// d2[i * pitch + j] = the distance of row i and centre j.
struct all_distances {
  float* d2;
  index_t pitch;
  all_distances from(index_t row) const { return {d2 + row * pitch, pitch}; }
};

/// Of every row to every centre.
template <class Sink>
void all_canonical(const device_memory& memory, matrix_view<const float> points,
                   matrix_view<const float> centers, Sink sink);

inline constexpr int listed_edge = 64;           // rows and centres of a listed tile
inline constexpr unsigned no_row = 0xffffffffu;  // of a place in a list that stays empty

/// Pairs of a row and a centre whose distances are to be found.
struct pair_list {
  uint2* pairs;          ///< their row and their centre
  unsigned pair_room;    ///< places for pairs
  unsigned* pair_count;  ///< places that were asked for: those from pair_room on are not there
  uint2* tiles;          ///< the first row and centre of tiles of which every pair is meant
  unsigned* tile_count;  ///< tiles listed: there is room for all
};

/// Of the pairs listed. most_tiles: how many there may be.
template <class Sink>
void listed_canonical(const device_memory& memory, matrix_view<const float> points,
                      matrix_view<const float> centers, const pair_list& listed, index_t most_tiles,
                      int multiprocessors, Sink sink);

}  // namespace poolwise
