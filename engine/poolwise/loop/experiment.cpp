#include "poolwise/loop/experiment.hpp"

#include <mutex>
#include <optional>

#include "poolwise/core/detail/parallel.hpp"

namespace poolwise {
namespace {

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

void run_grid(cpu on, std::size_t strategies, std::size_t seeds, index_t steps, const run_function& run,
              const progress_function& progress) {
  const index_t runs = index_t(strategies * seeds);
  std::mutex reporting;
  index_t done = 0;
  const std::function<void()> step = [&] {
    const std::lock_guard lock(reporting);
    ++done;
    if (progress) progress(double(done) / double(runs * steps));
  };
  parallel_blocks(on, runs, 1, [&](index_t place, index_t, index_t) {
    run(std::size_t(place) / seeds, std::size_t(place) % seeds, step);
  });
}

std::vector<strategy_summary> summarise(std::span<const std::string> names,
                                        std::span<const std::vector<learning_curve>> curves,
                                        const std::string& baseline, double target) {
  std::vector<strategy_summary> summaries;
  std::vector<double> baseline_areas;
  for (std::size_t s = 0; s < names.size(); ++s)
    if (names[s] == baseline) baseline_areas = measured(curves[s], aubc);
  for (std::size_t s = 0; s < names.size(); ++s) {
    strategy_summary one;
    one.name = names[s];
    one.curves = curves[s];
    const auto areas = measured(curves[s], aubc);
    one.aubc_mean = mean(areas);
    one.aubc_sd = standard_deviation(areas);
    if (!baseline_areas.empty() && names[s] != baseline) {
      const paired_test test = paired_t(areas, baseline_areas);
      one.minus_baseline = test.mean;
      one.p = test.p;
    }
    std::vector<std::optional<index_t>> reached;
    for (const learning_curve& curve : curves[s]) reached.push_back(labels_to_reach(curve, target));
    one.labels_to_target = median_labels(reached);
    summaries.push_back(std::move(one));
  }
  return summaries;
}

experiment_runs run_experiment(cpu on, const experiment& e) {
  experiment_runs runs(e.strategies.size(), std::vector<loop_run>(e.seeds.size()));
  run_grid(
      on, e.strategies.size(), e.seeds.size(), e.schedule.rounds + 1,
      [&](std::size_t s, std::size_t k, const std::function<void()>& step) {
        const auto model = e.make_learner(e.strategies[s], e.seeds[k]);
        runs[s][k] = run_loop(cpu{1}, e.data, *model, e.strategies[s], e.schedule, e.seeds[k],
                              [&](const round_record&) { step(); });
      },
      e.progress);
  return runs;
}

std::vector<strategy_summary> summarise(const experiment& e, const experiment_runs& runs, index_t classes,
                                        double target) {
  std::vector<std::string> names;
  std::vector<std::vector<learning_curve>> curves(runs.size());
  for (std::size_t s = 0; s < runs.size(); ++s) {
    names.push_back(e.strategies[s].name);
    for (const loop_run& run : runs[s]) curves[s].push_back(run.curve());
  }
  auto summaries = summarise(names, curves, e.baseline, target);
  for (std::size_t s = 0; s < runs.size(); ++s) {
    summaries[s].score_seconds = mean_seconds(runs[s], &round_record::score_seconds);
    summaries[s].select_seconds = mean_seconds(runs[s], &round_record::select_seconds);
    summaries[s].train_seconds = mean_seconds(runs[s], &round_record::train_seconds);
    summaries[s].class_counts = count_classes(e, runs[s], classes);
  }
  return summaries;
}

}  // namespace poolwise
