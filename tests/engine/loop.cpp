// The loop and experiments, on a pool small enough to reason about.
#include "poolwise/loop/loop.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/learn/softmax_regression.hpp"
#include "poolwise/loop/experiment.hpp"

namespace poolwise {
namespace {

constexpr index_t classes = 3, features = 4;

// Gaussian classes around the corners of a simplex.
struct toy_pool {
  std::vector<float> pool, test;
  std::vector<std::int32_t> pool_labels, test_labels;

  explicit toy_pool(index_t rows) {
    std::mt19937 random(3);
    std::normal_distribution<float> noise(0, 0.6f);
    const auto fill = [&](std::vector<float>& x, std::vector<std::int32_t>& y, index_t n) {
      for (index_t i = 0; i < n; ++i) {
        const int label = int(random() % classes);
        y.push_back(label);
        for (index_t f = 0; f < features; ++f) x.push_back(noise(random) + (f == label ? 1.5f : 0.0f));
      }
    };
    fill(pool, pool_labels, rows);
    fill(test, test_labels, 200);
  }

  labelled_pool view() const {
    const index_t rows = index_t(pool_labels.size());
    return {{pool.data(), rows, features},
            {test.data(), 200, features},
            {pool_labels.data(), rows},
            {test_labels.data(), 200}};
  }
};

const loop_schedule schedule{10, 5, 4};

loop_run run(const toy_pool& data, const char* name, std::uint64_t seed) {
  softmax_regression model(classes);
  return run_loop(cpu{1}, data.view(), model, parse_strategy(name), schedule, seed);
}

TEST(InitialRows, AscendingDistinctAndUniform) {
  std::vector<int> counts(20);
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const auto rows = initial_rows(20, 5, seed);
    ASSERT_EQ(rows.size(), 5u);
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    EXPECT_EQ(std::set<index_t>(rows.begin(), rows.end()).size(), 5u);
    for (const index_t row : rows) ++counts[std::size_t(row)];
  }
  double chi2 = 0;
  for (const int n : counts) chi2 += (n - 1000.0) * (n - 1000.0) / 750;
  EXPECT_LT(chi2, 52);  // about chi-square of 19; P(> 52) < 1e-4
}

TEST(InitialRows, OfEachClassAlike) {
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 30; ++i) labels.push_back(i < 4 ? 0 : i < 10 ? 2 : 1);
  const vector_view<const std::int32_t> view{labels.data(), 30};
  std::vector<int> counts(30);
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const auto rows = initial_rows_by_class(view, 3, 2, seed);
    ASSERT_EQ(rows.size(), 6u);
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end()));
    std::vector<int> by_class(3);
    for (const index_t row : rows)
      ++counts[std::size_t(row)], ++by_class[std::size_t(labels[std::size_t(row)])];
    EXPECT_EQ(by_class, (std::vector<int>{2, 2, 2}));
  }
  // Rows of class 0 (4 of them), 2 (6) and 1 (20); six standard deviations of a binomial of 3,000.
  for (std::size_t i = 0; i < 30; ++i) {
    const double p = 2.0 / (i < 4 ? 4 : i < 10 ? 6 : 20);
    EXPECT_NEAR(counts[i], 3000 * p, 6 * std::sqrt(3000 * p * (1 - p))) << i;
  }
  EXPECT_EQ(initial_rows_by_class(view, 3, 4, 1), initial_rows_by_class(view, 3, 4, 1));
  EXPECT_THROW(initial_rows_by_class(view, 3, 5, 1), value_error);  // class 0 has 4
  EXPECT_THROW(initial_rows_by_class(view, 4, 1, 1), value_error);  // class 3 has none
  EXPECT_THROW(initial_rows_by_class(view, 2, 1, 1), value_error);  // label 2
}

TEST(Loop, MayStartFromEachClass) {
  const toy_pool data(200);
  softmax_regression model(classes);
  const loop_run r = run_loop(cpu{1}, data.view(), model, parse_strategy("margin"), {1, 2, 3, true}, 5);
  EXPECT_EQ(r.rounds[0].labels, classes);
  EXPECT_EQ(r.rounds[3].labels, classes + 6);
  EXPECT_THROW(
      run_loop(cpu{1}, data.view(), model, parse_strategy("margin"), {198 / classes + 1, 1, 3, true}, 5),
      value_error);
}

TEST(Loop, LabelsGrowByABatchARoundAndNoRowIsPickedTwice) {
  const toy_pool data(200);
  for (const char* name : {"random", "margin", "entropy", "badge", "kcenter", "margin/5x/badge"}) {
    const loop_run r = run(data, name, 1);
    ASSERT_EQ(r.rounds.size(), 5u) << name;
    const auto initial = initial_rows(200, 10, 1);
    std::set<index_t> seen(initial.begin(), initial.end());
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(r.rounds[i].labels, 10 + 5 * index_t(i));
      EXPECT_EQ(r.rounds[i].picked.size(), i < 4 ? 5u : 0u);
      for (const index_t row : r.rounds[i].picked) EXPECT_TRUE(seen.insert(row).second) << name;
    }
    EXPECT_GT(r.rounds.back().accuracy, 0.6) << name;
    EXPECT_EQ(r.curve().labels, (std::vector<index_t>{10, 15, 20, 25, 30}));
  }
}

TEST(Loop, ASeedFixesTheRun) {
  const toy_pool data(200);
  for (const char* name : {"random", "badge"}) {
    const loop_run a = run(data, name, 7), b = run(data, name, 7), c = run(data, name, 8);
    for (std::size_t i = 0; i < a.rounds.size(); ++i) EXPECT_EQ(a.rounds[i].picked, b.rounds[i].picked);
    EXPECT_NE(a.rounds[0].picked, c.rounds[0].picked);
  }
}

TEST(Loop, StrategiesOfOneSeedStartFromTheSameModel) {
  const toy_pool data(200);
  EXPECT_EQ(run(data, "random", 4).rounds[0].accuracy, run(data, "margin", 4).rounds[0].accuracy);
}

TEST(Loop, ACommitteeServesDisagreement) {
  const toy_pool data(200);
  bootstrap_committee model(4, classes, 9);
  const loop_run r = run_loop(cpu{1}, data.view(), model, parse_strategy("bald"), schedule, 1);
  EXPECT_GT(r.rounds.back().accuracy, 0.6);
  softmax_regression one(classes);
  EXPECT_THROW(run_loop(cpu{1}, data.view(), one, parse_strategy("bald"), schedule, 1), value_error);
}

TEST(Loop, RefusesASchedulePastThePool) {
  const toy_pool data(29);
  softmax_regression model(classes);
  try {
    run_loop(cpu{1}, data.view(), model, parse_strategy("random"), schedule, 1);
    FAIL() << "nothing was thrown";
  } catch (const value_error& e) {
    EXPECT_NE(std::string(e.what()).find("labels 30 rows but the pool has 29"), std::string::npos);
  }
  EXPECT_THROW(run_loop(cpu{1}, data.view(), model, parse_strategy("random"), {0, 5, 1}, 1), value_error);
  auto uneven = data.view();
  uneven.pool_labels.size = 28;
  EXPECT_THROW(run_loop(cpu{1}, uneven, model, parse_strategy("random"), {5, 5, 1}, 1), shape_error);
}

experiment toy_experiment(const toy_pool& data) {
  experiment e;
  e.data = data.view();
  e.strategies = {parse_strategy("random"), parse_strategy("margin")};
  e.seeds = {1, 2, 3};
  e.schedule = schedule;
  e.make_learner = [](const strategy&, std::uint64_t) { return std::make_unique<softmax_regression>(classes); };
  return e;
}

TEST(Experiment, TheSameRunsForAnyThreads) {
  const toy_pool data(200);
  experiment e = toy_experiment(data);
  double last_share = 0;
  e.progress = [&](double share) { last_share = share; };
  const auto one = run_experiment(cpu{1}, e);
  EXPECT_EQ(last_share, 1);
  const auto three = run_experiment(cpu{3}, e);
  for (std::size_t s = 0; s < 2; ++s)
    for (std::size_t seed = 0; seed < 3; ++seed)
      for (std::size_t r = 0; r < 5; ++r) {
        EXPECT_EQ(one[s][seed].rounds[r].picked, three[s][seed].rounds[r].picked);
        EXPECT_EQ(one[s][seed].rounds[r].accuracy, three[s][seed].rounds[r].accuracy);
      }
}

TEST(Experiment, SummaryIsPairedAgainstRandom) {
  const toy_pool data(200);
  const experiment e = toy_experiment(data);
  const auto runs = run_experiment(cpu{2}, e);
  const auto summary = summarise(e, runs, classes, 0.5);
  ASSERT_EQ(summary.size(), 2u);
  double difference = 0;
  for (std::size_t seed = 0; seed < 3; ++seed)
    difference += (aubc(runs[1][seed].curve()) - aubc(runs[0][seed].curve())) / 3;
  EXPECT_NEAR(summary[1].minus_baseline, difference, 1e-12);
  EXPECT_EQ(summary[0].p, 1);
  EXPECT_EQ(summary[1].curves.size(), 3u);
  EXPECT_EQ(summary[1].class_counts[0] + summary[1].class_counts[1] + summary[1].class_counts[2], 3 * 4 * 5);
}

TEST(Experiment, AnyStrategyMayBeTheBaseline) {
  const toy_pool data(200);
  experiment e = toy_experiment(data);
  const auto runs = run_experiment(cpu{2}, e);
  const double gain = summarise(e, runs, classes, 0.5)[1].minus_baseline;
  e.baseline = "margin";
  const auto summary = summarise(e, runs, classes, 0.5);
  EXPECT_NEAR(summary[0].minus_baseline, -gain, 1e-12);
  EXPECT_EQ(summary[1].minus_baseline, 0);
  EXPECT_EQ(summary[1].p, 1);
  e.baseline = "entropy";
  for (const strategy_summary& one : summarise(e, runs, classes, 0.5)) EXPECT_EQ(one.p, 1);
}

TEST(Experiment, AFailingLearnerIsReported) {
  const toy_pool data(200);
  experiment e = toy_experiment(data);
  e.make_learner = [](const strategy&, std::uint64_t) -> std::unique_ptr<learner> {
    throw command_error("no such program");
  };
  EXPECT_THROW(run_experiment(cpu{2}, e), command_error);
}

}  // namespace
}  // namespace poolwise
