// What a budget buys of ten million rows in 20 groups, with quotas and floors.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <cstdint>
#include <random>
#include <vector>

#include "poolwise/budget/spend.hpp"

namespace {

using poolwise::index_t;

struct pool {
  std::vector<float> scores;
  std::vector<std::int64_t> cost, hours;
  std::vector<index_t> group, quota, floor;

  explicit pool(index_t rows) : quota(20, 900), floor(20, 200) {
    std::minstd_rand next(7);
    for (index_t i = 0; i < rows; ++i) {
      group.push_back(index_t(next() % 20));
      scores.push_back(float(next()) * 0x1p-31f / float(1 + group.back()));
      cost.push_back(std::int64_t(1 + next() % 5000));
      hours.push_back(std::int64_t(next() % 300));
    }
  }
};

void best_affordable(benchmark::State& state) {
  const index_t rows = state.range(0), budgets = state.range(1);
  const pool of(rows);
  poolwise::allowance limit{.picks = 10'000};
  limit.group = {of.group.data(), rows};
  limit.quota = {of.quota.data(), 20};
  limit.floor = {of.floor.data(), 20};
  if (budgets > 0) limit.cost = {of.cost.data(), rows}, limit.budget = 3'000'000;
  if (budgets > 1) limit.also = {{{of.hours.data(), rows}, 600'000, "hours"}};
  double share = 0;
  for (auto _ : state) {
    const auto bought =
        poolwise::best_affordable(poolwise::cpu{int(state.range(2))}, {of.scores.data(), rows}, limit);
    share = bought.share();
    benchmark::DoNotOptimize(bought.batch.data());
  }
  state.counters["of_optimum"] = share;
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  // The scores, costs, hours and groups of 1e7 rows take 267 MiB of it.
  state.counters["peak_MiB"] = double(used.ru_maxrss) / 1024;
}
BENCHMARK(best_affordable)
    ->ArgNames({"rows", "budgets", "threads"})
    ->ArgsProduct({{10'000'000}, {0, 1, 2}, {1, 2}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
