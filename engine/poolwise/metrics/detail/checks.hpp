// Checks that the measures share; `call` opens the message.
#pragma once

#include <span>

namespace poolwise {

/// throws value_error that names the first NaN or infinite value.
void require_finite(const char* call, std::span<const double> x);

}  // namespace poolwise
