// Tests between strategies, against scipy 1.17 (the call stands in the comment) and hand counts.
#include "poolwise/metrics/comparison.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using values = std::vector<double>;

constexpr double close = 1e-10;

TEST(Wilcoxon, AgreesWithScipy) {
  const values a{79, 81, 80, 78, 90, 83, 77, 88, 61}, b{78, 79, 83, 82, 85, 77, 70, 80, 70};
  const auto exact = wilcoxon(a, b);  // wilcoxon(a, b, method="exact")
  EXPECT_TRUE(exact.exact);
  EXPECT_EQ(exact.pairs, 9);
  EXPECT_EQ(exact.statistic, 16);
  EXPECT_NEAR(exact.p, 0.49609375, close);
  const values c{5, 7, 7, 9, 3, 8, 6, 4, 9, 1, 2}, d{4, 5, 9, 9, 1, 5, 5, 6, 3, 1, 5};
  const auto tied = wilcoxon(c, d);  // wilcoxon(c, d, method="asymptotic", correction=False)
  EXPECT_FALSE(tied.exact);
  EXPECT_EQ(tied.pairs, 9);
  EXPECT_EQ(tied.statistic, 16.5);
  EXPECT_NEAR(tied.p, 0.47249761400068846, close);
  values x, y;
  for (int i = 1; i <= 60; ++i) {
    x.push_back(i);
    y.push_back(i + (i / 3 % 2 == 0 ? 1 : -1) * (i * 37 % 61));
  }
  EXPECT_EQ(wilcoxon(x, y).statistic, 909);
  EXPECT_NEAR(wilcoxon(x, y).p, 0.9647691997243222, close);
  EXPECT_EQ(wilcoxon(y, x).p, wilcoxon(x, y).p);
}

TEST(Wilcoxon, WithoutDifferences) {
  EXPECT_EQ(wilcoxon(values{1, 2}, values{1, 2}).p, 1);
  EXPECT_EQ(wilcoxon({}, {}).pairs, 0);
  expect_refused<shape_error>([] { wilcoxon(values{1}, values{}); }, "a has 1 values but b has 0");
  expect_refused<value_error>([] { wilcoxon(values{1}, values{NAN}); }, "value 0");
}

TEST(Friedman, AgreesWithScipy) {
  const std::vector<values> a{{9.0, 9.5, 5.0, 8.5, 9.5, 7.5, 8.0, 7.0, 8.5, 6.0},
                              {7.0, 6.5, 7.0, 7.5, 5.0, 8.0, 6.0, 6.5, 7.0, 7.0},
                              {6.0, 8.0, 4.0, 6.0, 7.0, 6.5, 6.0, 4.0, 6.5, 3.0}};
  const auto test = friedman(a);  // friedmanchisquare(*a)
  EXPECT_NEAR(test.chi_squared, 10.820512820512832, close);
  EXPECT_NEAR(test.p, 0.004470493783919299, close);
  EXPECT_NEAR(test.mean_ranks[0], 1.3, close);  // first in 7 blocks, second in 3
  const std::vector<values> tied{{1, 2, 2, 4}, {1, 3, 2, 4}, {0, 3, 1, 5}, {2, 2, 2, 2}};
  EXPECT_NEAR(friedman(tied).chi_squared, 0.5625, close);
  EXPECT_NEAR(friedman(tied).p, 0.9049608529859442, close);
}

TEST(Friedman, WithoutDifferences) {
  EXPECT_EQ(friedman(std::vector<values>{{1, 2}, {1, 2}, {1, 2}}).p, 1);
  EXPECT_EQ(friedman(std::vector<values>{{1}, {2}, {3}}).p, 1);
  expect_refused<shape_error>([] { friedman(std::vector<values>{{1}, {2}}); }, "2 strategies");
  expect_refused<shape_error>([] { friedman(std::vector<values>{{1}, {2}, {}}); }, "1 and 0");
}

TEST(Nemenyi, AgreesWithScipy) {
  // studentized_range.sf(d / sqrt(k (k + 1) / (6 n)) * sqrt(2), k, inf), and the same by mpmath with 30 digits
  EXPECT_NEAR(nemenyi_p(1.2, 4, 10), 0.16012587652498428, close);
  EXPECT_NEAR(nemenyi_p(-1.2, 4, 10), 0.16012587652498428, close);
  EXPECT_NEAR(nemenyi_p(0.5, 3, 100), 0.0011839912309870208, close);
  EXPECT_NEAR(nemenyi_p(2.5, 5, 14), 0.00027780962696498419, close);
  EXPECT_NEAR(nemenyi_p(3.0, 10, 30), 0.0048704733986247252, close);
  EXPECT_NEAR(nemenyi_p(0, 3, 5), 1, close);
  // studentized_range.isf(.05, k, inf) / sqrt(2) * sqrt(k (k + 1) / (6 n)); Demsar's table has q = 2.569 for 4
  EXPECT_NEAR(critical_difference(0.05, 4, 14), 1.2535591471176063, close);
  EXPECT_NEAR(critical_difference(0.05, 10, 30), 2.4731652181509494, close);
  EXPECT_NEAR(critical_difference(0.05, 2, 20), 0.43826127028829082, close);
  expect_refused<value_error>([] { critical_difference(1, 3, 3); }, "alpha is 1");
  expect_refused<value_error>([] { nemenyi_p(1, 1, 3); }, "1 strategies");
}

TEST(Holm, AdjustsInTheOrderGiven) {
  // 4 x .005, 3 x .01, 2 x .03 and .04 raised to it, by hand from the definition
  const auto adjusted = holm(values{0.01, 0.04, 0.03, 0.005});
  EXPECT_NEAR(adjusted[0], 0.03, close);
  EXPECT_NEAR(adjusted[1], 0.06, close);
  EXPECT_NEAR(adjusted[2], 0.06, close);
  EXPECT_NEAR(adjusted[3], 0.02, close);
  EXPECT_EQ(holm(values{0.9, 0.8}), (values{1, 1}));
  EXPECT_TRUE(holm({}).empty());
  expect_refused<value_error>([] { holm(values{-1}); }, "pass probabilities");
}

learning_curve curve(values accuracy) {
  learning_curve c;
  for (std::size_t r = 0; r < accuracy.size(); ++r) c.labels.push_back(index_t(10 * (r + 1)));
  c.accuracy = std::move(accuracy);
  return c;
}

TEST(PenaltyMatrix, CountsTheRoundsThatAreWon) {
  // Round 0: all alike. Round 1: the first is .2 ahead with a spread of .01. Round 2: .01 ahead, spread .1.
  const std::vector<learning_curve> first{curve({.5, .70, .80}), curve({.5, .71, .60}), curve({.5, .69, .73})};
  const std::vector<learning_curve> second{curve({.5, .5, .7}), curve({.5, .5, .7}), curve({.5, .5, .7})};
  const std::vector<std::vector<learning_curve>> both{first, second};
  const auto beats = penalty_matrix(both);
  EXPECT_NEAR(beats[0][1], 1.0 / 3, close);
  EXPECT_EQ(beats[1][0], 0);
  EXPECT_EQ(beats[0][0], 0);
  const std::vector<std::vector<learning_curve>> uneven{first, {curve({.5, .5})}};
  expect_refused<shape_error>([&] { penalty_matrix(uneven); }, "3 and 1 seeds");
}

TEST(Deficiency, IsTheShareOfWhatRandomLeaves) {
  EXPECT_NEAR(*deficiency(curve({.5, .8, .9}), curve({.5, .6, .8}), .9), 0.5 / 0.8, close);
  EXPECT_EQ(deficiency(curve({.9}), curve({.9}), .9), std::nullopt);
  expect_refused<shape_error>([] { deficiency(curve({.9}), curve({.9, 1}), .9); }, "same rounds");
}

TEST(Efficiency, CountsCensoredRunsAndNeverDropsThem) {
  const std::vector<learning_curve> fast{curve({.5, .8, .9}), curve({.8, .8, .9}), curve({.5, .6, .7})};
  const std::vector<learning_curve> slow{curve({.5, .6, .9}), curve({.5, .6, .8}), curve({.5, .6, .7})};
  const auto e = efficiency(fast, slow, .8);
  EXPECT_EQ(e.seeds, 3);
  EXPECT_EQ(e.reached, 2);
  EXPECT_EQ(e.baseline_reached, 2);
  EXPECT_EQ(e.labels, 20);
  EXPECT_EQ(e.baseline_labels, 30);
  EXPECT_EQ(e.ratio, 1.5);
  EXPECT_EQ(efficiency(fast, slow, .85).ratio, std::nullopt);
}

}  // namespace
}  // namespace poolwise
