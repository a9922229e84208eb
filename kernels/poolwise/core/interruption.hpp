// Calls that are ended from outside while they compute.
#pragma once

#include <chrono>
#include <functional>

namespace poolwise {

/// While this lives, calls on its thread ask `look` about ten times a second whether to go on. `look` ends a
/// call by throwing, and the call throws the same. It is asked between blocks of rows, on this thread alone.
class interruptible {
 public:
  explicit interruptible(std::function<void()> look);
  ~interruptible();
  interruptible(const interruptible&) = delete;
  interruptible& operator=(const interruptible&) = delete;

 private:
  friend void heed_interruption();

  std::function<void()> look_;
  std::chrono::steady_clock::time_point next_look_;
  interruptible* outer_;
};

/// For what computes, between blocks of rows: asks if it is time. Does nothing on other threads.
void heed_interruption();

}  // namespace poolwise
