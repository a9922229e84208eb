// A race on purpose: every thread adds to one sum without a word to the others.
#include <cstdio>

#include "poolwise/core/detail/parallel.hpp"

int main() {
  poolwise::index_t sum = 0;
  poolwise::parallel_blocks(poolwise::cpu{4}, 100'000, 1,
                            [&](poolwise::index_t block, auto, auto) { sum += block; });
  std::printf("%lld\n", static_cast<long long>(sum));
}
