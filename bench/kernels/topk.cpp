// Top-k of random scores beside std::nth_element on (score, row) pairs, the usual way to do it on a CPU.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <vector>

#include "huge_array.hpp"
#include "poolwise/topk/best_rows.hpp"
#include "poolwise/topk/topk.hpp"

namespace {

using poolwise::candidate;
using poolwise::index_t;

poolwise::bench::huge_array<float> random_scores(index_t rows) {
  std::minstd_rand next(7);
  auto scores = poolwise::bench::make_huge<float>(std::size_t(rows));
  std::generate_n(scores.get(), rows, [&] { return float(next()) * 0x1p-31f; });
  return scores;
}

void count_bytes(benchmark::State& state, index_t rows) {
  state.SetBytesProcessed(state.iterations() * rows * std::int64_t(sizeof(float)));
}

void top_k(benchmark::State& state) {
  const index_t rows = state.range(0), k = state.range(1);
  const poolwise::cpu on{int(state.range(2))};
  const auto scores = random_scores(rows);
  for (auto _ : state) benchmark::DoNotOptimize(poolwise::top_k(on, {scores.get(), rows}, k));
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
  const auto scores = random_scores(rows);
  std::sort(scores.get(), scores.get() + rows);
  for (auto _ : state) benchmark::DoNotOptimize(poolwise::top_k(poolwise::cpu{1}, {scores.get(), rows}, k));
  count_bytes(state, rows);
}
BENCHMARK(top_k_ascending)
    ->ArgNames({"rows", "k"})
    ->ArgsProduct({{10'000'000}, {1'000, 100'000}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Scores and keeps in one read; beside it, scores into memory and top_k of them.
void best_rows(benchmark::State& state) {
  const index_t rows = state.range(0), cols = state.range(1), k = 1'000;
  const bool fused = state.range(2) != 0;
  const auto logits = random_scores(rows * cols);
  const poolwise::matrix_view<const float> x{logits.get(), rows, cols};
  const auto room = poolwise::bench::make_huge<float>(std::size_t(rows));
  const poolwise::vector_view<float> scores{room.get(), rows};
  const poolwise::cpu on{1};
  for (auto _ : state) {
    if (fused) {
      benchmark::DoNotOptimize(
          poolwise::best_rows(on, x, poolwise::outputs::logits, poolwise::acquisition::margin, k));
    } else {
      poolwise::score(on, x, poolwise::outputs::logits, poolwise::acquisition::margin, scores);
      benchmark::DoNotOptimize(poolwise::top_k(on, scores, k));
    }
  }
  count_bytes(state, rows * cols);
}
BENCHMARK(best_rows)
    ->ArgNames({"rows", "cols", "fused"})
    ->ArgsProduct({{10'000'000}, {2, 10}, {0, 1}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void nth_element_on_pairs(benchmark::State& state) {
  const index_t rows = state.range(0), k = state.range(1);
  const auto scores = random_scores(rows);
  std::vector<candidate> pairs(static_cast<std::size_t>(rows));
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
