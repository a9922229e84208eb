// Parts of a pool as views: neighbouring rows, or every so-manieth.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Rows begin, ..., end - 1.
inline real_matrix rows_between(const real_matrix& x, index_t begin, index_t end) {
  return std::visit(
      [&](auto m) -> real_matrix {
        return decltype(m){m.row(begin), end - begin, m.cols, m.stride};
      },
      x);
}

/// The same of one entry per row; none stays none.
inline vector_view<const std::uint8_t> part_of(vector_view<const std::uint8_t> barred, index_t begin,
                                               index_t end) {
  return barred.empty() ? barred : vector_view<const std::uint8_t>{barred.data + begin, end - begin};
}

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
