// Measures of a run, against hand counts and scipy.
#include "poolwise/metrics/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

constexpr float nan_f = std::numeric_limits<float>::quiet_NaN();
constexpr double nan_d = std::numeric_limits<double>::quiet_NaN();

using reference::expect_refused;

double accuracy_of(std::vector<float> logits, index_t cols, std::vector<std::int32_t> labels) {
  const index_t rows = cols > 0 ? index_t(logits.size()) / cols : 0;
  return accuracy({logits.data(), rows, cols}, {labels.data(), index_t(labels.size())});
}

TEST(Accuracy, CountsTheLargestLogitAndGivesTiesToTheLowestClass) {
  EXPECT_EQ(accuracy_of({1, 2, 3, 9, 0, 0}, 3, {2, 1}), 0.5);
  EXPECT_EQ(accuracy_of({5, 5}, 2, {0}), 1.0);
  EXPECT_EQ(accuracy_of({5, 5}, 2, {1}), 0.0);
  EXPECT_EQ(accuracy_of({-INFINITY, -1}, 2, {1}), 1.0);
  EXPECT_EQ(accuracy_of({INFINITY, 1, 2, 1, 0, 3, 3, 1, 2}, 3, {0, 2, 1}), 2.0 / 3);
}

TEST(Accuracy, HonoursTheStride) {
  const std::vector<float> padded{0, 1, 99, 1, 0, 99};
  const std::vector<std::int32_t> labels{1, 0};
  EXPECT_EQ(accuracy({padded.data(), 2, 2, 3}, {labels.data(), 2}), 1.0);
}

TEST(Accuracy, WrongUses) {
  expect_refused<shape_error>([] { accuracy_of({1, 2}, 2, {}); }, "0 labels");
  expect_refused<shape_error>([] { accuracy_of({}, 2, {}); }, "[0, 2]");
  expect_refused<value_error>([] { accuracy_of({1, 2}, 2, {2}); }, "label 2 at row 0");
  expect_refused<value_error>([] { accuracy_of({1, 2}, 2, {-1}); }, "label -1 at row 0");
  expect_refused<value_error>([] { accuracy_of({1, 2, 1, nan_f}, 2, {0, 0}); }, "row 1");
}

TEST(Aubc, IsTheTrapezoidOverTheRange) {
  // ((.5 + .7) / 2 * 100 + (.7 + .9) / 2 * 300) / 400
  EXPECT_DOUBLE_EQ(aubc({{100, 200, 500}, {0.5, 0.7, 0.9}}), 0.75);
  EXPECT_DOUBLE_EQ(aubc({{100, 200}, {0.5, 0.7}}), 0.6);
  EXPECT_EQ(aubc({{100}, {0.5}}), 0.5);
  // scipy.integrate.trapezoid(accuracy, labels) / (labels[-1] - labels[0]), scipy 1.17.1
  EXPECT_NEAR(
      aubc({{20, 21, 25, 40, 41, 60, 100, 101, 150, 333}, {.5, .52, .61, .7, .69, .75, .801, .8, .83, .9125}}),
      0.8248059105431309, 1e-14);
}

TEST(Aubc, WrongUses) {
  expect_refused<shape_error>([] { aubc({}); }, "0 label counts");
  expect_refused<shape_error>([] { aubc({{1, 2}, {0.5}}); }, "2 label counts and 1");
  expect_refused<value_error>([] { aubc({{1, 5, 5}, {0.5, 0.6, 0.7}}); }, "from 5 to 5 at point 2");
  expect_refused<value_error>([] { aubc({{5, 1}, {0.5, 0.6}}); }, "from 5 to 1");
}

TEST(AubcLu2023, LeavesTheInitialPointOut) {
  // ((.5 + .7) / 2 + (.7 + .9) / 2) / 3 queries
  EXPECT_DOUBLE_EQ(aubc_lu2023({{20, 21, 22, 23}, {0, 0.5, 0.7, 0.9}}), 1.4 / 3);
  expect_refused<value_error>([] { aubc_lu2023({{20, 21}, {0.5, 0.7}}); }, "2 points");
}

TEST(LabelsToReach, IsTheFirstPointAtTheTarget) {
  const learning_curve curve{{100, 200, 300, 400}, {0.5, 0.8, 0.7, 0.9}};
  EXPECT_EQ(labels_to_reach(curve, 0.4), 100);
  EXPECT_EQ(labels_to_reach(curve, 0.8), 200);
  EXPECT_EQ(labels_to_reach(curve, 0.81), 400);
  EXPECT_EQ(labels_to_reach(curve, 0.91), std::nullopt);
  expect_refused<shape_error>([] { labels_to_reach({}, 0.5); }, "labels_to_reach");
}

TEST(MedianLabels, CensoredRunsComeLast) {
  using runs = std::vector<std::optional<index_t>>;
  EXPECT_EQ(median_labels(runs{300, 100, 200}), 200.0);
  EXPECT_EQ(median_labels(runs{400, 100, 200, 301}), 250.5);
  EXPECT_EQ(median_labels(runs{std::nullopt, 100, 200}), 200.0);
  EXPECT_EQ(median_labels(runs{std::nullopt, 100, 200, std::nullopt}), std::nullopt);
  EXPECT_EQ(median_labels(runs{std::nullopt, 100, 200, 300}), 250.0);
  EXPECT_EQ(median_labels(runs{std::nullopt, std::nullopt, 200}), std::nullopt);
  EXPECT_EQ(median_labels(runs{700}), 700.0);
  expect_refused<shape_error>([] { median_labels({}); }, "no runs");
}

const std::vector<double> a{.79, .81, .80, .785, .80}, b{.78, .79, .805, .78, .77};

// scipy.stats.ttest_rel(a, b): statistic=1.986254132645683, pvalue=0.11795473234274194. The inputs are
// rounded to 1 ulp of .8 and the differences are 1e-2, so the constants hold to about 1e-14 relative.
TEST(PairedT, AgreesWithScipy) {
  const paired_test test = paired_t(a, b);
  EXPECT_EQ(test.pairs, 5);
  EXPECT_NEAR(test.mean, 0.012, 1e-14);
  EXPECT_NEAR(test.sd, 0.013509256086106309, 1e-14);
  EXPECT_NEAR(test.t, 1.986254132645683, 1e-11);
  EXPECT_NEAR(test.p, 0.11795473234274194, 1e-11);
}

TEST(PairedT, TwoPairs) {
  // scipy.stats.ttest_rel(a[:2], b[:2]): t = 3, p = 0.20483276469913345
  const paired_test test = paired_t(std::span(a).first(2), std::span(b).first(2));
  EXPECT_NEAR(test.t, 3.0, 1e-11);
  EXPECT_NEAR(test.p, 0.20483276469913345, 1e-11);
}

TEST(PairedT, TurnsItsSignWithItsArguments) {
  const paired_test there = paired_t(a, b), back = paired_t(b, a);
  EXPECT_EQ(there.t, -back.t);
  EXPECT_EQ(there.p, back.p);
}

TEST(PairedT, WithoutSpreadOrPairs) {
  const std::vector<double> low{1, 2, 3}, high{3, 4, 5};
  EXPECT_EQ(paired_t(high, low).p, 0);
  EXPECT_EQ(paired_t(high, low).t, INFINITY);
  EXPECT_EQ(paired_t(low, high).t, -INFINITY);
  EXPECT_EQ(paired_t(low, low).p, 1);
  EXPECT_EQ(paired_t(low, low).t, 0);
  EXPECT_EQ(paired_t(std::span(low).first(1), std::span(high).first(1)).p, 1);
  EXPECT_EQ(paired_t(std::span(low).first(1), std::span(high).first(1)).mean, -2);
  EXPECT_EQ(paired_t({}, {}).p, 1);
  EXPECT_EQ(paired_t({}, {}).pairs, 0);
}

TEST(PairedT, WrongUses) {
  expect_refused<shape_error>([] { paired_t(a, std::span(b).first(2)); }, "a has 5 values but b has 2");
  const std::vector<double> bad{1, nan_d, 3, 4, 5};
  expect_refused<value_error>([&] { paired_t(a, bad); }, "value 1 is");
}

TEST(Summary, AgreesWithScipy) {
  EXPECT_NEAR(mean(a), 0.797, 1e-15);
  EXPECT_NEAR(standard_deviation(a), 0.009746794344808973, 1e-15);  // numpy.std(a, ddof=1)
  // scipy.stats.t.ppf(.975, len(x) - 1) * scipy.stats.sem(x) for x = a and a[:2]
  EXPECT_NEAR(confidence_95(a), 0.012102243635845346, 1e-13);
  EXPECT_NEAR(confidence_95(std::span(a).first(2)), 0.12706204736174706, 1e-13);
}

TEST(Summary, OfOneValueAndOfNone) {
  const std::vector<double> one{0.5};
  EXPECT_EQ(mean(one), 0.5);
  EXPECT_EQ(standard_deviation(one), 0);
  EXPECT_EQ(confidence_95(one), 0);
  expect_refused<shape_error>([] { mean({}); }, "mean: got no values");
  expect_refused<shape_error>([] { standard_deviation({}); }, "no values");
  expect_refused<shape_error>([] { confidence_95({}); }, "no values");
  const std::vector<double> infinite{1, INFINITY};
  expect_refused<value_error>([&] { mean(infinite); }, "value 1 is inf");
}

}  // namespace
}  // namespace poolwise
