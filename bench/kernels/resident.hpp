// How much memory a stretch of work takes beyond what was there before it.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>

namespace poolwise::bench {

class resident_peak {
 public:
  /// Forgets the process's peak so far.
  resident_peak() {
    std::ofstream("/proc/self/clear_refs") << "5";
    before_ = kilobytes("VmRSS:");
  }

  /// The highest so far above where it began, in 10^6 bytes.
  double grown_megabytes() const { return double(kilobytes("VmHWM:") - before_) * 1024 / 1e6; }

 private:
  static std::int64_t kilobytes(const std::string& name) {
    std::ifstream status("/proc/self/status");
    std::string word;
    std::int64_t value = 0;
    while (status >> word)
      if (word == name && status >> value) return value;
    return 0;
  }

  std::int64_t before_ = 0;
};

}  // namespace poolwise::bench
