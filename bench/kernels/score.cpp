// Row scorers: bytes moved a second, to be divided by what bench_kernels_bandwidth reads.
#include "poolwise/score/score.hpp"

#include <benchmark/benchmark.h>

#include <vector>

#include "outputs.hpp"
#include "poolwise/reduce/reduce.hpp"
#include "poolwise/score/label_scores.hpp"

namespace poolwise {
namespace {

template <class T>
void score_rows(benchmark::State& state, const std::vector<acquisition>& which) {
  const index_t rows = state.range(0), cols = state.range(1), columns = index_t(which.size());
  const auto x = bench::make_logits<T>(rows * cols);
  const auto scores = bench::make_huge<float>(std::size_t(rows * columns));
  for (auto _ : state) {
    score(cpu{int(state.range(2))}, matrix_view<const T>{x.get(), rows, cols}, outputs::logits, which,
          {scores.get(), rows, columns});
    benchmark::DoNotOptimize(scores.get());
  }
  state.SetItemsProcessed(state.iterations() * rows);
  state.SetBytesProcessed(state.iterations() * (rows * cols * index_t(sizeof(T)) + rows * columns * 4));
}

template <class T>
void entropy(benchmark::State& state) {
  score_rows<T>(state, {acquisition::entropy});
}

template <class T>
void three_scores(benchmark::State& state) {
  score_rows<T>(state, {acquisition::entropy, acquisition::margin, acquisition::least_confidence});
}

void entropy_of_probabilities(benchmark::State& state) {
  const index_t rows = state.range(0), cols = state.range(1);
  const auto x = bench::make_probabilities(rows, cols);
  const auto scores = bench::make_huge<float>(std::size_t(rows));
  for (auto _ : state) {
    score(cpu{int(state.range(2))}, matrix_view<const float>{x.get(), rows, cols}, outputs::probabilities,
          acquisition::entropy, {scores.get(), rows});
    benchmark::DoNotOptimize(scores.get());
  }
  state.SetItemsProcessed(state.iterations() * rows);
  state.SetBytesProcessed(state.iterations() * rows * (cols + 1) * 4);
}

void entropy_of_labels(benchmark::State& state) {
  const index_t rows = state.range(0), cols = state.range(1);
  const auto x = bench::make_logits<float>(rows * cols);
  const auto scores = bench::make_huge<float>(std::size_t(rows));
  for (auto _ : state) {
    score_labels(cpu{int(state.range(2))}, matrix_view<const float>{x.get(), rows, cols}, outputs::logits,
                 label_acquisition::binary_entropy, {scores.get(), rows});
    benchmark::DoNotOptimize(scores.get());
  }
  state.SetItemsProcessed(state.iterations() * rows);
  state.SetBytesProcessed(state.iterations() * rows * (cols + 1) * 4);
}

/// Items of `cols` parts each.
void mean_of_parts(benchmark::State& state) {
  const index_t items = state.range(0), parts = state.range(1);
  const auto x = bench::make_logits<float>(items * parts);
  const auto scores = bench::make_huge<float>(std::size_t(items));
  std::vector<index_t> offsets;
  for (index_t i = 0; i <= items; ++i) offsets.push_back(i * parts);
  for (auto _ : state) {
    reduce_parts(cpu{int(state.range(2))}, {x.get(), items * parts}, {offsets.data(), items + 1}, {},
                 {scores.get(), items});
    benchmark::DoNotOptimize(scores.get());
  }
  state.SetItemsProcessed(state.iterations() * items);
  state.SetBytesProcessed(state.iterations() * items * (parts * 4 + 12));
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"rows", "cols", "threads"})->Unit(benchmark::kMillisecond)->UseRealTime();
  for (index_t threads : {1, 2})
    for (auto [rows, cols] : {std::pair{4000000, 2}, {4000000, 10}, {1000000, 100}, {400000, 1000}})
      b->Args({rows, cols, threads});
}

BENCHMARK_TEMPLATE(entropy, float)->Apply(shapes);
BENCHMARK_TEMPLATE(entropy, float16)->Apply(shapes);
BENCHMARK_TEMPLATE(three_scores, float)->Apply(shapes);
BENCHMARK_TEMPLATE(three_scores, float16)->Apply(shapes);
BENCHMARK(entropy_of_probabilities)->Apply(shapes);
BENCHMARK(entropy_of_labels)->Apply(shapes);
BENCHMARK(mean_of_parts)->Apply(shapes);

}  // namespace
}  // namespace poolwise
