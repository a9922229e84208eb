#include "poolwise/core/threads.hpp"

#include <chrono>
#include <latch>
#include <system_error>
#include <thread>
#include <vector>

namespace poolwise {

int threads_to_be_had(int wanted) {
  std::vector<std::thread> others;
  std::latch end(1);
  try {
    while (int(others.size()) + 1 < wanted) others.emplace_back([&end] { end.wait(); });
  } catch (const std::system_error&) {  // there are no more
  }
  end.count_down();
  for (std::thread& other : others) other.join();
  const int had = int(others.size()) + 1;
  // The system counts a thread for a moment after it has ended.
  if (had < wanted) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return had;
}

}  // namespace poolwise
