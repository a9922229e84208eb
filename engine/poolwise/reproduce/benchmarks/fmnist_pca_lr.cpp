// The demo's protocol: Fashion-MNIST by 64 principal components and softmax regression.
#include <array>
#include <memory>

#include "poolwise/learn/softmax_regression.hpp"
#include "poolwise/metrics/comparison.hpp"
#include "poolwise/reproduce/detail/benchmarks.hpp"
#include "poolwise/reproduce/fashion_mnist.hpp"

namespace poolwise {
namespace {

constexpr const char* source = "an independent numpy run of the protocol over 10 seeds";

std::vector<figure> figures_of(const benchmark& what, const benchmark_runs& runs) {
  if (runs.seeds.size() < 5) return {};
  const auto areas = [&](const char* strategy) { return measured(curves_of(what, runs, strategy), aubc); };
  const auto minus_random = [&](const char* strategy) { return minus_baseline(what, runs, strategy); };
  const auto cost = [&](const char* strategy) {
    return efficiency(curves_of(what, runs, strategy), curves_of(what, runs, what.baseline), what.target);
  };
  const auto margin = cost("margin");
  using enum agreement;
  return {{"mean AUBC of random", mean(areas("random")), .7824, .012, within, source},
          {"margin - random", minus_random("margin"), .0164, .0084, within, source},
          {"p that margin beats random, paired t", p_of_winning(areas("margin"), areas("random")), .01, 0,
           at_most, source},
          {"badge - random", minus_random("badge"), .0140, .0080, within, source},
          {"entropy - random", minus_random("entropy"), -.0441, .0241, at_most, source},
          {"kcenter - random", minus_random("kcenter"), -.0626, .0226, at_most, source},
          {"labels to 80 %, random / margin", margin.ratio.value_or(0), 2.0, .5, at_least, source}};
}

benchmark make(const benchmark_entry& entry, const benchmark_settings& settings) {
  const auto data =
      std::make_shared<const fashion_mnist>(settings.data.empty() ? fashion_mnist_folder : settings.data);
  const loop_schedule schedule;
  benchmark what;
  what.name = entry.name;
  what.title = "Softmax regression on Fashion-MNIST";
  what.protocol = "A pool of 60,000 images and 10,000 test images as " + data->features_text() +
                  "; softmax regression, L2 1e-4, refitted every round; " + std::to_string(schedule.initial) +
                  " labels at random, then " + std::to_string(schedule.rounds) + " rounds of " +
                  std::to_string(schedule.batch);
  what.strategies = {"margin", "random", "entropy", "badge", "kcenter"};
  what.quick_seeds = 5;
  what.full_seeds = 10;
  what.run = [data, schedule](const std::string& strategy, std::uint64_t seed) {
    softmax_regression model(index_t(fashion_mnist_classes.size()));
    return run_loop(cpu{1}, data->pool(), model, parse_strategy(strategy), schedule, seed).curve();
  };
  what.figures = [strategies = what](const benchmark_runs& runs) { return figures_of(strategies, runs); };
  return what;
}

constexpr std::array entries = {
    benchmark_entry{"fmnist-pca-lr", "the demo: 60,000 images, 5 strategies", source, true, false, make}};

}  // namespace

std::span<const benchmark_entry> fmnist_benchmarks() { return entries; }

}  // namespace poolwise
