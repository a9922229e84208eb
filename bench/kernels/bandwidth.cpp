// What this machine can read: the limit that the other benchmarks are divided by.
#include <benchmark/benchmark.h>
#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "huge_array.hpp"
#include "poolwise/core/types.hpp"

namespace poolwise {
namespace {

// Integers, because their sum may be reordered into vectors.
__attribute__((target_clones("avx512f", "avx2", "default"))) std::uint64_t sum(const std::uint64_t* x,
                                                                               index_t size) {
  std::uint64_t total = 0;
  for (index_t i = 0; i < size; ++i) total += x[i];
  return total;
}

void read_memory(benchmark::State& state) {
  const index_t bytes = index_t{1} << 30, size = bytes / 8;
  const int threads = int(state.range(0));
  const auto x = bench::make_huge<std::uint64_t>(std::size_t(size));
  std::fill(x.get(), x.get() + size, 1);
  for (auto _ : state) {
    std::uint64_t total = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : total)
    for (int t = 0; t < threads; ++t) total += sum(x.get() + size / threads * t, size / threads);
    benchmark::DoNotOptimize(total);
  }
  state.SetBytesProcessed(state.iterations() * bytes);
}

BENCHMARK(read_memory)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace poolwise
