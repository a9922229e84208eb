#include "poolwise/loop/experiment.hpp"

#include <algorithm>
#include <mutex>
#include <optional>

#include "poolwise/core/parallel.hpp"

namespace poolwise {
namespace {

std::vector<double> areas(const std::vector<loop_run>& runs) {
  std::vector<double> out;
  for (const loop_run& run : runs) out.push_back(aubc(run.curve()));
  return out;
}

// The mean over the rounds of all runs that queried.
double mean_seconds(const std::vector<loop_run>& runs, double round_record::*seconds) {
  std::vector<double> all;
  for (const loop_run& run : runs)
    for (const round_record& r : run.rounds)
      if (!r.picked.empty()) all.push_back(r.*seconds);
  return all.empty() ? 0 : mean(all);
}

std::vector<index_t> count_classes(const experiment& e, const std::vector<loop_run>& runs, index_t classes) {
  std::vector<index_t> counts(std::size_t(classes), 0);
  for (const loop_run& run : runs)
    for (const round_record& r : run.rounds)
      for (const index_t row : r.picked) ++counts[std::size_t(e.data.pool_labels[row])];
  return counts;
}

}  // namespace

experiment_runs run_experiment(cpu on, const experiment& e) {
  const index_t seeds = index_t(e.seeds.size());
  const index_t tasks = index_t(e.strategies.size()) * seeds;
  experiment_runs runs(e.strategies.size(), std::vector<loop_run>(e.seeds.size()));
  std::mutex reporting;
  index_t rounds_done = 0;
  const auto round_seen = [&](const round_record&) {
    const std::lock_guard lock(reporting);
    ++rounds_done;
    if (e.progress) e.progress(double(rounds_done) / double(tasks * (e.schedule.rounds + 1)));
  };
  parallel_blocks(on, tasks, 1, [&](index_t task, index_t, index_t) {
    const strategy& what = e.strategies[std::size_t(task / seeds)];
    const std::uint64_t seed = e.seeds[std::size_t(task % seeds)];
    const auto model = e.make_learner(what, seed);
    runs[std::size_t(task / seeds)][std::size_t(task % seeds)] =
        run_loop(cpu{1}, e.data, *model, what, e.schedule, seed, round_seen);
  });
  return runs;
}

std::vector<strategy_summary> summarise(const experiment& e, const experiment_runs& runs, index_t classes,
                                        double target) {
  std::vector<double> baseline;
  for (std::size_t s = 0; s < e.strategies.size(); ++s)
    if (e.strategies[s].name == "random") baseline = areas(runs[s]);

  std::vector<strategy_summary> summaries;
  for (std::size_t s = 0; s < e.strategies.size(); ++s) {
    strategy_summary one;
    one.name = e.strategies[s].name;
    const auto area = areas(runs[s]);
    one.aubc_mean = mean(area);
    one.aubc_sd = standard_deviation(area);
    if (!baseline.empty()) {
      const paired_test test = paired_t(area, baseline);
      one.minus_random = test.mean;
      one.p = one.name == "random" ? 1 : test.p;
    }
    std::vector<std::optional<index_t>> reached;
    for (const loop_run& run : runs[s]) {
      one.curves.push_back(run.curve());
      reached.push_back(labels_to_reach(one.curves.back(), target));
    }
    one.labels_to_target = median_labels(reached);
    one.score_seconds = mean_seconds(runs[s], &round_record::score_seconds);
    one.select_seconds = mean_seconds(runs[s], &round_record::select_seconds);
    one.train_seconds = mean_seconds(runs[s], &round_record::train_seconds);
    one.class_counts = count_classes(e, runs[s], classes);
    summaries.push_back(std::move(one));
  }
  return summaries;
}

}  // namespace poolwise
