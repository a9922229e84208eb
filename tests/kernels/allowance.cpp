// What a batch may hold: checks, and how an allowance is used up.
#include "poolwise/budget/allowance.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "poolwise/budget/infeasible.hpp"
#include "poolwise/core/error.hpp"
#include "reference/demands.hpp"

namespace poolwise {
namespace {

using reference::small_demands;

template <class T>
vector_view<const T> view(const std::vector<T>& v) {
  return {v.data(), index_t(v.size())};
}

TEST(Allowance, NoLimitsButPicks) {
  const allowance limit{2};
  remaining left(limit);
  EXPECT_TRUE(left.eligible(0));
  left.take(0);
  EXPECT_EQ(left.picks(), 1);
  EXPECT_TRUE(left.eligible(5));
}

TEST(Allowance, ARowDearerThanWhatIsLeftIsPassedOver) {
  const std::vector<std::int64_t> cost = {5, 3, 0, 6};
  const allowance limit{4, view(cost), 8};
  remaining left(limit);
  EXPECT_TRUE(left.eligible(3));
  left.take(0);
  EXPECT_TRUE(left.eligible(1));  // exactly what is left
  EXPECT_FALSE(left.eligible(3));
  left.take(1);
  EXPECT_TRUE(left.eligible(2));  // a free row fits an empty budget
  EXPECT_FALSE(left.eligible(1));
}

TEST(Allowance, QuotasAndBars) {
  const std::vector<index_t> group = {0, 0, 1}, quota = {1, 0};
  const std::vector<std::uint8_t> barred = {0, 0, 0};
  const std::vector<std::uint8_t> first_barred = {1, 0, 0};
  allowance limit{3};
  limit.group = view(group);
  limit.quota = view(quota);
  limit.barred = view(barred);
  remaining left(limit);
  EXPECT_FALSE(left.eligible(2));
  left.take(0);
  EXPECT_FALSE(left.eligible(1));
  limit.barred = view(first_barred);
  EXPECT_FALSE(remaining(limit).eligible(0));
}

TEST(Allowance, RowsTooNearToAPickArePassedOver) {
  // Rows on a line, and one that lies nowhere.
  const std::vector<float> line = {0, 3, 3, 6.5f, std::numeric_limits<float>::quiet_NaN(), 1000},
                           others = {1000};
  const auto spaced = [&](float radius) {
    allowance limit{6};
    limit.apart = spacing{{line.data(), 6, 1}, radius};
    return limit;
  };
  const auto eligible = [](const remaining& left) {
    std::vector<index_t> rows;
    for (index_t i = 0; i < 6; ++i)
      if (left.eligible(i)) rows.push_back(i);
    return rows;
  };
  using rows = std::vector<index_t>;
  const allowance duplicates = spaced(0), within_three = spaced(3);
  remaining left(duplicates);
  EXPECT_TRUE(left.dwindles());
  EXPECT_EQ(eligible(left), (rows{0, 1, 2, 3, 4, 5}));
  left.take(1);
  EXPECT_FALSE(left.ruled_out(2));  // nobody has looked yet
  EXPECT_EQ(eligible(left), (rows{0, 3, 4, 5}));
  EXPECT_TRUE(left.ruled_out(2));
  left.take(4);  // a NaN is near nothing, itself included
  EXPECT_EQ(eligible(left), (rows{0, 3, 4, 5}));

  remaining wide(within_three);
  wide.take(0);
  EXPECT_EQ(eligible(wide), (rows{3, 4, 5}));  // 3 is at the radius, and counts as within it

  allowance from_others = spaced(0);
  from_others.apart->others = {others.data(), 1, 1};
  EXPECT_EQ(eligible(remaining(from_others)), (rows{0, 1, 2, 3, 4}));
}

TEST(Allowance, RowsAreComparedWithEveryPickOnce) {
  std::vector<float> line;
  for (int i = 0; i < 1500; ++i) line.push_back(float(i) / 2);
  allowance limit{1500};
  limit.apart = spacing{{line.data(), 1500, 1}, 0.5f};
  remaining left(limit);
  index_t taken = 0;
  for (index_t i = 0; i < 1500; ++i) {
    ASSERT_EQ(left.eligible(i), i % 2 == 0) << i;
    if (i % 2 != 0) continue;
    left.take(i);
    ++taken;
    ASSERT_FALSE(left.eligible(i / 2));
  }
  EXPECT_EQ(left.picks(), 1500 - taken);
}

TEST(Allowance, TheMostPicksThatABudgetBuys) {
  const std::vector<std::int64_t> cost = {3, 0, 7, 1, 1, 2};
  const std::vector<index_t> group = {0, 1, 0, 1, 1, 0}, quota = {9, 2};
  const std::vector<std::uint8_t> barred = {0, 0, 0, 1, 0, 0};
  const auto buys = [&](std::int64_t budget, bool quotas = false, bool bars = false) {
    allowance limit{6, view(cost), budget};
    if (quotas) limit.group = view(group), limit.quota = view(quota);
    if (bars) limit.barred = view(barred);
    return most_picks(limit, 6);
  };
  EXPECT_EQ(buys(0), 1);
  EXPECT_EQ(buys(1), 2);
  EXPECT_EQ(buys(3), 3);
  EXPECT_EQ(buys(7), 5);
  EXPECT_EQ(buys(13), 5);
  EXPECT_EQ(buys(14), 6);
  EXPECT_EQ(buys(2, true), 2);
  EXPECT_EQ(buys(3, true), 3);
  EXPECT_EQ(buys(100, true), 5);
  EXPECT_EQ(buys(1, false, true), 2);
  EXPECT_EQ(most_picks({2, view(cost), 100}, 6), 2);
  EXPECT_EQ(most_picks({4}, 6), 4);
}

TEST(Allowance, WhetherABudgetCanBind) {
  const std::vector<std::int64_t> cost = {3, 0, 7, 1, 1, 2};
  const std::vector<index_t> group = {0, 1, 0, 1, 1, 0}, quota = {1, 2};
  allowance limit{2, view(cost), 10};
  EXPECT_TRUE(affords_all(limit, 6));
  limit.budget = 9;
  EXPECT_FALSE(affords_all(limit, 6));
  limit.group = view(group), limit.quota = view(quota);
  EXPECT_TRUE(affords_all(limit, 6));
  limit.budget = 7;
  EXPECT_FALSE(affords_all(limit, 6));
  EXPECT_TRUE(affords_all({2}, 6));
}

// ---- Floors

TEST(Allowance, ARowThatLeavesAFloorUnmetIsPassedOver) {
  const std::vector<index_t> group = {0, 0, 0, 1, 1}, floor = {0, 1};
  const std::vector<std::int64_t> cost = {1, 4, 2, 5, 3};
  allowance limit{.picks = 2, .group = view(group), .floor = view(floor)};
  remaining left(limit);
  left.take(0);
  EXPECT_FALSE(left.eligible(1));  // the last pick is owed to group 1
  EXPECT_TRUE(left.eligible(3));
  limit.picks = 4, limit.cost = view(cost), limit.budget = 7;
  remaining priced(limit);
  EXPECT_TRUE(priced.eligible(1));  // row 4 costs 3
  EXPECT_TRUE(priced.eligible(3));
  priced.take(2);
  EXPECT_FALSE(priced.eligible(1));
  EXPECT_TRUE(priced.eligible(3));  // what is left but for row 4, and its place
  priced.take(3);
  EXPECT_EQ(priced.budget(), 0);
  EXPECT_FALSE(priced.eligible(4));
}

// Whatever is taken, in any order: what is passed over stays so, and at the end all floors are met.
TEST(Allowance, AnyWalkMeetsTheFloorsWithinAllLimits) {
  std::mt19937 random(3);
  int met = 0;
  for (int trial = 0; trial < 1200; ++trial) {
    const small_demands of(random, 9, trial % 4);
    const allowance limit = of.limit();
    const bool there_is_one = of.feasible();
    const auto why = why_infeasible(limit);
    if (!why.empty()) continue;
    ASSERT_TRUE(there_is_one) << trial;
    ++met;
    remaining left(limit);
    std::vector<index_t> order(9);
    for (index_t i = 0; i < 9; ++i) order[std::size_t(i)] = i;
    std::shuffle(order.begin(), order.end(), random);
    std::vector<bool> passed(9, false);
    unsigned taken = 0;
    for (const index_t row : order) {
      const bool one_budget = of.budgets() < 2;
      for (index_t i = 0; i < 9; ++i) {
        if (taken >> i & 1) continue;
        const bool may = left.picks() > 0 && left.eligible(i);
        if (one_budget) {
          ASSERT_EQ(may, of.leads_to_a_batch(taken | 1u << i)) << trial << ": row " << i;
        }
        ASSERT_FALSE(passed[std::size_t(i)] && may) << trial << ": row " << i;
        passed[std::size_t(i)] = !may;
      }
      if (left.picks() == 0 || !left.eligible(row)) continue;
      left.take(row);
      taken |= 1u << row;
    }
    ASSERT_TRUE(of.meets(taken)) << trial;
  }
  EXPECT_GT(met, 400);
}

TEST(Allowance, TheDemandsThatContradictEachOtherAreFewest) {
  std::mt19937 random(4);
  int infeasible = 0, not_found = 0;
  for (int trial = 0; trial < 1200; ++trial) {
    const small_demands of(random, 9, trial % 4);
    const auto why = why_infeasible(of.limit());
    if (of.feasible()) {
      not_found += !why.empty();
      if (of.budgets() < 2) {
        ASSERT_TRUE(why.empty()) << trial;
      }
      continue;
    }
    ASSERT_FALSE(why.empty()) << trial;
    ++infeasible;
    ASSERT_FALSE(of.with_only(why).feasible()) << trial;
    const bool proven = of.budgets() < 2 || std::count_if(why.begin(), why.end(), [](const demand& d) {
                                              return d.of == demand::kind::budget;
                                            }) < 2;
    for (std::size_t i = 0; i < why.size(); ++i) {
      auto without = why;
      without.erase(without.begin() + index_t(i));
      ASSERT_TRUE(!proven || of.with_only(without).feasible())
          << trial << ": " << describe(of.limit(), why) << " without the demand " << i;
    }
    if (proven) {
      EXPECT_EQ(why.size(), of.fewest_that_contradict()) << trial << ": " << describe(of.limit(), why);
    }
  }
  EXPECT_GT(infeasible, 300);
  EXPECT_LT(not_found, 9);  // rows that several budgets pay are looked for by weights
  std::cout << infeasible << " without a batch, " << not_found << " with one that was not found\n";
}

TEST(Allowance, SaysWhichDemandsContradictEachOther) {
  const std::vector<index_t> group = {0, 0, 0, 1, 1, 2}, floor = {2, 2, 1}, high = {2, 5, 1}, quota = {9, 1, 9};
  const std::vector<std::int64_t> cost = {5, 6, 7, 4, 4, 1}, hours = {1, 1, 1, 9, 9, 1};
  allowance limit{.picks = 9, .group = view(group), .floor = view(floor)};
  const auto says = [&] { return describe(limit, why_infeasible(limit)); };
  limit.picks = 3;
  EXPECT_EQ(says(), "the floor of group 0 and group 1 (4 picks together) and the number of picks (3)");
  limit.picks = 9, limit.quota = view(quota);
  EXPECT_EQ(says(), "the floor of group 1 (2 picks) and the quota of group 1 (1)");
  limit.quota = {}, limit.cost = view(cost), limit.budget = 18;
  EXPECT_EQ(says(),
            "the floor of group 0 and group 1 (4 picks together, which cost 19 at least) and the budget (18)");
  limit.budget = 20;
  limit.also = {{view(hours), 15, "hours"}};
  EXPECT_EQ(says(), "the floor of group 1 (2 picks, which cost 18 at least) and the budget of hours (15)");
  limit.floor = view(high);
  EXPECT_EQ(says(), "the floor of group 1 (5 picks) is more than the 2 rows that can be picked of it");
  try {
    check_allowance("call", limit, 6);
    FAIL();
  } catch (const budget_error& e) {
    EXPECT_EQ(std::string(e.what()), "call: " + says() + "; ask for fewer");
  }
}

TEST(Allowance, GainsCountForTheSharesOfAllBudgets) {
  const std::vector<std::int64_t> cost = {2, 0}, hours = {5, 10};
  allowance limit{
      .picks = 2, .cost = view(cost), .budget = 4, .per_cost = true, .also = {{view(hours), 10, "h"}}};
  EXPECT_EQ(gain_factors(limit), (std::vector<float>{1.0f, 0.8f}));  // 1 / (2/4 + 5/10), 1 / (1/4 + 10/10)
}

std::string refusal(const allowance& limit, index_t rows) {
  try {
    check_allowance("call", limit, rows);
  } catch (const error& e) {
    return e.what();
  }
  return "";
}

TEST(Allowance, RefusesWhatDoesNotFit) {
  const std::vector<std::int64_t> negative = {1, -2, 3};
  const std::vector<index_t> group = {0, 2, 1}, quota = {1, 1}, negative_quota = {1, -1, 1};
  allowance limit{1};
  EXPECT_EQ(refusal(limit, 3), "");
  EXPECT_EQ(refusal({-1}, 3), "call: the number of picks is -1; it must be 0 or more");
  limit.cost = view(negative);
  EXPECT_EQ(refusal(limit, 3), "call: the cost of row 1 is -2; it must be 0 or more");
  EXPECT_NE(refusal(limit, 4).find("cost has 3 entries but there are 4 rows"), std::string::npos);
  const std::vector<std::int64_t> huge = {1, std::int64_t{1} << 62, std::int64_t{1} << 62};
  limit.cost = view(huge);
  EXPECT_NE(refusal(limit, 3).find("leave 63 bits at row 2; give them in a larger unit"), std::string::npos);
  limit.cost = {};
  limit.budget = -5;
  EXPECT_NE(refusal(limit, 3).find("the budget is -5"), std::string::npos);
  limit.budget = 5;
  limit.group = view(group);
  limit.quota = view(quota);
  EXPECT_NE(refusal(limit, 3).find("row 1 is in group 2"), std::string::npos);
  limit.quota = view(negative_quota);
  EXPECT_NE(refusal(limit, 3).find("the quota of group 1 is -1"), std::string::npos);

  const std::vector<index_t> floor = {1}, negative_floor = {1, -1};
  limit.quota = view(quota), limit.floor = view(floor);
  EXPECT_NE(refusal(limit, 3).find("quotas are given for 2 groups but floors for 1"), std::string::npos);
  limit.floor = view(negative_floor);
  EXPECT_NE(refusal(limit, 3).find("the floor of group 1 is -1"), std::string::npos);
  limit.group = {}, limit.quota = limit.floor = {};
  limit.also = {{view(negative), 3, "hours"}};
  EXPECT_NE(refusal(limit, 3).find("the cost in hours of row 1 is -2"), std::string::npos);
  EXPECT_NE(refusal(limit, 4).find("the cost in hours has 3 entries but there are 4 rows"), std::string::npos);
  limit.also = {{view(huge), -3, "hours"}};
  EXPECT_NE(refusal(limit, 3).find("the budget in hours is -3"), std::string::npos);

  const std::vector<float> points = {1, 2, 3, 4};
  allowance spaced{1};
  spaced.apart = spacing{{points.data(), 4, 1}, 1};
  EXPECT_EQ(refusal(spaced, 4), "");
  EXPECT_NE(refusal(spaced, 3).find("the points to be apart have 4 rows but there are 3"), std::string::npos);
  spaced.apart->others = {points.data(), 2, 2};
  EXPECT_NE(refusal(spaced, 4).find("have 2 columns but the points have 1"), std::string::npos);
  spaced.apart->others = {};
  for (const float radius : {-1.0f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    spaced.apart->radius = radius;
    EXPECT_NE(refusal(spaced, 4).find("it must be a finite distance, 0 or more"), std::string::npos);
  }
}

}  // namespace
}  // namespace poolwise
