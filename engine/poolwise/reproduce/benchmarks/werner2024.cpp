// Werner, Burchert, Stubbemann & Schmidt-Thieme 2024, "A Cross-Domain Benchmark for Active Learning", arXiv
// 2408.00426.
#include <array>
#include <memory>
#include <numeric>

#include "poolwise/learn/mlp.hpp"
#include "poolwise/reproduce/detail/benchmarks.hpp"
#include "poolwise/reproduce/detail/table_part.hpp"

namespace poolwise {
namespace {

constexpr const char* paper = "Werner et al. 2024, arXiv 2408.00426";
constexpr index_t trained = 2000;  // Statlog's split

std::vector<figure> figures_of(const benchmark& what, const benchmark_runs& runs) {
  if (runs.seeds.size() < 10) return {};
  const auto areas = [&](const char* strategy) { return measured(curves_of(what, runs, strategy), aubc); };
  // Their means are .806 (margin), .812 (entropy) and .774 (random): another split and training, so orders
  // alone count.
  return {{"p that margin beats random, paired t, " + std::to_string(runs.seeds.size()) + " seeds",
           p_of_winning(areas("margin"), areas("random")), .01, 0, agreement::at_most, paper}};
}

benchmark make(const benchmark_entry& entry, const benchmark_settings& settings) {
  const auto data = std::make_shared<const labelled_table>(published_table(settings, "dna"));
  std::vector<index_t> rows(std::size_t(data->rows));
  std::iota(rows.begin(), rows.end(), index_t(0));
  const auto all = std::span<const index_t>(rows);
  const auto pool = std::make_shared<const table_pool>(parted(*data, all.first(trained), all.subspan(trained)));
  const loop_schedule schedule{1, 1, 297, true};
  benchmark what;
  what.name = entry.name;
  what.title = "Werner et al. 2024 on DNA";
  what.protocol =
      "A pool of the first 2,000 rows and a test set of the other 1,186, 0 and 1 as they are; a "
      "perceptron of 24 and 12 hidden units, trained anew each round by Adam, 50 passes in steps of 32 rows at "
      "a rate of .005; one label of each class at random, "
      "then one a round up to 300";
  what.strategies = {"margin", "random", "entropy"};
  what.full_seeds = 50;
  what.run = [pool, schedule, classes = data->classes()](const std::string& strategy, std::uint64_t seed) {
    mlp model(classes, seed);
    return run_loop(cpu{1}, pool->pool(), model, parse_strategy(strategy), schedule, seed).curve();
  };
  what.figures = [strategies = what](const benchmark_runs& runs) { return figures_of(strategies, runs); };
  return what;
}

constexpr std::array entries = {
    benchmark_entry{"werner2024-dna", "DNA, 3,186 x 180, one label a round", paper, true, false, make}};

}  // namespace

std::span<const benchmark_entry> werner2024_benchmarks() { return entries; }

}  // namespace poolwise
