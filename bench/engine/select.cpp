// Every strategy of the table on one pool: rows a second, from the call to the batch.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <random>
#include <string>
#include <vector>

#include "poolwise/query/select.hpp"

namespace poolwise {
namespace {

constexpr index_t classes = 10, members = 3, picks = 100;

/// Normal numbers in every part.
struct bench_pool {
  explicit bench_pool(index_t rows, index_t features = 64) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    const auto fill = [&](std::vector<float>& values, index_t count) {
      values.resize(std::size_t(count));
      for (float& v : values) v = normal(random);
    };
    fill(logits, rows * classes);
    fill(committee, members * rows * classes);
    fill(embeddings, rows * features);
    fill(queries, 20 * features);
    inputs.rows = rows;
    inputs.model = matrix_view<const float>{logits.data(), rows, classes};
    inputs.committee = cube_view<const float>{committee.data(), members, rows, classes};
    inputs.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    inputs.predictions = cube_view<const float>{committee.data(), members, rows, classes};
    inputs.targets = cube_view<const float>{committee.data(), members, 100, classes};
    for (index_t i = 0; i < rows; ++i) labels.push_back(float(i % classes));
    for (index_t i = 0; i < 100; ++i) labelled.push_back(i * (rows / 100));
    costs.assign(std::size_t(classes * classes), 1);
    inputs.labels = {labels.data(), rows};
    inputs.labelled = labelled;
    inputs.cost_matrix = matrix_view<const float>{costs.data(), classes, classes};
    inputs.label_outputs = inputs.model;
    sets.assign(std::size_t(rows * classes), 1);
    inputs.label_sets = matrix_view<const float>{sets.data(), rows, classes};
    inputs.queries = matrix_view<const float>{queries.data(), 10, features};
    inputs.private_rows = matrix_view<const float>{queries.data() + 10 * features, 10, features};
  }

  std::vector<float> logits, committee, embeddings, queries, labels, costs, sets;
  std::vector<index_t> labelled;
  pool_inputs inputs;
};

void select_by(benchmark::State& state, const std::string& strategy) {
  const bench_pool pool(state.range(0));
  for (auto _ : state) {
    const batch chosen = select(cpu{}, pool.inputs, {.strategy = strategy, .batch = picks});
    benchmark::DoNotOptimize(chosen.picks.data());
  }
  state.SetItemsProcessed(state.iterations() * pool.inputs.rows);
}

/// A million rows in one process, with what it takes.
void select_bait(benchmark::State& state) {
  const bench_pool pool(state.range(0), state.range(1));
  for (auto _ : state) {
    const batch chosen = select(cpu{}, pool.inputs, {.strategy = "bait_binary", .batch = picks});
    benchmark::DoNotOptimize(chosen.picks.data());
  }
  rusage used;
  getrusage(RUSAGE_SELF, &used);
  state.counters["peak_MiB"] = double(used.ru_maxrss) / 1024;
  state.SetItemsProcessed(state.iterations() * pool.inputs.rows);
}
BENCHMARK(select_bait)
    ->Args({50'000, 512})
    ->Args({1'000'000, 512})
    ->Iterations(1)
    ->Unit(benchmark::kSecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

const bool registered = [] {
  for (const strategy_entry& entry : strategies()) {
    const auto add = [](const std::string& strategy, index_t rows) {
      benchmark::RegisterBenchmark(("select/" + strategy).c_str(), select_by, strategy)
          ->Arg(rows)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    };
    add(entry.example(), entry.scores() ? 500'000 : 20'000);
    add("margin/10x/" + entry.example(), 500'000);
  }
  return true;
}();

}  // namespace
}  // namespace poolwise
