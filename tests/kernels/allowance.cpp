// What a batch may hold: checks, and how an allowance is used up.
#include "poolwise/budget/allowance.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

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
