// What a budget buys, against exhaustive search on small pools.
#include "poolwise/budget/spend.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "poolwise/budget/audit.hpp"
#include "poolwise/budget/bandit.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/diverse/coverage.hpp"
#include "reference/demands.hpp"
#include "reference/errors.hpp"
#include "reference/scratch.hpp"

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

std::vector<index_t> bought(const std::vector<float>& scores, const allowance& limit) {
  return rows_of(best_affordable(cpu{}, view(scores), limit).batch);
}

using rows = std::vector<index_t>;
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TEST(BestAffordable, WithoutABudgetTheBestScores) {
  const std::vector<float> scores = {1, 3, nan, 3, 2};
  EXPECT_EQ(bought(scores, {3}), (rows{1, 3, 4}));
  EXPECT_EQ(bought(scores, {9}), (rows{1, 3, 4, 0}));
  EXPECT_TRUE(bought(scores, {0}).empty());
}

TEST(BestAffordable, CostsAloneDoNotChangeTheOrder) {
  const std::vector<float> scores = {1, 3, 2};
  const std::vector<std::int64_t> cost = {1, 100, 1};
  EXPECT_EQ(bought(scores, {2, view(cost)}), (rows{1, 2}));
}

TEST(BestAffordable, ABudgetThatDoesNotBindChangesNothing) {
  const std::vector<float> scores = {.10f, .10f, .45f, .44f};
  const std::vector<std::int64_t> cost = {1, 1, 10, 10};
  EXPECT_EQ(bought(scores, {2, view(cost), 1000}), (rows{2, 3}));
  EXPECT_EQ(bought(scores, {2, view(cost), 20}), (rows{2, 3}));
  EXPECT_FALSE(best_affordable(cpu{}, view(scores), {2, view(cost), 20}).budget_binds);

  std::vector<float> rising(1000);
  std::iota(rising.begin(), rising.end(), 1.0f);
  const std::vector<std::int64_t> free(1000, 0);
  EXPECT_EQ(bought(rising, {3, view(free), 0}), (rows{999, 998, 997}));
  EXPECT_EQ(bought(rising, {60, view(free), 0}).front(), 999);
  EXPECT_EQ(bought(rising, {60, view(free), 0}).back(), 940);
}

TEST(BestAffordable, TheMostWorthThatFits) {
  const std::vector<float> scores = {10, 9, 4, 1};
  const std::vector<std::int64_t> cost = {10, 3, 2, 1};
  EXPECT_EQ(bought(scores, {4, view(cost), 6}), (rows{1, 2, 3}));
  EXPECT_EQ(bought(scores, {1, view(cost), 6}), (rows{1}));
}

TEST(BestAffordable, OneDearRowCanBeWorthMoreThanManyCheapOnes) {
  const std::vector<float> scores = {2, 100};
  const std::vector<std::int64_t> cost = {1, 100};
  EXPECT_EQ(bought(scores, {2, view(cost), 100}), (rows{1}));
}

TEST(BestAffordable, FreeRowsFillTheBatch) {
  const std::vector<float> scores = {5, 1, 0};
  const std::vector<std::int64_t> cost = {3, 0, 0};
  EXPECT_EQ(bought(scores, {3, view(cost), 2}), (rows{1, 2}));
}

TEST(BestAffordable, ScoresMayBeNegativeOrInfinite) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> scores = {-5, -1, -3, -infinity}, high = {infinity, 1, infinity};
  const std::vector<std::int64_t> cost = {1, 9, 1, 1}, each = {2, 1, 2};
  EXPECT_EQ(bought(scores, {2, view(cost), 5}), (rows{2, 0}));
  EXPECT_EQ(bought(scores, {3, view(cost), 11}), (rows{1, 2, 0}));
  EXPECT_EQ(bought(high, {3, view(each), 3}), (rows{0, 1}));
}

TEST(BestAffordable, QuotasAreMetByTheBestOfEachGroup) {
  const std::vector<float> scores = {9, 8, 7, 1};
  const std::vector<index_t> group = {0, 0, 0, 1}, quota = {2, 1};
  allowance limit{4};
  limit.group = view(group);
  limit.quota = view(quota);
  EXPECT_EQ(bought(scores, limit), (rows{0, 1, 3}));
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
  EXPECT_EQ(bought(scores, limit), (rows{0, 10'000}));
}

/// A small pool with everything that limits a batch, at random.
struct small_pool {
  std::vector<float> scores;
  std::vector<std::int64_t> cost;
  std::vector<index_t> group, quota;
  allowance limit;

  small_pool(std::mt19937& random, int n, bool quotas) {
    const auto below = [&](int end) { return int(random() % unsigned(end)); };
    for (int i = 0; i < n; ++i) {
      scores.push_back(.01f + .48f * float(below(1 << 20)) / float(1 << 20));
      cost.push_back(below(6));
      group.push_back(below(3));
    }
    for (int g = 0; g < 3; ++g) quota.push_back(below(4));
    limit.picks = 2 + below(3);
    limit.cost = view(cost);
    limit.budget = 3 + below(22);
    if (quotas) limit.group = view(group), limit.quota = view(quota);
  }
  small_pool(const small_pool&) = delete;
  small_pool& operator=(const small_pool&) = delete;

  bool allowed(unsigned subset, bool also = true) const {
    remaining left(limit);
    for (index_t i = 0; i < index_t(scores.size()); ++i)
      if (subset >> i & 1) {
        if (left.picks() == 0 || !left.eligible(i)) return !also;
        left.take(i);
      }
    return also;
  }

  double worth(unsigned subset) const {
    double sum = 0;
    for (std::size_t i = 0; i < scores.size(); ++i)
      if (subset >> i & 1) sum += double(scores[i]);
    return sum;
  }

  double optimum() const {
    double most = 0;
    for (unsigned subset = 0; subset < 1u << scores.size(); ++subset)
      if (allowed(subset)) most = std::max(most, worth(subset));
    return most;
  }
};

TEST(BestAffordable, NearlyTheOptimumOfSmallPools) {
  std::mt19937 random(5);
  for (const bool quotas : {false, true}) {
    constexpr int pools = 1000;
    double sum = 0, worst = 1, certain = 0;
    for (int p = 0; p < pools; ++p) {
      const small_pool pool(random, 9, quotas);
      const purchase got = best_affordable(cpu{}, view(pool.scores), pool.limit);
      unsigned subset = 0;
      for (const candidate& c : got.batch) subset |= 1u << c.row;
      ASSERT_TRUE(pool.allowed(subset)) << p;
      const double optimum = pool.optimum(), share = optimum > 0 ? pool.worth(subset) / optimum : 1;
      sum += share;
      worst = std::min(worst, share);
      if (got.budget_binds) {
        ASSERT_GE(got.at_most, optimum * (1 - 1e-6)) << p;
        ASSERT_LE(got.share(), share + 1e-6) << p;
      }
      certain += got.share();
      if (index_t(got.batch.size()) == pool.limit.picks) continue;
      for (int i = 0; i < 9; ++i)
        ASSERT_TRUE((subset >> i & 1) != 0 || !pool.allowed(subset | 1u << i))
            << p << ": row " << i << " is left";
    }
    std::cout << (quotas ? "with quotas: " : "") << "mean " << sum / pools << " of the optimum, worst " << worst
              << ", certain on average " << certain / pools << "\n";
    EXPECT_GE(sum / pools, .99);
    EXPECT_GE(worst, .9);
  }
}

// Floors, quotas, bars and any number of budgets, against all batches of small pools.
TEST(BestAffordable, FloorsAndSeveralBudgetsWithinOneRowOfTheOptimum) {
  std::mt19937 random(11);
  for (const int budgets : {0, 1, 2, 3}) {
    int pools = 0, not_found = 0;
    double sum = 0, worst = 1, certain = 0;
    for (int trial = 0; trial < 2000; ++trial) {
      const reference::small_demands of(random, 9, budgets);
      std::vector<float> scores;
      for (int i = 0; i < 9; ++i) scores.push_back(.01f + .48f * float(random() % 1000) / 1000);
      if (trial % 8 == 0) scores[random() % 9] = nan;
      if (trial % 8 == 1) scores[random() % 9] = -.3f;
      const auto is_batch = [&](unsigned subset, bool floors) {
        for (std::size_t i = 0; i < 9; ++i)
          if ((subset >> i & 1) && scores[i] != scores[i]) return false;
        return floors ? of.meets(subset) : of.within(subset);
      };
      const float least = std::min(0.0f, *std::min_element(scores.begin(), scores.end(), [](float a, float b) {
                                     return (a != a ? 1 : a) < (b != b ? 1 : b);
                                   }));
      const auto worth = [&](unsigned subset) {
        double total = 0;
        for (std::size_t i = 0; i < 9; ++i)
          if (subset >> i & 1) total += double(scores[i]) - double(least);
        return total;
      };
      double optimum = -1, dearest = 0;
      for (unsigned subset = 0; subset < 512; ++subset)
        if (is_batch(subset, true)) optimum = std::max(optimum, worth(subset));
      for (std::size_t i = 0; i < 9; ++i)
        if (scores[i] == scores[i]) dearest = std::max(dearest, double(scores[i]) - double(least));
      purchase got;
      try {
        got = best_affordable(cpu{}, view(scores), of.limit());
      } catch (const budget_error&) {
        ASSERT_TRUE(optimum < 0 || budgets > 1) << trial;
        not_found += optimum >= 0;
        continue;
      }
      unsigned subset = 0;
      for (const candidate& c : got.batch) subset |= 1u << c.row;
      ASSERT_TRUE(is_batch(subset, true)) << trial;
      ++pools;
      ASSERT_GE(worth(subset), optimum - dearest - 1e-6) << trial;
      const double share = optimum > 0 ? worth(subset) / optimum : 1;
      sum += share;
      worst = std::min(worst, share);
      certain += got.share();
      if (got.budget_binds) {
        ASSERT_NEAR(got.worth, worth(subset), 1e-6) << trial;
        ASSERT_GE(got.at_most, optimum * (1 - 1e-6)) << trial;
      } else {
        ASSERT_NEAR(worth(subset), optimum, 1e-6) << trial;
      }
    }
    std::cout << budgets << " budgets, " << pools << " pools: mean " << sum / pools << " of the optimum, worst "
              << worst << ", certain on average " << certain / pools << "; " << not_found << " not found\n";
    EXPECT_GT(pools, 250);
    EXPECT_GE(sum / pools, .999);
    EXPECT_LT(not_found, 20);
  }
}

TEST(BestAffordable, TheBoundIsCloseForManyRowsUnderSeveralBudgetsAndFloors) {
  std::mt19937 random(13);
  constexpr std::size_t n = 50'000;
  std::vector<float> scores(n);
  std::vector<std::int64_t> cost(n), hours(n), pages(n);
  std::vector<index_t> group(n), quota(10, 90), floor(10, 20);
  for (std::size_t i = 0; i < n; ++i) {
    group[i] = index_t(random() % 10);
    scores[i] = float(random() % 100'000) / float(1 + group[i]);
    cost[i] = std::int64_t(1 + random() % 5000);
    hours[i] = std::int64_t(random() % 300);
    pages[i] = std::int64_t(1 + random() % 90);
  }
  floor[9] = 80;
  allowance limit{
      .picks = 500, .cost = view(cost), .budget = 300'000, .group = view(group), .quota = view(quota)};
  limit.floor = view(floor);
  limit.also = {{view(hours), 30'000, "hours"}, {view(pages), 11'000, "pages"}};
  const purchase got = best_affordable(cpu{}, view(scores), limit);
  EXPECT_TRUE(got.budget_binds);
  EXPECT_GE(got.share(), .998);
  remaining left(limit);
  std::vector<index_t> count(10, 0);
  for (const candidate& c : got.batch) {
    ++count[std::size_t(group[std::size_t(c.row)])];
    left.take(c.row);
  }
  for (std::size_t b = 0; b < 3; ++b) EXPECT_GE(left.left(b), 0);
  for (std::size_t g = 0; g < 10; ++g) {
    EXPECT_GE(count[g], floor[g]);
    EXPECT_LE(count[g], quota[g]);
  }
  for (const int threads : {1, 3}) {
    const purchase again = best_affordable(cpu{threads}, view(scores), limit);
    EXPECT_EQ(again.batch, got.batch);
    EXPECT_EQ(again.at_most, got.at_most);
  }
}

TEST(BestAffordable, TheBoundIsCloseForManyRows) {
  std::mt19937 random(7);
  std::vector<float> scores(50'000);
  std::vector<std::int64_t> cost(scores.size());
  std::vector<index_t> group(scores.size()), quota(10, 60);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    scores[i] = float(random() % 100'000);
    cost[i] = std::int64_t(1 + random() % 5000);
    group[i] = index_t(random() % 10);
  }
  allowance limit{500, view(cost), 100'000};
  for (const bool quotas : {false, true}) {
    if (quotas) limit.group = view(group), limit.quota = view(quota);
    const purchase got = best_affordable(cpu{}, view(scores), limit);
    EXPECT_TRUE(got.budget_binds);
    EXPECT_GE(got.share(), .9999);
    const auto picks = rows_of(got.batch);
    for (const int threads : {1, 3})
      EXPECT_EQ(rows_of(best_affordable(cpu{threads}, view(scores), limit).batch), picks);
  }
}

TEST(BestAffordable, PicksThatLieApartWithinABudget) {
  const std::vector<float> scores = {9, 8, 7, 6, 1, 2}, line = {0, 0.1f, 5, 5.1f, 9, 20};
  const std::vector<std::int64_t> cost = {5, 1, 5, 2, 1, 1};
  allowance limit{6, view(cost), 4};
  limit.apart = spacing{{line.data(), 6, 1}, 1};
  EXPECT_EQ(bought(scores, limit), (rows{1, 3, 5}));
  limit.budget = 5;
  EXPECT_EQ(bought(scores, limit), (rows{1, 3, 5, 4}));
  limit.picks = std::numeric_limits<index_t>::max();
  EXPECT_EQ(bought(scores, limit), (rows{1, 3, 5, 4}));
}

TEST(TakeInOrder, MeetsFloorsOnTheWay) {
  const std::vector<float> scores = {9, 8, 7, nan, 1, 2};
  const std::vector<std::int64_t> cost = {5, 4, 2, 0, 1, 3};
  const std::vector<index_t> group = {0, 0, 0, 1, 1, 1}, floor = {0, 1};
  allowance limit{.picks = 3, .group = view(group), .floor = view(floor)};
  EXPECT_EQ(rows_of(take_in_order(cpu{}, view(scores), limit)), (rows{0, 1, 5}));
  limit.cost = view(cost), limit.budget = 8;
  EXPECT_EQ(rows_of(take_in_order(cpu{}, view(scores), limit)), (rows{0, 2, 4}));
}

TEST(TakeInOrder, PassesOverWhatDoesNotFit) {
  const std::vector<float> scores = {9, 8, 7, 1};
  const std::vector<std::int64_t> cost = {5, 6, 2, 1};
  EXPECT_EQ(rows_of(take_in_order(cpu{}, view(scores), {3, view(cost), 8})), (rows{0, 2, 3}));
}

// ---- Diverse batches

/// Rows that are like each other by chance, and what facility location is worth of some of them.
struct small_coverage {
  std::vector<index_t> neighbours;
  std::vector<float> similarity, weights;
  std::vector<std::vector<double>> dense;

  small_coverage(std::mt19937& random, std::size_t n) : dense(n, std::vector<double>(n, 0)) {
    for (std::size_t i = 0; i < n; ++i) {
      weights.push_back(float(1 + random() % 4));
      dense[i][i] = 1;
      for (std::size_t j = 0; j < n; ++j) {
        neighbours.push_back(j < i ? index_t(j) : -1);
        similarity.push_back(j < i && random() % 2 == 0 ? float(random() % 8) / 8 : 0);
        if (j < i) dense[i][j] = dense[j][i] = double(similarity.back());
      }
    }
  }
  similarity_graph graph() const {
    const auto n = index_t(dense.size());
    return {cpu{}, {neighbours.data(), n, n}, {similarity.data(), n, n}};
  }
  double worth(unsigned subset) const {
    double sum = 0;
    for (std::size_t i = 0; i < dense.size(); ++i) {
      double most = 0;
      for (std::size_t j = 0; j < dense.size(); ++j)
        if (subset >> j & 1) most = std::max(most, dense[i][j]);
      sum += double(weights[i]) * most;
    }
    return sum;
  }
};

// Without a budget the half of Fisher et al.; with one the certificate alone, which is never wrong.
TEST(DiverseBatch, ItsFactorAndItsCertificateHold) {
  std::mt19937 random(23);
  for (const int budgets : {0, 1, 2}) {
    double worst = 1, sum = 0, certain = 0;
    int pools = 0;
    for (int trial = 0; trial < 700; ++trial) {
      const reference::small_demands of(random, 9, budgets);
      const small_coverage cover(random, 9);
      const allowance limit = of.limit();
      if (!of.feasible() || !why_infeasible(limit).empty()) continue;
      double optimum = 0;
      for (unsigned subset = 0; subset < 512; ++subset)
        if (of.meets(subset)) optimum = std::max(optimum, cover.worth(subset));
      std::vector<float> gains;
      batch_run run;
      run.gains_left = &gains;
      const auto picks = facility_location(cpu{}, cover.graph(), limit, {}, view(cover.weights), &run);
      unsigned subset = 0;
      for (const candidate& c : picks) subset |= 1u << c.row;
      ASSERT_TRUE(of.meets(subset)) << trial;
      const double worth = cover.worth(subset), most = worth + most_worth(cpu{}, view(gains), limit);
      ASSERT_GE(most, optimum * (1 - 1e-6)) << trial;
      for (index_t i = 0; i < 9; ++i)
        if (limit.barred[i] == 0) {
          ASSERT_NEAR(gains[std::size_t(i)], cover.worth(subset | 1u << i) - worth, 1e-5) << trial;
        }
      ++pools;
      if (optimum == 0) continue;
      worst = std::min(worst, worth / optimum);
      sum += worth / optimum;
      certain += worth / most;
    }
    std::cout << budgets << " budgets, " << pools << " pools: mean " << sum / pools << " of the optimum, worst "
              << worst << ", certain on average " << certain / pools << "\n";
    EXPECT_GT(pools, 150);
    if (budgets == 0) {
      EXPECT_GE(worst, .5);
    }
  }
}

// ---- Random picks

// Over many seeds every row, and every pair of a group, is drawn as often as is said: within 5 standard errors.
TEST(AuditDraw, RowsAreDrawnWithTheProbabilitiesThatAreSaid) {
  const std::vector<index_t> group = {0, 0, 0, 0, 0, 1, 1, 1, 2, 2}, quota = {9, 9, 1};
  const std::vector<std::uint8_t> barred = {0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
  const std::vector<double> weight = {1, 2.5, 5};
  for (const bool grouped : {false, true}) {
    allowance limit{.picks = 9, .barred = view(barred)};
    if (grouped) limit.group = view(group), limit.quota = view(quota);
    audit_options options{.draws = 4};
    if (grouped) options.weight = weight;
    constexpr int draws = 20'000;
    std::vector<double> count(10, 0), probability(10, 0);
    std::vector<std::vector<double>> pairs(10, std::vector<double>(10, 0)), expected = pairs;
    std::set<index_t> of_group_1;
    for (int seed = 0; seed < draws; ++seed) {
      options.seed = std::uint64_t(seed);
      const audit drawn = audit_draw(limit, 10, options);
      ASSERT_EQ(drawn.picks.size(), 4u);
      std::set<index_t> distinct;
      for (const audit_pick& p : drawn.picks) {
        ASSERT_NE(p.row, 4);
        distinct.insert(p.row);
        ++count[std::size_t(p.row)];
        probability[std::size_t(p.row)] = p.probability;
        for (const audit_pick& q : drawn.picks) ++pairs[std::size_t(p.row)][std::size_t(q.row)];
      }
      ASSERT_EQ(distinct.size(), 4u);
      if (grouped) {
        ASSERT_LE(drawn.strata[2].draws, 1);
        of_group_1.insert(drawn.strata[1].draws);
      }
      for (std::size_t g = 0; g < drawn.strata.size(); ++g) {
        const audit_stratum& s = drawn.strata[g];
        const double d = double(s.draws), n = double(s.rows);
        for (std::size_t i = 0; i < 10; ++i)
          for (std::size_t j = 0; j < 10; ++j)
            if (i != j && i != 4 && j != 4 && (!grouped || (group[i] == index_t(g) && group[j] == index_t(g))))
              expected[i][j] += d * (d - 1) / (n * (n - 1));
      }
    }
    double sum = 0;
    const auto near = [&](double got, double p) {
      return std::abs(got / draws - p) <= 5 * std::sqrt(p * (1 - p) / draws) + 1e-9;
    };
    for (std::size_t i = 0; i < 10; ++i) {
      sum += probability[i];
      EXPECT_TRUE(near(count[i], probability[i])) << i << ": " << count[i] / draws << ", " << probability[i];
      for (std::size_t j = 0; j < 10; ++j)
        if (i != j && expected[i][j] > 0) {
          EXPECT_TRUE(near(pairs[i][j], expected[i][j] / draws)) << i << " and " << j;
        }
    }
    EXPECT_NEAR(sum, 4, 1e-9);
    if (!grouped) continue;
    EXPECT_EQ(of_group_1.size(), 2u);                         // its expected number is not whole
    EXPECT_NEAR(probability[5] / probability[0], 2.5, 1e-9);  // by the weights
    EXPECT_NEAR(probability[8], .5, 1e-9);                    // the quota is one of two rows
  }
}

TEST(AuditDraw, NoRowIsLessLikelyThanTheLeast) {
  const std::vector<index_t> group = {0, 0, 0, 0, 1, 1, 1, 1}, quota = {9, 9};
  const std::vector<double> weight = {0, 1};
  allowance limit{.picks = 4, .group = view(group), .quota = view(quota)};
  const audit drawn = audit_draw(limit, 8, {.draws = 2, .weight = weight, .least = .2});
  EXPECT_NEAR(drawn.strata[0].probability, .05, 1e-12);  // .2 of 2 / 8
  EXPECT_NEAR(drawn.strata[1].probability, .45, 1e-12);
}

TEST(AuditDraw, TheOtherPicksCanStillMeetAllDemands) {
  std::mt19937 random(17);
  int drew = 0;
  for (int trial = 0; trial < 1500; ++trial) {
    const reference::small_demands of(random, 9, trial % 3);
    const allowance limit = of.limit();
    audit drawn;
    try {
      drawn = audit_draw(limit, 9, {.draws = 3, .seed = std::uint64_t(trial)});
    } catch (const budget_error&) {
      continue;
    }
    unsigned subset = 0;
    for (const audit_pick& p : drawn.picks) subset |= 1u << p.row;
    ASSERT_TRUE(of.leads_to_a_batch(subset)) << trial;
    drew += !drawn.picks.empty();
  }
  EXPECT_GT(drew, 200);
}

TEST(AuditDraw, IsAFunctionOfItsArguments) {
  const allowance limit{.picks = 100};
  const audit_options options{.draws = 50, .seed = 3, .round = 7};
  const audit first = audit_draw(limit, 1000, options);
  EXPECT_EQ(audit_draw(limit, 1000, options).picks, first.picks);
  audit_options other = options;
  other.round = 8;
  EXPECT_NE(audit_draw(limit, 1000, other).picks, first.picks);
  other = options;
  other.draws = 20;  // fewer draws are the first of more
  const audit fewer = audit_draw(limit, 1000, other);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(fewer.picks[i].row, first.picks[i].row);
  EXPECT_THROW(audit_draw(limit, 1000, {.draws = -1}), value_error);
  const std::vector<double> weights = {1, 2};
  EXPECT_THROW(audit_draw(limit, 1000, {.draws = 1, .weight = weights}), value_error);
  EXPECT_THROW(audit_draw(limit, 1000, {.draws = 1, .least = 1.5}), value_error);
}

// ---- Arms

TEST(Bandit, TheArmThatGainsMoreHasMoreAndNoneHasNothing) {
  EXPECT_EQ(next_shares(4, {}), std::vector<double>(4, .25));
  EXPECT_EQ(next_shares(1, {}), std::vector<double>{1});
  std::mt19937 random(2);
  const auto uniform = [&] { return double(random() % 1000) / 1000; };
  std::vector<arm_round> past;
  double lost = 0;
  constexpr int rounds = 400;
  for (int t = 0; t < rounds; ++t) {
    const auto share = next_shares(3, past, .05);
    double sum = 0;
    for (const double s : share) {
      EXPECT_GE(s, .05);
      sum += s;
    }
    ASSERT_NEAR(sum, 1, 1e-12);
    // Arm 2 is better by .2; what the mixture loses against it alone is bounded.
    arm_round round{100, share, {.4 * uniform(), .4 * uniform(), .2 + .4 * uniform()}};
    for (std::size_t a = 0; a < 3; ++a) lost += share[a] * (*round.gain[2] - *round.gain[a]);
    past.push_back(std::move(round));
  }
  EXPECT_LT(lost, std::sqrt(rounds * std::log(3)) + 3 * .05 * rounds);
  EXPECT_GT(next_shares(3, past, .05)[2], .85);
  EXPECT_EQ(next_shares(3, past, .05), next_shares(3, past, .05));
}

TEST(Bandit, AnArmSeldomSeenCountsForTheRoundsWithoutIt) {
  // One pick a round: an arm of share .1 is seen in a tenth of them, and each gain counts ten times.
  const std::vector<arm_round> rare = {{1, {.9, .1}, {std::nullopt, .05}}},
                               often = {{100, {.9, .1}, {0.0, .5}}};
  EXPECT_NEAR(next_shares(2, rare)[1], next_shares(2, often)[1], 1e-12);
}

TEST(Bandit, SharesBecomePicks) {
  const std::vector<double> share = {.55, .13, .32};
  std::vector<double> sum(3, 0);
  constexpr std::uint32_t rounds = 20'000;
  for (std::uint32_t round = 0; round < rounds; ++round) {
    const auto picks = picks_of_arms(share, 10, 5, round);
    ASSERT_EQ(picks[0] + picks[1] + picks[2], 10);
    for (std::size_t a = 0; a < 3; ++a) {
      ASSERT_LT(std::abs(double(picks[a]) - 10 * share[a]), 1);
      sum[a] += double(picks[a]);
    }
  }
  for (std::size_t a = 0; a < 3; ++a) EXPECT_NEAR(sum[a] / rounds, 10 * share[a], 5 * .5 / std::sqrt(rounds));
  EXPECT_EQ(picks_of_arms(share, 10, 5, 3), picks_of_arms(share, 10, 5, 3));
}

TEST(Bandit, RefusesWhatIsNoRecord) {
  EXPECT_THROW(next_shares(0, {}), value_error);
  EXPECT_THROW(next_shares(3, {}, .4), value_error);
  const std::vector<arm_round> short_round = {{9, {1}, {.5}}}, large = {{9, {.5, .5}, {.5, 2.0}}};
  EXPECT_THROW(next_shares(2, short_round), shape_error);
  EXPECT_THROW(next_shares(2, large), value_error);
}

// ---- Which strategy is asked

TEST(StrategyBandit, WeightsAreThoseOfThePaper) {
  constexpr int strategies = 3, rounds = 200;
  strategy_bandit bandit(strategies, rounds, 0.1);
  const double least = std::sqrt(std::log(3.0) / (strategies * rounds)),
               bonus = std::sqrt(std::log(strategies / 0.1) / (strategies * rounds));
  std::vector<double> w(strategies, 1.0);
  index_t of_best = 0;
  for (std::uint32_t t = 0; t < rounds; ++t) {
    const double sum = w[0] + w[1] + w[2];
    std::vector<double> p;
    for (const double x : w) p.push_back((1 - strategies * least) * x / sum + least);
    const auto got = bandit.shares();
    for (int i = 0; i < strategies; ++i) ASSERT_NEAR(got[std::size_t(i)], p[std::size_t(i)], 1e-9);
    // The first two name one row every fifth round.
    const std::vector<index_t> named = {10, t % 5 == 0 ? 10 : 20, 30};
    const auto asked = bandit.choose(named, 7, t);
    double q = 0;
    for (int i = 0; i < strategies; ++i) q += named[std::size_t(i)] == asked.row ? p[std::size_t(i)] : 0;
    ASSERT_NEAR(asked.chance, q, 1e-9);
    const double reward = asked.row == 30 ? 0.9 : 0.1;
    of_best += asked.row == 30;
    bandit.learn(named, asked, reward);
    for (int i = 0; i < strategies; ++i) {
      double of_row = 0;
      for (int k = 0; k < strategies; ++k)
        of_row += named[std::size_t(k)] == named[std::size_t(i)] ? p[std::size_t(k)] : 0;
      const double gain = named[std::size_t(i)] == asked.row ? reward / q : 0;
      w[std::size_t(i)] *= std::exp(least / 2 * (gain + bonus / of_row));
    }
  }
  const auto shares = bandit.shares();
  EXPECT_GT(shares[2], 0.7);
  EXPECT_GT(of_best, rounds / 3);
}

// 3,000 experiments of 20 answers: a standard deviation of at most sqrt(1 / (50 least chance) / 60000), that is
// 0.01.
TEST(StrategyBandit, TheAccuracyByImportanceIsUnbiased) {
  constexpr index_t pool_rows = 50;
  double truth = 0;
  const auto right = [](index_t row) { return row % 3 != 0; };
  for (index_t i = 0; i < pool_rows; ++i) truth += right(i) / double(pool_rows);
  double mean = 0, naive = 0;
  constexpr int experiments = 3000;
  std::mt19937_64 random(4);
  for (int e = 0; e < experiments; ++e) {
    std::vector<weighted_answer> answers;
    double share = 0;
    for (int t = 0; t < 20; ++t) {
      // One strategy asks about wrong rows alone, the other at random: any row may be named.
      const index_t anywhere = index_t(random() % pool_rows), wrong = 3 * index_t(random() % 17);
      const bool of_first = random() % 2 == 0;
      const index_t row = of_first ? wrong : anywhere;
      const double chance = 0.5 / pool_rows + (row % 3 == 0 ? 0.5 / 17 : 0);
      answers.push_back({right(row), chance});
      share += right(row) / 20.0;
    }
    mean += weighted_accuracy(answers, pool_rows) / experiments;
    naive += share / experiments;
  }
  EXPECT_NEAR(mean, truth, 0.03);
  EXPECT_LT(naive, truth - 0.2);  // which is not
}

TEST(StrategyBandit, WrongUsesAreRefused) {
  using ::reference::message_of;
  EXPECT_SAYS(message_of<value_error>([] { strategy_bandit(0, 5); }), "there are 0 strategies and 5 rounds");
  EXPECT_SAYS(message_of<value_error>([] { strategy_bandit(2, 5, 1); }), "give a probability between 0 and 1");
  strategy_bandit bandit(2, 5);
  const std::vector<index_t> named = {4, 9}, one = {4};
  EXPECT_SAYS(message_of<shape_error>([&] { bandit.choose(one, 1, 1); }), "1 rows were given by 2 strategies");
  EXPECT_SAYS(message_of<value_error>([&] { bandit.learn(named, {4, 0.5}, 1.5); }), "scale it from 0 to 1");
  EXPECT_SAYS(message_of<value_error>([&] {
                bandit.learn(named, {5, 0.5}, 1);
              }),
              "given by none of the strategies");
  EXPECT_SAYS(message_of<value_error>([] { weighted_accuracy({}, 5); }), "there are 0 answers of 5 rows");
  const weighted_answer never{true, 0};
  EXPECT_SAYS(message_of<value_error>([&] { weighted_accuracy({&never, 1}, 5); }), "drawn with the chance 0.0");
  EXPECT_EQ(strategy_bandit(1, 3).choose(one, 1, 1).chance, 1);
}

}  // namespace
}  // namespace poolwise
