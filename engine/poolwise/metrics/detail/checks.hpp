// Checks that the measures share; `call` opens the message.
#pragma once

#include <cstddef>
#include <span>

namespace poolwise {

/// throws value_error that names the first NaN or infinite value.
void require_finite(const char* call, std::span<const double> x);

/// throws value_error unless 0 < level < 1.
void require_level(const char* call, double level);

/// throws shape_error unless there are as many of the one as of the other, and at least one.
void require_pairs(const char* call, const char* one, std::size_t ones, const char* other, std::size_t others);

}  // namespace poolwise
