// Strategies for regressors against slow references in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/query/select.hpp"
#include "reference/asked.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

constexpr index_t rows = 60, features = 4, members = 5;

struct regression_pool {
  std::vector<float> embeddings = reference::normals(rows * features, 1), labels = reference::normals(rows, 2),
                     predictions = reference::normals(members * rows, 3);
  std::vector<index_t> labelled = {2, 9, 33}, excluded = {50};
  pool_inputs pool;

  const pool_inputs& view() {
    pool.rows = rows;
    pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    pool.predictions = cube_view<const float>{predictions.data(), members, rows, 1};
    pool.labels = {labels.data(), rows};
    pool.labelled = labelled;
    pool.excluded = excluded;
    return pool;
  }
  double prediction(index_t m, index_t i) const { return double(predictions[std::size_t(m * rows + i)]); }
  double mean(index_t i) const {
    double sum = 0;
    for (index_t m = 0; m < members; ++m) sum += prediction(m, i);
    return sum / members;
  }
  double distance(index_t i, index_t j) const {
    double sum = 0;
    for (index_t f = 0; f < features; ++f)
      sum += std::pow(
          double(embeddings[std::size_t(i * features + f)]) - double(embeddings[std::size_t(j * features + f)]),
          2);
    return std::sqrt(sum);
  }
  bool is_in(const std::vector<index_t>& list, index_t i) const {
    return std::find(list.begin(), list.end(), i) != list.end();
  }
};

/// By all pairs, anew for each pick. The first of none is the row nearest to the mean of all that may be
/// picked.
std::vector<index_t> greedy_reference(const regression_pool& of, const std::string& name, std::size_t picks) {
  std::vector<index_t> picked;
  std::vector<std::pair<index_t, double>> known;
  for (const index_t j : of.labelled)
    if (name == "gsx" || !std::isnan(of.labels[std::size_t(j)]))
      known.emplace_back(j, double(of.labels[std::size_t(j)]));
  while (picked.size() < picks) {
    index_t best = -1;
    double highest = -INFINITY;
    for (index_t i = 0; i < rows; ++i) {
      if (of.is_in(of.labelled, i) || of.is_in(of.excluded, i) || of.is_in(picked, i)) continue;
      double value = INFINITY;
      for (const auto& [j, y] : known) {
        const double outputs = std::abs(of.mean(i) - y);
        value = std::min(value, name == "gsx"   ? of.distance(i, j)
                                : name == "gsy" ? outputs
                                                : of.distance(i, j) * outputs);
      }
      if (known.empty()) {
        value = 0;
        for (index_t f = 0; f < features; ++f) {
          double mean = 0, count = 0;
          for (index_t u = 0; u < rows; ++u)
            if (!of.is_in(of.labelled, u) && !of.is_in(of.excluded, u))
              mean += double(of.embeddings[std::size_t(u * features + f)]), ++count;
          value -= std::pow(double(of.embeddings[std::size_t(i * features + f)]) - mean / count, 2);
        }
      }
      if (value > highest) best = i, highest = value;
    }
    picked.push_back(best);
    known.emplace_back(best, of.mean(best));
  }
  return picked;
}

TEST(GreedySampling, TakesTheFarthestByFeaturesOutputsOrBoth) {
  for (const bool cold : {false, true})
    for (const std::string name : {"gsx", "gsy", "igs"}) {
      SCOPED_TRACE(name);
      regression_pool of;
      of.labels[9] = NAN;  // nobody knows yet
      if (cold) of.labelled.clear();
      const batch chosen = select(cpu{1}, of.view(), {.strategy = name, .batch = 25});
      EXPECT_EQ(rows_of(chosen), greedy_reference(of, name, 25));
      EXPECT_EQ(rows_of(select(cpu{3}, of.pool, {.strategy = name, .batch = 25})), rows_of(chosen));
    }
}

TEST(GreedySampling, RefusesOutputsThatAreNoLabel) {
  regression_pool of;
  of.labels[33] = INFINITY;
  reference::expect_refused<value_error>([&] { select(cpu{}, of.view(), {.strategy = "gsy", .batch = 3}); },
                                         "labelled row number 2 is not finite");
  of.view();
  of.pool.predictions = cube_view<const float>{of.predictions.data(), 1, rows, 2};
  for (const char* name : {"igs", "expected_improvement", "thompson"})
    reference::expect_refused<shape_error>([&] { select(cpu{}, of.pool, {.strategy = name, .batch = 3}); },
                                           "one output");
}

TEST(Emcm, IsTheMeanChangeOfALinearModel) {
  regression_pool of;
  for (const pick& p : select(cpu{}, of.view(), {.strategy = "emcm", .batch = rows}).picks) {
    double length = 1, expected = 0;
    for (index_t f = 0; f < features; ++f)
      length += std::pow(of.embeddings[std::size_t(p.row * features + f)], 2);
    for (index_t m = 0; m < members; ++m)
      expected += std::abs(of.prediction(m, p.row) - of.mean(p.row)) * std::sqrt(length) / members;
    EXPECT_NEAR(p.score, expected, 1e-6 * expected) << p.row;
  }
}

/// E max(0, f - best) of a normal f by the midpoints of many small steps.
double improvement(double mean, double deviation, double best) {
  constexpr int steps = 40'000;
  double sum = 0;
  for (int s = 0; s < steps; ++s) {
    const double z = -10 + 20 * (s + 0.5) / steps;
    sum += std::max(0.0, mean + deviation * z - best) * std::exp(-z * z / 2) / std::sqrt(2 * M_PI) * 20 / steps;
  }
  return sum;
}

TEST(ExpectedImprovement, IsWhatTheRowExceedsTheBestLabelBy) {
  for (const bool cold : {false, true}) {
    regression_pool of;
    if (cold) of.labelled.clear();
    of.labels[9] = NAN;
    of.predictions[std::size_t(7)] += 40;  // far above, and far from the others
    for (index_t m = 0; m < members; ++m) of.predictions[std::size_t(m * rows + 8)] = 4;  // one that is sure
    for (index_t m = 0; m < members; ++m) of.predictions[std::size_t(m * rows + 11)] -= 7;
    double best = std::max(of.labels[2], of.labels[33]);
    const batch all = select(cpu{}, of.view(), {.strategy = "expected_improvement", .batch = rows});
    if (cold) {
      best = -INFINITY;  // of what is predicted
      for (const pick& p : all.picks) best = std::max(best, of.mean(p.row));
    }
    for (const pick& p : all.picks) {
      double squares = 0;
      for (index_t m = 0; m < members; ++m) squares += std::pow(of.prediction(m, p.row) - of.mean(p.row), 2);
      // Steps of 1/2000 leave an error below 1e-7 of the deviation at the kink.
      EXPECT_NEAR(p.score, improvement(of.mean(p.row), std::sqrt(squares / members), best), 2e-6) << p.row;
    }
  }
}

TEST(Thompson, EachPickIsTheBestOfADrawnMember) {
  regression_pool of;
  std::vector<int> drawn(members, 0);
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const batch chosen = select(cpu{}, of.view(), {.strategy = "thompson", .batch = 6, .seed = seed});
    std::vector<index_t> before;
    for (const pick& p : chosen.picks) {
      // Some member holds it largest of what was left.
      int by = 0;
      for (index_t m = 0; m < members; ++m) {
        bool best = p.score == of.predictions[std::size_t(m * rows + p.row)];
        for (index_t i = 0; i < rows; ++i)
          best = best && (of.is_in(of.labelled, i) || of.is_in(of.excluded, i) || of.is_in(before, i) ||
                          of.prediction(m, i) <= double(p.score));
        by += best;
        if (best) ++drawn[std::size_t(m)];
      }
      EXPECT_EQ(by, 1) << p.row;
      before.push_back(p.row);
    }
  }
  // 360 draws of five members: 72 each, six deviations of 7.6.
  for (const int count : drawn) EXPECT_NEAR(count, 72, 46);
}

}  // namespace
}  // namespace poolwise
