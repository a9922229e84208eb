// Greedy diverse batches: 100 picks a run, so an item is one pick and its sweep of the pool.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "poolwise/diverse/diverse.hpp"

namespace {

using poolwise::cpu;
using poolwise::index_t;

constexpr index_t picks = 100;

std::vector<float> random_matrix(index_t rows, index_t cols) {
  std::mt19937 next(7);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(rows * cols));
  for (float& v : x) v = normal(next);
  return x;
}

void count(benchmark::State& state, index_t floats_a_sweep) {
  state.SetItemsProcessed(state.iterations() * picks);
  state.SetBytesProcessed(state.iterations() * picks * floats_a_sweep * std::int64_t(sizeof(float)));
}

void kcenter(benchmark::State& state) {
  const index_t rows = state.range(0), cols = state.range(1);
  const std::vector<float> x = random_matrix(rows, cols);
  for (auto _ : state)
    benchmark::DoNotOptimize(
        poolwise::kcenter(cpu{int(state.range(2))}, {x.data(), rows, cols}, {.picks = picks}));
  count(state, rows * (cols + 2));
}
BENCHMARK(kcenter)
    ->ArgNames({"rows", "cols", "threads"})
    ->ArgsProduct({{60'000}, {64, 512}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void kmeans_pp_factored(benchmark::State& state) {
  constexpr index_t classes = 10;
  const index_t rows = state.range(0), features = state.range(1);
  const std::vector<float> a = random_matrix(rows, classes), h = random_matrix(rows, features);
  const poolwise::factored_rows points{{a.data(), rows, classes}, {h.data(), rows, features}};
  for (auto _ : state)
    benchmark::DoNotOptimize(poolwise::kmeans_pp(cpu{int(state.range(2))}, points, {.picks = picks}, 7));
  count(state, rows * (classes + features + 4));
}
BENCHMARK(kmeans_pp_factored)
    ->ArgNames({"rows", "features", "threads"})
    ->ArgsProduct({{60'000}, {64, 65, 512}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
