// Checks that the learners share; `call` opens the message.
#pragma once

#include <cstdint>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// throws value_error that names the first NaN or infinite entry.
void require_finite(const char* call, matrix_view<const float> x);
void require_finite(const char* call, matrix_view<const double> x);

/// At least one row and one feature, a label for each row. throws shape_error; value_error for a label outside
/// [0, classes).
void require_training_set(const char* call, matrix_view<const float> x, vector_view<const std::int32_t> y,
                          index_t classes);

/// Features as in the fit, and room for the logits. `features` is 0 before any fit.
/// throws error before any fit, shape_error.
void require_query(const char* call, matrix_view<const float> x, index_t features, cube_view<float> logits,
                   index_t members, index_t classes);

}  // namespace poolwise
