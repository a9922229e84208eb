// A user's program: it sees the installed headers and libraries and nothing of the source tree.
#include <cstdio>

#include "poolwise/core/devices.hpp"
#include "poolwise/query/strategy.hpp"

int main() {
  const auto strategy = poolwise::parse_strategy("margin/1000/kcenter");
  const auto gpus = poolwise::list_cuda_devices();
  std::printf("%s keeps %lld rows; %zu GPUs\n", strategy.name.c_str(),
              static_cast<long long>(strategy.first().keep.rows), gpus.devices.size());
  return strategy.first().keep.rows == 1000 ? 0 : 1;
}
