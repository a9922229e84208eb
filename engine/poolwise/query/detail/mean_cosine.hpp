// How like a row is to many others, in one read of them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// The mean of some rows, each scaled to length 1. A row of zeros stays one; one that is not finite is none.
/// Sums are in double, in an order that depends on the shape alone.
std::vector<double> mean_direction(cpu on, matrix_view<const float> rows,
                                   const std::function<bool(index_t row)>& counts);
/// What it allocates.
std::uint64_t mean_direction_bytes(std::uint64_t features);

/// The mean cosine between a row and those of `mean`; 0 for a row of zeros, NaN for one that is not finite.
double mean_cosine(const float* row, const std::vector<double>& mean);

}  // namespace poolwise
