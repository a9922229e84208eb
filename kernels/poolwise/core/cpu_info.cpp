#include "poolwise/core/cpu_info.hpp"

#include <fstream>

#include "poolwise/core/detail/simd_targets.hpp"
// Highway looks at the targets that are set above.
#include "hwy/highway.h"

namespace poolwise {

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0)
      if (const auto colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown";
}

std::string simd_target() {
  const auto usable = hwy::SupportedTargets() & HWY_TARGETS;
  // Better targets have lower bits.
  return hwy::TargetName(usable & -usable);
}

}  // namespace poolwise
