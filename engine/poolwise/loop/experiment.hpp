// Strategies compared on one pool: every strategy with every seed, and a summary of the runs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "poolwise/loop/loop.hpp"
#include "poolwise/report/report.hpp"

namespace poolwise {

/// Called with the share of all work that is done, one call at a time.
using progress_function = std::function<void(double share)>;

/// One run, of the strategy and the seed at these places. It calls step() after each part of its work.
using run_function =
    std::function<void(std::size_t strategy, std::size_t seed, const std::function<void()>& step)>;

/// Makes strategies x seeds runs of `steps` steps each: `threads` at a time, every one on one thread. Throws
/// what the first failing run threw.
void run_grid(cpu on, std::size_t strategies, std::size_t seeds, index_t steps, const run_function& run,
              const progress_function& progress);

/// Summaries of curves[strategy][seed], without seconds and classes. Differences are paired by seed against the
/// strategy named `baseline`; without one they are 0, and p = 1.
std::vector<strategy_summary> summarise(std::span<const std::string> names,
                                        std::span<const std::vector<learning_curve>> curves,
                                        const std::string& baseline, double target);

struct experiment {
  labelled_pool data;
  std::vector<strategy> strategies;
  std::vector<std::uint64_t> seeds;
  loop_schedule schedule;
  /// A fresh learner for one run.
  std::function<std::unique_ptr<learner>(const strategy&, std::uint64_t seed)> make_learner;
  progress_function progress;       ///< called after each round of any run
  std::string baseline = "random";  ///< the strategy that the others are compared with; it may be missing
};

/// runs[strategy][seed]
using experiment_runs = std::vector<std::vector<loop_run>>;

/// Runs strategies x seeds: the same runs for any number of threads. Under one seed every strategy starts from
/// the same labels. Throws what the first failing run threw.
experiment_runs run_experiment(cpu on, const experiment& e);

/// Summaries with mean seconds a round and picks by class.
std::vector<strategy_summary> summarise(const experiment& e, const experiment_runs& runs, index_t classes,
                                        double target);

}  // namespace poolwise
