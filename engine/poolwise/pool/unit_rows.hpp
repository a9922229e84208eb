// Copies of rows in another scale.
#pragma once

#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// The rows of x, each divided by its length, which is summed in double in the order of the columns: the same
/// bits for any number of threads and on any CPU. Their squared distances are 2 - 2 cos. A row of zeros has no
/// direction, and becomes one of NaN; so does one that is not finite.
std::vector<float> unit_rows(cpu on, matrix_view<const float> x);

/// The rows of x times `scale`. A power of two leaves all digits.
std::vector<float> scaled_rows(cpu on, matrix_view<const float> x, double scale);

}  // namespace poolwise
