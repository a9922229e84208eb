// What a batch may hold: checks, and how an allowance is used up.
#include "poolwise/diverse/allowance.hpp"

#include <gtest/gtest.h>

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
  limit.cost = {};
  limit.budget = -5;
  EXPECT_NE(refusal(limit, 3).find("the budget is -5"), std::string::npos);
  limit.budget = 5;
  limit.group = view(group);
  limit.quota = view(quota);
  EXPECT_NE(refusal(limit, 3).find("row 1 is in group 2"), std::string::npos);
  limit.quota = view(negative_quota);
  EXPECT_NE(refusal(limit, 3).find("the quota of group 1 is -1"), std::string::npos);
}

}  // namespace
}  // namespace poolwise
