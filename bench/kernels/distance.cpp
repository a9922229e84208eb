// The canonical distance: bytes of the pool read a second, so that the roofline is one division away.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "poolwise/distance/distance.hpp"

namespace {

using poolwise::index_t;

std::vector<float> random_matrix(index_t rows, index_t cols) {
  std::mt19937 next(7);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(rows * cols));
  for (float& v : x) v = normal(next);
  return x;
}

void squared_distances(benchmark::State& state) {
  const index_t rows = state.range(0), cols = state.range(1);
  const std::vector<float> x = random_matrix(rows, cols);
  std::vector<float> d2(static_cast<std::size_t>(rows));
  for (auto _ : state) {
    poolwise::squared_distances(poolwise::cpu{int(state.range(2))}, {x.data(), rows, cols}, {x.data(), cols},
                                {d2.data(), rows});
    benchmark::DoNotOptimize(d2.data());
  }
  state.SetBytesProcessed(state.iterations() * (rows * cols + rows) * std::int64_t(sizeof(float)));
}
BENCHMARK(squared_distances)
    ->ArgNames({"rows", "cols", "threads"})
    ->ArgsProduct({{60'000}, {10, 64, 65, 512, 784}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

void nearest(benchmark::State& state) {
  const index_t rows = state.range(0), cols = state.range(1), references = state.range(2);
  const std::vector<float> x = random_matrix(rows, cols);
  std::vector<float> d2(static_cast<std::size_t>(rows));
  for (auto _ : state) {
    poolwise::nearest(poolwise::cpu{}, {x.data(), rows, cols}, {x.data(), references, cols}, {d2.data(), rows});
    benchmark::DoNotOptimize(d2.data());
  }
  state.SetItemsProcessed(state.iterations() * rows * references);
}
BENCHMARK(nearest)
    ->ArgNames({"rows", "cols", "references"})
    ->ArgsProduct({{60'000}, {64, 512}, {100, 1'000}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void find_nonfinite(benchmark::State& state) {
  const index_t rows = state.range(0), cols = state.range(1);
  const std::vector<float> x = random_matrix(rows, cols);
  for (auto _ : state)
    benchmark::DoNotOptimize(poolwise::find_nonfinite(poolwise::cpu{1}, {x.data(), rows, cols}));
  state.SetBytesProcessed(state.iterations() * rows * cols * std::int64_t(sizeof(float)));
}
BENCHMARK(find_nonfinite)
    ->ArgNames({"rows", "cols"})
    ->Args({60'000, 512})
    ->Args({1'000'000, 10})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
