// Numbers as people read them.
#pragma once

#include <string>

namespace poolwise {

/// "1.2 GiB", "512 B".
std::string human_bytes(double bytes);

/// "340 ms", "1.5 s", "12 min".
std::string human_seconds(double seconds);

}  // namespace poolwise
