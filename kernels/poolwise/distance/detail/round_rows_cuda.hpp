// bf16 copies of rows for tensor cores, with what bounds their rounding. The device of the memory is current;
// arrays lie on it; nothing waits.
#pragma once

#include <cstdint>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/half.hpp"

namespace poolwise {

/// A rounded row has a multiple of so many columns; those past the end are 0.
inline constexpr int rounded_step = 32;
POOLWISE_HD inline index_t rounded_pitch(index_t cols) {
  return (cols + rounded_step - 1) / rounded_step * rounded_step;
}

/// y^, the bf16 roundings of y = x - o, for an origin o. The facts are NaN where nothing is known of a row.
struct rounded_rows {
  device_array<std::uint16_t> values;  ///< [rows, rounded_pitch(cols)]
  /// [rows] x, y: half of |y^|^2, from below and from above; z: |y^| from above; w: |y - y^| from above
  device_array<float4> facts;

  bool empty() const { return facts.size() == 0; }
};

/// Room for the copies of as many rows.
rounded_rows rounded_room(device_memory& memory, index_t rows, index_t cols);

/// The largest of some rows, as bits.
struct rounded_limits {
  unsigned norm;      ///< |y^|
  unsigned residual;  ///< |y - y^|
};

/// Copies `points`. limits: raised by the rows of which something is known; may be null.
void round_rows(const device_memory& memory, matrix_view<const float> points, const float* origin,
                const rounded_rows& to, rounded_limits* limits);

/// origin[c] = the mean of column c over some of the rows, of which there is at least one.
void find_origin(const device_memory& memory, matrix_view<const float> points, float* origin);

}  // namespace poolwise
