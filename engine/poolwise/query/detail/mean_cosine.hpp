// How like a row is to many others, in one read of them.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// The dot product of a row and `y`, in double, by an order that depends on cols alone.
template <class T>
double row_dot(const float* x, const T* y, index_t cols) {
  double sum[4] = {};
  index_t c = 0;
  for (; c + 4 <= cols; c += 4)
    for (index_t k = 0; k < 4; ++k) sum[k] += double(x[c + k]) * double(y[c + k]);
  for (; c < cols; ++c) sum[0] += double(x[c]) * double(y[c]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/// 1 over the length of a row; 0 for a row of zeros, NaN for one that is not finite.
inline double inverse_length(const float* x, index_t cols) {
  const double squares = row_dot(x, x, cols);
  if (!std::isfinite(squares)) return std::numeric_limits<double>::quiet_NaN();
  return squares > 0 ? 1 / std::sqrt(squares) : 0;
}

/// The mean of some rows, each scaled to length 1. A row of zeros stays one; one that is not finite is none.
/// Sums are in double, in an order that depends on the shape alone.
std::vector<double> mean_direction(cpu on, matrix_view<const float> rows,
                                   const std::function<bool(index_t row)>& counts);
/// The mean of some rows as they are; one that is not finite is none. In the same order.
std::vector<double> mean_row(cpu on, matrix_view<const float> rows,
                             const std::function<bool(index_t row)>& counts);
/// What either allocates.
std::uint64_t mean_direction_bytes(std::uint64_t features);

/// The mean cosine between a row and those of `mean`; 0 for a row of zeros, NaN for one that is not finite.
double mean_cosine(const float* row, const std::vector<double>& mean);

}  // namespace poolwise
