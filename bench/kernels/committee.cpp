// Committee scorers: a cube at once, and members one by one through the accumulator.
#include "poolwise/committee/committee.hpp"

#include <benchmark/benchmark.h>

#include <vector>

#include "outputs.hpp"

namespace poolwise {
namespace {

template <class T>
void score_cube(benchmark::State& state, const std::vector<disagreement>& which) {
  const index_t members = state.range(0), rows = state.range(1), cols = state.range(2);
  const index_t columns = index_t(which.size());
  const auto x = bench::make_logits<T>(members * rows * cols);
  const auto scores = bench::make_huge<float>(std::size_t(rows * columns));
  for (auto _ : state) {
    score_committee(cpu{int(state.range(3))}, cube_view<const T>{x.get(), members, rows, cols}, outputs::logits,
                    which, {scores.get(), rows, columns});
    benchmark::DoNotOptimize(scores.get());
  }
  state.SetItemsProcessed(state.iterations() * rows);
  state.SetBytesProcessed(state.iterations() *
                          (members * rows * cols * index_t(sizeof(T)) + rows * columns * 4));
}

template <class T>
void bald(benchmark::State& state) {
  score_cube<T>(state, {disagreement::bald});
}

template <class T>
void every_disagreement(benchmark::State& state) {
  score_cube<T>(state, {disagreement::bald, disagreement::vote_entropy, disagreement::variation_ratio,
                        disagreement::max_kl, disagreement::mean_std});
}

template <disagreement Which>
void of_probabilities(benchmark::State& state) {
  const index_t members = state.range(0), rows = state.range(1), cols = state.range(2);
  const auto x = bench::make_probabilities(members * rows, cols);
  const auto scores = bench::make_huge<float>(std::size_t(rows));
  const disagreement which[] = {Which};
  for (auto _ : state) {
    score_committee(cpu{int(state.range(3))}, cube_view<const float>{x.get(), members, rows, cols},
                    outputs::probabilities, which, {scores.get(), rows, 1});
    benchmark::DoNotOptimize(scores.get());
  }
  state.SetItemsProcessed(state.iterations() * rows);
  state.SetBytesProcessed(state.iterations() * rows * (members * cols + 1) * 4);
}

// Every member adds a read and a write of the accumulators to its own read.
void bald_streamed(benchmark::State& state) {
  const index_t members = state.range(0), rows = state.range(1), cols = state.range(2);
  const auto x = bench::make_logits<float>(rows * cols);
  std::vector<float> scores(static_cast<std::size_t>(rows));
  const cpu on{int(state.range(3))};
  committee_accumulator gathered(rows, cols, std::vector{disagreement::bald});
  for (auto _ : state) {
    for (index_t k = 0; k < members; ++k)
      gathered.add(on, matrix_view<const float>{x.get(), rows, cols}, outputs::logits);
    gathered.finish(on, {scores.data(), rows, 1});
    benchmark::DoNotOptimize(scores.data());
  }
  state.SetItemsProcessed(state.iterations() * rows);
  state.SetBytesProcessed(state.iterations() * ((3 * members + 1) * rows * cols + rows) * 4);
}

void shapes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"members", "rows", "cols", "threads"})->Unit(benchmark::kMillisecond)->UseRealTime();
  for (index_t threads : {1, 2}) {
    b->Args({10, 1000000, 10, threads});
    b->Args({10, 20000, 1000, threads});
  }
}

BENCHMARK_TEMPLATE(bald, float)->Apply(shapes);
BENCHMARK_TEMPLATE(bald, float16)->Apply(shapes);
BENCHMARK_TEMPLATE(of_probabilities, disagreement::bald)->Apply(shapes);
BENCHMARK_TEMPLATE(of_probabilities, disagreement::vote_entropy)->Apply(shapes);
BENCHMARK_TEMPLATE(every_disagreement, float)->Apply(shapes);
BENCHMARK(bald_streamed)->Apply(shapes);

}  // namespace
}  // namespace poolwise
