// Elapsed time.
#pragma once

#include <chrono>
#include <utility>

namespace poolwise {

class stopwatch {
 public:
  /// Seconds since it was made, or since the last lap.
  double seconds() const { return std::chrono::duration<double>(clock::now() - start_).count(); }

  /// The same, and begins a new lap.
  double lap() {
    const auto now = clock::now();
    return std::chrono::duration<double>(now - std::exchange(start_, now)).count();
  }

 private:
  using clock = std::chrono::steady_clock;
  clock::time_point start_ = clock::now();
};

}  // namespace poolwise
