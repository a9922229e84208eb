// Strategies compared on one pool: every strategy with every seed, and what came of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "poolwise/loop/loop.hpp"
#include "poolwise/report/report.hpp"

namespace poolwise {

struct experiment {
  labelled_pool data;
  std::vector<strategy> strategies;
  std::vector<std::uint64_t> seeds;
  loop_schedule schedule;
  /// A fresh learner for one run.
  std::function<std::unique_ptr<learner>(const strategy&, std::uint64_t seed)> make_learner;
  /// Called after each round of any run with the share of all rounds done, one call at a time.
  std::function<void(double share)> progress;
};

/// runs[strategy][seed]
using experiment_runs = std::vector<std::vector<loop_run>>;

/// Runs strategies x seeds, `threads` of them at a time, each on one thread: the same runs for any number.
/// Under one seed every strategy starts from the same labels. Throws what the first failing run threw.
experiment_runs run_experiment(cpu on, const experiment& e);

/// Figures of every strategy; differences are paired by seed against the strategy named "random" (none: p = 1,
/// difference 0).
std::vector<strategy_summary> summarise(const experiment& e, const experiment_runs& runs, index_t classes,
                                        double target);

}  // namespace poolwise
