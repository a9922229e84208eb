// What a budget buys, against exhaustive search on small pools.
#include "poolwise/budget/spend.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

template <class T>
vector_view<const T> view(const std::vector<T>& v) {
  return {v.data(), index_t(v.size())};
}

std::vector<index_t> rows_of(const std::vector<candidate>& batch) {
  std::vector<index_t> rows;
  for (const candidate& c : batch) rows.push_back(c.row);
  return rows;
}

using rows = std::vector<index_t>;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TEST(BestAffordable, WithoutABudgetTheBestScores) {
  const std::vector<float> scores = {1, 3, nan, 3, 2};
  EXPECT_EQ(rows_of(best_affordable(cpu{}, view(scores), {3})), (rows{1, 3, 4}));
  EXPECT_EQ(rows_of(best_affordable(cpu{}, view(scores), {9})), (rows{1, 3, 4, 0}));
  EXPECT_TRUE(best_affordable(cpu{}, view(scores), {0}).empty());
}

TEST(BestAffordable, CostsAloneDoNotChangeTheOrder) {
  const std::vector<float> scores = {1, 3, 2};
  const std::vector<std::int64_t> cost = {1, 100, 1};
  EXPECT_EQ(rows_of(best_affordable(cpu{}, view(scores), {2, view(cost)})), (rows{1, 2}));
}

TEST(BestAffordable, ScorePerCostPassingOverWhatDoesNotFit) {
  const std::vector<float> scores = {10, 9, 4, 1};
  const std::vector<std::int64_t> cost = {10, 3, 2, 1};
  // Per cost: 1, 3, 2, 1. Row 1, then row 2; row 0 is too dear for what is left; row 3 fits.
  EXPECT_EQ(rows_of(best_affordable(cpu{}, view(scores), {4, view(cost), 6})), (rows{1, 2, 3}));
}

TEST(BestAffordable, OneDearRowCanBeWorthMoreThanManyCheapOnes) {
  const std::vector<float> scores = {2, 100};
  const std::vector<std::int64_t> cost = {1, 100};
  EXPECT_EQ(rows_of(best_affordable(cpu{}, view(scores), {2, view(cost), 100})), (rows{1}));
}

TEST(BestAffordable, FreeRowsComeFirst) {
  const std::vector<float> scores = {5, 1, 0};
  const std::vector<std::int64_t> cost = {2, 0, 0};
  EXPECT_EQ(rows_of(best_affordable(cpu{}, view(scores), {3, view(cost), 2})), (rows{1, 2, 0}));
}

TEST(BestAffordable, QuotasAreMetByTheBestOfEachGroup) {
  const std::vector<float> scores = {9, 8, 7, 1};
  const std::vector<index_t> group = {0, 0, 0, 1}, quota = {2, 1};
  allowance limit{4};
  limit.group = view(group);
  limit.quota = view(quota);
  EXPECT_EQ(rows_of(best_affordable(cpu{}, view(scores), limit)), (rows{0, 1, 3}));
}

TEST(BestAffordable, ALongWalkPastIneligibleRows) {
  // The one row of group 1 lies behind ten thousand better rows of a group whose quota is 1.
  std::vector<float> scores(10'001);
  std::iota(scores.rbegin(), scores.rend(), 0.0f);
  std::vector<index_t> group(10'001, 0);
  group.back() = 1;
  const std::vector<index_t> quota = {1, 1};
  allowance limit{2};
  limit.group = view(group);
  limit.quota = view(quota);
  EXPECT_EQ(rows_of(best_affordable(cpu{}, view(scores), limit)), (rows{0, 10'000}));
}

// Khuller et al.: greedy by density or the best single row reaches half the optimum.
TEST(BestAffordable, AtLeastHalfTheOptimumOnRandomPools) {
  std::mt19937 random(5);
  for (int pool = 0; pool < 200; ++pool) {
    const int n = 10;
    std::vector<float> scores(n);
    std::vector<std::int64_t> cost(n);
    for (int i = 0; i < n; ++i) {
      scores[std::size_t(i)] = float(random() % 20);
      cost[std::size_t(i)] = std::int64_t(random() % 9);
    }
    const std::int64_t budget = std::int64_t(random() % 25);
    double optimum = 0;
    for (unsigned subset = 0; subset < 1u << n; ++subset) {
      double value = 0;
      std::int64_t price = 0;
      for (int i = 0; i < n; ++i)
        if (subset >> i & 1) {
          value += scores[std::size_t(i)];
          price += cost[std::size_t(i)];
        }
      if (price <= budget) optimum = std::max(optimum, value);
    }
    const auto batch = best_affordable(cpu{}, view(scores), {n, view(cost), budget});
    double value = 0;
    std::int64_t price = 0;
    for (const candidate& c : batch) {
      value += c.score;
      price += cost[std::size_t(c.row)];
    }
    EXPECT_LE(price, budget);
    EXPECT_GE(2 * value, optimum) << "pool " << pool;
  }
}

TEST(BestAffordable, NegativeScoresHaveNoWorthPerCost) {
  const std::vector<float> scores = {1, -1};
  const std::vector<std::int64_t> cost = {1, 1};
  EXPECT_THROW(best_affordable(cpu{}, view(scores), {1, view(cost), 5}), value_error);
  EXPECT_EQ(rows_of(best_affordable(cpu{}, view(scores), {2})), (rows{0, 1}));
}

}  // namespace
}  // namespace poolwise
