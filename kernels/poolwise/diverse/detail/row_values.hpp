// Values that come with the rows of a pool: weights, distances, qualities.
#pragma once

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// Refuses, in the name of `call`, an argument `name` of points that is neither empty nor one number, 0 or
/// more, for each of their `rows`. It lies where `on` computes.
/// throws shape_error; value_error, which names the first row.
void check_row_values(const where& on, const char* call, const char* name, vector_view<const float> values,
                      index_t rows, bool infinity_allowed = false);

}  // namespace poolwise
