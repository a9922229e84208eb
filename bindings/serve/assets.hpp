// The files of the page, as bytes of this program.
#pragma once

#include <string_view>

namespace poolwise::serve {

/// Empty where there is none of that name.
std::string_view asset(std::string_view name);

}  // namespace poolwise::serve
