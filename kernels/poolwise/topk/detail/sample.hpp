// Every so-manieth row of a pool.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Rows 0, step, 2 step, ...
inline real_matrix sample_of(const real_matrix& x, index_t step) {
  return std::visit(
      [&](auto m) -> real_matrix {
        return decltype(m){m.data, (m.rows + step - 1) / step, m.cols, m.stride * step};
      },
      x);
}

inline std::vector<std::uint8_t> sample_of(vector_view<const std::uint8_t> barred, index_t step) {
  std::vector<std::uint8_t> sample;
  for (index_t row = 0; row < barred.size; row += step) sample.push_back(barred[row]);
  return sample;
}

}  // namespace poolwise
