// Top-k of random scores beside std::nth_element on (score, row) pairs, the usual way to do it on a CPU.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <vector>

#include "poolwise/topk/topk.hpp"

namespace {

using poolwise::candidate;
using poolwise::index_t;

std::vector<float> random_scores(index_t rows) {
  std::minstd_rand next(7);
  std::vector<float> scores(static_cast<std::size_t>(rows));
  for (float& s : scores) s = float(next()) * 0x1p-31f;
  return scores;
}

void count_bytes(benchmark::State& state, index_t rows) {
  state.SetBytesProcessed(state.iterations() * rows * std::int64_t(sizeof(float)));
}

void top_k(benchmark::State& state) {
  const index_t rows = state.range(0), k = state.range(1);
  const poolwise::cpu on{int(state.range(2))};
  const std::vector<float> scores = random_scores(rows);
  for (auto _ : state) benchmark::DoNotOptimize(poolwise::top_k(on, {scores.data(), rows}, k));
  count_bytes(state, rows);
}
BENCHMARK(top_k)
    ->ArgNames({"rows", "k", "threads"})
    ->ArgsProduct({{100'000'000}, {1'000, 100'000}, {1, 2}})
    ->Args({10'000'000, 1'000, 1})
    ->Args({10'000'000, 100'000, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Every score passes the threshold: the worst order there is.
void top_k_ascending(benchmark::State& state) {
  const index_t rows = state.range(0), k = state.range(1);
  std::vector<float> scores = random_scores(rows);
  std::sort(scores.begin(), scores.end());
  for (auto _ : state) benchmark::DoNotOptimize(poolwise::top_k(poolwise::cpu{1}, {scores.data(), rows}, k));
  count_bytes(state, rows);
}
BENCHMARK(top_k_ascending)
    ->ArgNames({"rows", "k"})
    ->ArgsProduct({{10'000'000}, {1'000, 100'000}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void nth_element_on_pairs(benchmark::State& state) {
  const index_t rows = state.range(0), k = state.range(1);
  const std::vector<float> scores = random_scores(rows);
  std::vector<candidate> pairs(scores.size());
  for (auto _ : state) {
    for (index_t i = 0; i < rows; ++i) pairs[std::size_t(i)] = {i, scores[std::size_t(i)]};
    std::nth_element(pairs.begin(), pairs.begin() + k, pairs.end(), poolwise::before);
    std::sort(pairs.begin(), pairs.begin() + k, poolwise::before);
    benchmark::DoNotOptimize(pairs.data());
  }
  count_bytes(state, rows);
}
BENCHMARK(nth_element_on_pairs)
    ->ArgNames({"rows", "k"})
    ->ArgsProduct({{10'000'000}, {1'000, 100'000}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
