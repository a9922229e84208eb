// The statistics of evaluation and drift, against scipy 1.17, scikit-learn 1.9 and statsmodels 0.15 (the call
// stands in the comment, `seq` is sequence() below), closed forms, and simulations whose counts have binomial
// bounds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/agreement.hpp"
#include "poolwise/metrics/calibration.hpp"
#include "poolwise/metrics/comparison.hpp"
#include "poolwise/metrics/composition.hpp"
#include "poolwise/metrics/drift.hpp"
#include "poolwise/metrics/evaluation.hpp"
#include "poolwise/metrics/intervals.hpp"
#include "poolwise/metrics/saving.hpp"
#include "poolwise/metrics/unbiased.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using values = std::vector<double>;
using counts = std::vector<index_t>;
using classes = std::vector<std::int32_t>;

constexpr double close = 1e-9;
const double nan = std::numeric_limits<double>::quiet_NaN();

/// numpy: np.array([(i * step % modulus) / divisor for i in range(size)])
values sequence(int size, int step, int modulus, double divisor, double shift = 0) {
  values x;
  for (int i = 0; i < size; ++i) x.push_back(i * step % modulus / divisor + shift);
  return x;
}

values floored(values x) {
  for (double& one : x) one = std::floor(one);
  return x;
}

class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) : engine_(seed) {}

  double unit() { return double(engine_() >> 11) * 0x1p-53; }
  /// Near enough to a normal one for what is tested: the sum of 4 uniform ones, of variance 1.
  double bell() { return (unit() + unit() + unit() + unit() - 2) * std::sqrt(3.0); }
  bool happens(double p) { return unit() < p; }
  index_t successes(index_t trials, double p) {
    index_t sum = 0;
    for (index_t i = 0; i < trials; ++i) sum += happens(p);
    return sum;
  }

 private:
  std::mt19937_64 engine_;
};

void expect_interval(const interval& got, double low, double high, double tolerance = close) {
  EXPECT_NEAR(got.low, low, tolerance);
  EXPECT_NEAR(got.high, high, tolerance);
}

/// Expects that so many of `all` fit a true share of at most `most`, and of at least `least`, at 99.9 %.
void expect_share(index_t hits, index_t all, double least, double most) {
  const interval bounds = clopper_pearson(hits, all, 0.998);
  EXPECT_GE(bounds.high, least) << hits << " of " << all;
  EXPECT_LE(bounds.low, most) << hits << " of " << all;
}

TEST(Intervals, AgreeWithScipy) {
  // binomtest(s, n).proportion_ci(.95, "wilson") and (.95, "exact")
  expect_interval(wilson(0, 10), 0, 0.27753279986288926);
  expect_interval(wilson(7, 10), 0.39677814746114526, 0.892208732593699);
  expect_interval(wilson(10, 10), 0.7224672001371109, 1);
  expect_interval(wilson(850, 1000), 0.8265313415731996, 0.8707899274869118);
  expect_interval(wilson(37, 50, 0.9), 0.6275387029219314, 0.8278213679006591);
  EXPECT_EQ(wilson(0, 10).low, 0);
  EXPECT_EQ(wilson(10, 10).high, 1);
  expect_interval(clopper_pearson(0, 10), 0, 0.30849710781876294);
  expect_interval(clopper_pearson(7, 10), 0.3475471499399921, 0.9332604888222655);
  expect_interval(clopper_pearson(10, 10), 0.6915028921812371, 1);
  expect_interval(clopper_pearson(850, 1000), 0.8263418714329349, 0.8715751888837979);
}

TEST(Intervals, OfDifferencesAgreeWithStatsmodelsAndNewcombe) {
  // confint_proportions_2indep(56, 70, 48, 80, method="newcomb", compare="diff"); Newcombe 1998a, table II
  expect_interval(newcombe(56, 70, 48, 80), 0.05243147240236498, 0.33387265403690614);
  expect_interval(newcombe(0, 10, 3, 29), -0.26385081090773804, 0.1822066378016038);
  // Newcombe 1998b, table III prints .0569 to .3404 for the first; the rest by his formulas in numpy
  expect_interval(newcombe_paired({36, 12, 2, 0}), 0.05692958400323875, 0.3404276029749408);
  expect_interval(newcombe_paired({43, 0, 1, 6}), -0.09788738836775639, 0.051751441764689474);
  expect_interval(newcombe_paired({53, 0, 0, 1}), -0.07293814547857702, 0.07293814547857702);
  EXPECT_NEAR(mcnemar_p({0, 3, 12, 0}), 0.03515625, close);  // binomtest(3, 15).pvalue
  EXPECT_EQ(mcnemar_p({5, 12, 12, 1}), 1);
  EXPECT_EQ(mcnemar_p({5, 0, 0, 1}), 1);
}

TEST(Intervals, RefuseWhatTheyCannotTell) {
  expect_refused<value_error>([] { wilson(0, 0); }, "wilson: got 0 successes in 0 trials");
  expect_refused<value_error>([] { wilson(3, 2); }, "3 successes in 2");
  expect_refused<value_error>([] { wilson(-1, 2); }, "-1 successes");
  expect_refused<value_error>([] { clopper_pearson(1, 2, 1); }, "level is 1");
  expect_refused<value_error>([] { wilson(1, 2, nan); }, "level is nan");
  expect_refused<value_error>([] { newcombe(1, 2, 1, 0); }, "newcombe: got 1 successes in 0");
  expect_refused<value_error>([] { newcombe_paired({}); }, "0 trials");
  expect_refused<value_error>([] { mcnemar_p({0, -1, 0, 0}); }, "a count is -1");
}

TEST(Kappa, AgreesWithScikitLearnAndStatsmodels) {
  classes a, b;
  for (int i = 0; i < 60; ++i) {
    a.push_back(i * 7 % 11 % 3);
    b.push_back(i % 4 != 0 ? i * 7 % 11 % 3 : i % 3);
  }
  const auto kappa =
      cohen_kappa(a, b);  // cohen_kappa_score(a, b); cohens_kappa(table).std_kappa and its interval
  ASSERT_TRUE(kappa);
  EXPECT_EQ(kappa->items, 60);
  EXPECT_NEAR(kappa->value, 0.7475809844341608, close);
  EXPECT_NEAR(kappa->standard_error, 0.07266971013777547, close);
  expect_interval(kappa->bounds, 0.6051509697971555, 0.890010999071166);
}

TEST(Kappa, AtItsEnds) {
  const classes a{0, 1, -5, 1}, same{3, 3, 3, 3}, other{1, 1, 1, 1};
  EXPECT_EQ(cohen_kappa(a, a)->value, 1);
  EXPECT_EQ(cohen_kappa(a, a)->standard_error, 0);
  EXPECT_NEAR(cohen_kappa(classes{0, 1}, classes{1, 0})->value, -1, close);
  EXPECT_FALSE(cohen_kappa(same, same));
  EXPECT_EQ(cohen_kappa(same, other)->value, 0);  // never agree, and chance never would
  expect_refused<shape_error>([] { cohen_kappa({}, {}); }, "0 labels");
  expect_refused<shape_error>([&] { cohen_kappa(a, classes{1}); }, "4 labels and 1 others");
}

TEST(Composition, AgreesWithScipy) {
  const auto test = compare_composition(counts{30, 50, 20, 7}, counts{45, 40, 60, 9});
  EXPECT_NEAR(test.chi_squared, 16.43030480033985, close);  // chi2_contingency([f, g], correction=False)
  EXPECT_NEAR(test.p, 0.0009253901716168565, close);
  EXPECT_EQ(test.degrees, 3);
  EXPECT_EQ(test.draws, 0);
  const values expected{30.74712643678161, 36.89655172413793, 32.79693486590038, 6.559386973180077};
  // Table([f, g]).standardized_resids[0]
  const values residuals{-0.20778563122645852, 3.4695631819268953, -3.4932542032417975, 0.23116538949515136};
  // fisher_exact of each label against the others
  const values p{0.889830359083012, 0.0005957833659689067, 0.000596068470662912, 0.800020410145984};
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_NEAR(test.lines[c].expected, expected[c], close);
    EXPECT_NEAR(test.lines[c].residual, residuals[c], close);
    EXPECT_NEAR(test.lines[c].p, p[c], close);
    EXPECT_NEAR(test.lines[c].adjusted, holm(p)[c], close);
  }
  const auto large = audit_composition(counts{100000, 900000}, counts{300, 1700});
  EXPECT_NEAR(large.lines[0].p, 2.3947627349581997e-12, 1e-20);
}

TEST(Composition, AuditsPicksAgainstTheRestOfTheirPool) {
  const auto audit = audit_composition(counts{500, 300, 200}, counts{20, 40, 40});
  EXPECT_NEAR(audit.chi_squared, 45.925925925925924, close);  // chi2_contingency([picked, pool - picked])
  EXPECT_NEAR(audit.p, 1.0649075277389942e-10, 1e-18);
  EXPECT_EQ(audit.lines[1].second, 260);
  EXPECT_NEAR(audit.lines[1].expected, 30, close);
  const auto whole = audit_composition(counts{5, 3}, counts{5, 3});
  EXPECT_EQ(whole.p, 1);
  EXPECT_EQ(whole.lines[0].p, 1);
  EXPECT_EQ(audit_composition(counts{9, 0}, counts{2, 0}).degrees, 0);
}

TEST(Composition, DrawsWhereCountsAreSmall) {
  // The sum over all tables with these margins, by integers in Python: 0.07211538461538461
  const counts first{4, 1, 0}, second{2, 6, 3};
  const auto test = compare_composition(first, second);
  EXPECT_EQ(test.draws, 9999);
  EXPECT_NEAR(test.p, 0.07211538461538461, 4 * std::sqrt(0.072 * 0.928 / 9999));
  EXPECT_EQ(compare_composition(first, second).p, test.p);
  EXPECT_NE(compare_composition(first, second, {9999, 1}).p, test.p);
  const counts wider{4, 0, 1, 0}, wider_second{2, 0, 6, 3};
  EXPECT_EQ(compare_composition(wider, wider_second).degrees, 2);
  EXPECT_EQ(compare_composition(wider, wider_second).lines[1].p, 1);
}

TEST(Composition, RefusesWhatItCannotTell) {
  expect_refused<shape_error>([] { compare_composition({}, {}); }, "0 counts");
  expect_refused<shape_error>([] { compare_composition(counts{1}, counts{1, 2}); }, "1 counts of the first");
  expect_refused<value_error>([] { compare_composition(counts{1, -1}, counts{1, 2}); }, "first[1] is -1");
  expect_refused<value_error>(
      [] {
        compare_composition(counts{1, 1}, counts{0, 0});
      },
      "second counts no items");
  expect_refused<value_error>([] { compare_composition(counts{1}, counts{1}, {0, 0}); }, "draws is 0");
  expect_refused<value_error>(
      [] {
        audit_composition(counts{3, 9}, counts{4, 1});
      },
      "label 0 has 4 picked of 3");
}

TEST(KolmogorovSmirnov, AgreesWithScipy) {
  // ks_2samp(x, y, method="exact")
  const auto test = kolmogorov_smirnov(sequence(40, 37, 101, 7), sequence(55, 41, 97, 6, 1));
  EXPECT_TRUE(test.exact);
  EXPECT_NEAR(test.distance, 0.2, close);
  EXPECT_NEAR(test.p, 0.2699006669894781, close);
  const auto even = kolmogorov_smirnov(sequence(50, 37, 101, 7), sequence(50, 41, 97, 6, 3));
  EXPECT_NEAR(even.distance, 0.32, close);
  EXPECT_NEAR(even.p, 0.011511738725894704, close);
  const auto tied = kolmogorov_smirnov(floored(sequence(40, 37, 101, 25)), floored(sequence(25, 41, 97, 19)));
  EXPECT_NEAR(tied.distance, 0.175, close);
  EXPECT_NEAR(tied.p, 0.6687197112159318, close);
  const auto far = kolmogorov_smirnov(sequence(300, 1, 1000, 1), sequence(250, 1, 1000, 1, 160.5));
  EXPECT_NEAR(far.p / 1.6522172195355917e-36, 1, close);
  EXPECT_EQ(kolmogorov_smirnov(sequence(250, 1, 1000, 1, 160.5), sequence(300, 1, 1000, 1)).distance,
            far.distance);
  EXPECT_NEAR(kolmogorov_smirnov(values{1, 2}, values{3, 4, 5}).p, 0.2, close);  // 2 of C(5, 2) orders
}

TEST(KolmogorovSmirnov, TakesTheLimitForLargeSamples) {
  const int n = 200000;
  values x, y, z;
  for (int i = 0; i < n; ++i) {
    x.push_back(double(i) / n);
    y.push_back(double(i) / n * 0.99);
    z.push_back(double(i) / n * 0.998);
  }
  const auto test = kolmogorov_smirnov(x, y);  // kstwobign.sf(sqrt(n / 2) D)
  EXPECT_FALSE(test.exact);
  EXPECT_NEAR(test.p, 4.1223072448769396e-09, 1e-17);
  EXPECT_NEAR(kolmogorov_smirnov(x, z).p, 0.818621174471005, close);
}

TEST(KolmogorovSmirnov, AtItsEnds) {
  EXPECT_EQ(kolmogorov_smirnov(values{1}, values{1}).p, 1);
  EXPECT_EQ(kolmogorov_smirnov(values{1}, values{2}).p, 1);
  EXPECT_EQ(kolmogorov_smirnov(values{4, 4, 4}, values{4, 4}).distance, 0);
  expect_refused<shape_error>([] { kolmogorov_smirnov({}, values{1}); }, "a sample is empty");
  expect_refused<value_error>([] { kolmogorov_smirnov(values{1}, values{1, nan}); }, "value 1 is nan");
  expect_refused<value_error>([] { kolmogorov_smirnov(values{INFINITY}, values{1}); }, "value 0 is inf");
}

TEST(PopulationStability, AgreesWithTheFormula) {
  // sum((q - p) * log(q / p)), bins by np.searchsorted(np.quantile(reference, arange(1, 10) / 10), x, "left"),
  // half an item in an empty bin; the first has one
  const auto reference = sequence(203, 37, 1009, 7);
  EXPECT_NEAR(population_stability(reference, sequence(150, 41, 997, 8)), 0.36881578661276904, close);
  EXPECT_NEAR(population_stability(reference, sequence(150, 41, 997, 7)), 0.004904941558377697, close);
  EXPECT_EQ(population_stability(reference, reference), 0);
  EXPECT_NEAR(population_stability(counts{50, 50, 0}, counts{80, 20, 0}), 0.3 * std::log(4.0), close);
  EXPECT_NEAR(population_stability(counts{2, 2}, counts{4, 0}), 0.5 * std::log(2.0) + 0.375 * std::log(4.0),
              close);
}

TEST(PopulationStability, SeesBothSidesOfAValueThatManyShare) {
  const values same(20, 1.0), below(20, 0.5), above(20, 2.0);
  EXPECT_EQ(population_stability(same, same), 0);
  EXPECT_GT(population_stability(same, below), 1);
  EXPECT_NEAR(population_stability(same, below), population_stability(same, above), close);
  expect_refused<shape_error>([] { population_stability(values{}, values{1}); }, "empty");
  expect_refused<value_error>([] { population_stability(values{1}, values{nan}); }, "value 0");
  expect_refused<value_error>([] { population_stability(counts{1, -1}, counts{1, 1}); }, "negative");
  expect_refused<value_error>([] { population_stability(counts{0}, counts{1}); }, "no items");
  expect_refused<shape_error>([] { population_stability(counts{0}, counts{1, 2}); }, "1 counts");
}

TEST(AreaUnderRoc, AgreesWithScipyAndScikitLearn) {
  const auto positive = sequence(30, 37, 101, 7), negative = sequence(45, 41, 97, 6, -2);
  const auto test = area_under_roc(positive, negative);
  EXPECT_NEAR(test.area, 0.5511111111111111, close);  // roc_auc_score
  EXPECT_FALSE(test.exact);
  EXPECT_NEAR(test.p, 0.4588015592808107, close);  // mannwhitneyu(positive, negative, method="asymptotic")
  EXPECT_NEAR(test.p_greater, 0.22940077964040534, close);
  // sqrt(var(V10) / m + var(V01) / n) over all pairs in numpy
  EXPECT_NEAR(test.standard_error, 0.06729891477370674, close);
  expect_interval(test.bounds, 0.5511111111111111 - 1.959963984540054 * 0.06729891477370674,
                  0.5511111111111111 + 1.959963984540054 * 0.06729891477370674);
  auto third = [](values x) {
    for (double& one : x) one /= 3;
    return floored(x);
  };
  const auto tied = area_under_roc(third(positive), third(negative));
  EXPECT_NEAR(tied.area, 0.5562962962962963, close);
  EXPECT_NEAR(tied.p, 0.40647274691276913, close);
  EXPECT_NEAR(tied.standard_error, 0.06604081563436676, close);
  const auto small = area_under_roc(sequence(8, 37, 101, 7), sequence(12, 41, 97, 6, -3));
  EXPECT_TRUE(small.exact);
  EXPECT_NEAR(small.p, 0.7920774787647853, close);  // method="exact"
  EXPECT_NEAR(small.p_greater, 0.39603873938239265, close);
}

TEST(AreaUnderRoc, AtItsEnds) {
  const auto apart = area_under_roc(values{3, 4}, values{0, 1, 2});
  EXPECT_EQ(apart.area, 1);
  EXPECT_NEAR(apart.p_greater, 0.1, close);  // one of C(5, 2) orders
  EXPECT_NEAR(area_under_roc(values{0, 1, 2}, values{3, 4}).p_greater, 1, close);
  const auto tied = area_under_roc(values{1, 1}, values{1, 1, 1});
  EXPECT_EQ(tied.area, 0.5);
  EXPECT_EQ(tied.p, 1);
  EXPECT_EQ(area_under_roc(values{1}, values{0, 2}).bounds.high, 1);
  expect_refused<shape_error>([] { area_under_roc({}, values{1}); }, "0 positive and 1 negative");
  expect_refused<value_error>([] { area_under_roc(values{nan}, values{1}); }, "value 0");
}

/// Rows of three columns on a grid, exact in fp32.
std::vector<float> grid_rows(int rows, const std::vector<std::pair<int, int>>& steps, float shift = 0) {
  std::vector<float> x;
  for (int i = 0; i < rows; ++i)
    for (const auto& [step, modulus] : steps) x.push_back(float(i * step % modulus) / 16 + shift);
  return x;
}

TEST(MaximumMeanDiscrepancy, AgreesWithTheFormula) {
  const auto a = grid_rows(12, {{37, 101}, {53, 89}, {29, 83}});
  auto b = grid_rows(9, {{31, 97}, {59, 79}, {43, 73}});
  for (std::size_t i = 0; i < b.size(); i += 3) b[i] += 0.5f;
  const matrix_view<const float> first{a.data(), 12, 3}, second{b.data(), 9, 3};
  // median(pdist(rows)); the sums of exp(-cdist ** 2 / (2 s * s)) in numpy
  const auto test = maximum_mean_discrepancy(first, second, {}, cpu{1});
  EXPECT_NEAR(test.bandwidth, 3.8479360988422187, close);
  EXPECT_NEAR(test.squared, -0.049299244661865416, close);
  EXPECT_GT(test.p, 0.5);
  EXPECT_NEAR(maximum_mean_discrepancy(second, first, {2, 0, 0}, cpu{1}).squared, -0.056359574838649174, close);
  EXPECT_EQ(maximum_mean_discrepancy(first, second, {0, 30, 0}, cpu{3}).p,
            maximum_mean_discrepancy(first, second, {0, 30, 0}, cpu{1}).p);
  for (float& one : b) one += 4;
  EXPECT_EQ(maximum_mean_discrepancy(first, second, {}, cpu{1}).p, 0.001);  // none of 999 is as large
}

TEST(MaximumMeanDiscrepancy, ItsPIsOne) {
  random_numbers draw(5);
  index_t low = 0;
  const index_t rounds = 300;
  for (index_t round = 0; round < rounds; ++round) {
    std::vector<float> rows(2 * 24);
    for (float& x : rows) x = float(draw.bell());
    const auto seed = std::uint64_t(round);
    low += maximum_mean_discrepancy({rows.data(), 10, 2}, {rows.data() + 20, 14, 2}, {0, 39, seed}, cpu{1}).p <=
           0.1;
  }
  expect_share(low, rounds, 0.1, 0.1);
}

TEST(MaximumMeanDiscrepancy, AtItsEnds) {
  const std::vector<float> same(6, 2.0f), broken{0, 1, NAN, 2, 3, 4};
  const matrix_view<const float> rows{same.data(), 3, 2};
  EXPECT_EQ(maximum_mean_discrepancy(rows, rows).p, 1);
  EXPECT_EQ(maximum_mean_discrepancy(rows, rows).squared, 0);
  EXPECT_EQ(maximum_mean_discrepancy(rows, rows, {1, 9, 0}, cpu{1}).p, 1);
  expect_refused<shape_error>([&] { maximum_mean_discrepancy(rows, {same.data(), 1, 2}); }, "[1, 2]");
  expect_refused<shape_error>([&] { maximum_mean_discrepancy(rows, {same.data(), 2, 3}); }, "same columns");
  expect_refused<value_error>([&] { maximum_mean_discrepancy(rows, {broken.data(), 3, 2}); }, "nan");
  expect_refused<value_error>([&] { maximum_mean_discrepancy(rows, rows, {-1, 9, 0}); }, "bandwidth is -1");
  expect_refused<value_error>([&] { maximum_mean_discrepancy(rows, rows, {nan, 9, 0}); }, "bandwidth is nan");
  expect_refused<value_error>([&] { maximum_mean_discrepancy(rows, rows, {0, -1, 0}); }, "permutations is -1");
}

TEST(ClassifierDrift, FindsAShiftAndNothingElse) {
  random_numbers draw(6);
  std::vector<float> then(3 * 200), now(3 * 200), shifted;
  for (float& x : then) x = float(draw.bell());
  for (float& x : now) x = float(draw.bell());
  shifted = now;
  for (std::size_t i = 1; i < shifted.size(); i += 3) shifted[i] = 1000 * (shifted[i] + 0.8f);
  for (std::size_t i = 1; i < then.size(); i += 3) then[i] *= 1000, now[i] *= 1000;
  EXPECT_GT(classifier_drift({then.data(), 200, 3}, {now.data(), 200, 3}).p_greater, 0.05);
  EXPECT_LT(classifier_drift({then.data(), 200, 3}, {shifted.data(), 200, 3}).p_greater, 1e-4);
  EXPECT_NE(classifier_drift({then.data(), 200, 3}, {now.data(), 200, 3}, 1).area,
            classifier_drift({then.data(), 200, 3}, {now.data(), 200, 3}, 2).area);
  const std::vector<float> same(12, 1.0f);
  EXPECT_EQ(classifier_drift({same.data(), 4, 3}, {same.data(), 4, 3}).p, 1);
  expect_refused<shape_error>([&] { classifier_drift({same.data(), 3, 3}, {same.data(), 4, 3}); }, "[3, 3]");
  now[4] = NAN;
  expect_refused<value_error>([&] { classifier_drift({then.data(), 200, 3}, {now.data(), 200, 3}); }, "nan");
}

TEST(BenjaminiHochberg, AgreesWithScipy) {
  const auto adjusted = benjamini_hochberg(values{.01, .04, .03, .005, .5});  // false_discovery_control(p)
  const values expected{0.025, 0.05, 0.05, 0.025, 0.5};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(adjusted[i], expected[i], close);
  EXPECT_TRUE(benjamini_hochberg({}).empty());
  expect_refused<value_error>([] { benjamini_hochberg(values{nan}); }, "p is nan");
}

/// Six columns of numbers, of which three hang together, and two of counts, one of them sparse.
struct round_of_columns {
  std::vector<values> numbers{6};
  counts groups = counts(4, 0), labels = counts(5, 0);

  round_of_columns(random_numbers& draw, index_t items, double group_share) {
    for (index_t i = 0; i < items; ++i) {
      const double common = draw.bell();
      for (std::size_t c = 0; c < 6; ++c)
        numbers[c].push_back(c < 3 ? common + 0.3 * draw.bell() : draw.unit());
      ++groups[draw.happens(group_share) ? 0 : 1 + std::size_t(3 * draw.unit())];
      ++labels[draw.happens(0.02) ? 0 : 1 + std::size_t(4 * draw.unit())];
    }
  }
};

drift_report drift_between(const round_of_columns& then, const round_of_columns& now, std::uint64_t seed) {
  std::vector<drift_numbers> numbers;
  for (std::size_t c = 0; c < 6; ++c) numbers.push_back({"feature", then.numbers[c], now.numbers[c]});
  const std::vector<drift_counts> counted{{"group", then.groups, now.groups},
                                          {"label", then.labels, now.labels}};
  return report_drift(numbers, counted, {}, {0.05, {199, seed}});
}

TEST(DriftReport, RaisesFewFalseAlarms) {
  random_numbers draw(7);
  index_t alarms = 0;
  const index_t rounds = 600;
  for (index_t round = 0; round < rounds; ++round) {
    const round_of_columns then(draw, 120, 0.1), now(draw, 100, 0.1);
    alarms += drift_between(then, now, std::uint64_t(round)).drifted();
  }
  EXPECT_LE(double(alarms) / double(rounds), 0.05);
  expect_share(alarms, rounds, 0.02, 0.05);  // it is not deaf, either
}

TEST(DriftReport, FindsAShiftOfFivePointsInATenthAtTwoThousandLabels) {
  random_numbers draw(8);
  index_t found = 0;
  const index_t rounds = 40;
  const round_of_columns then(draw, 2000, 0.1);
  for (index_t round = 0; round < rounds; ++round) {
    const round_of_columns now(draw, 2000, 0.15);
    const auto report = drift_between(then, now, std::uint64_t(round));
    found += report.lines[6].drifted;
    EXPECT_EQ(report.lines[6].name, "group");
  }
  EXPECT_GT(clopper_pearson(found, rounds, 0.98).low, 0.8) << found << " of " << rounds;
}

TEST(DriftReport, SaysWhatItTested) {
  const values then = sequence(200, 37, 101, 7), now = sequence(200, 37, 101, 7, 4);
  const auto report = report_drift(std::vector<drift_numbers>{{"score", then, now}, {"same", then, then}},
                                   std::vector<drift_counts>{{"label", counts{50, 50}, counts{52, 48}}});
  ASSERT_EQ(report.lines.size(), 3u);
  EXPECT_EQ(report.lines[0].test, "ks");
  EXPECT_EQ(report.lines[0].p, kolmogorov_smirnov(then, now).p);
  EXPECT_EQ(report.lines[0].stability, population_stability(then, now));
  EXPECT_NEAR(report.lines[0].adjusted, 3 * report.lines[0].p, close);
  EXPECT_TRUE(report.lines[0].drifted);
  EXPECT_FALSE(report.lines[1].drifted);
  EXPECT_EQ(report.lines[2].test, "chi_squared");
  EXPECT_TRUE(report.drifted());
  const auto wider = report_drift(std::vector<drift_numbers>{{"score", then, now}}, {},
                                  std::vector<drift_line>{{"features", "mmd", 0.1, 0.001}});
  ASSERT_EQ(wider.lines.size(), 2u);
  EXPECT_NEAR(wider.lines[0].adjusted, 2 * wider.lines[0].p, close);
  EXPECT_NEAR(wider.lines[1].adjusted, 0.001, close);
  EXPECT_TRUE(wider.lines[1].drifted);
  EXPECT_FALSE(report_drift({}, {}).drifted());
  expect_refused<value_error>([] { report_drift({}, {}, {}, {0, {}}); }, "alpha is 0");
}

/// Three classes and 90 rows: the numbers that log gives for logits, in fp32 as numpy has them.
struct predicted_rows {
  std::vector<float> probs, logits;
  classes labels, other_labels;

  predicted_rows() {
    for (int i = 0; i < 90; ++i) {
      const double c[3] = {1.0 + i * 37 % 11, 1.0 + i * 53 % 7, 1.0 + i * 29 % 13};
      for (const double one : c) {
        probs.push_back(float(one / (c[0] + c[1] + c[2])));
        logits.push_back(float(3 * std::log(one)));
      }
      labels.push_back(i * 7 % 5 % 3);
      const float* const row = logits.data() + 3 * i;
      other_labels.push_back(i % 3 != 0 ? int(std::max_element(row, row + 3) - row) : i % 7 % 3);
    }
  }
  matrix_view<const float> p() const { return {probs.data(), 90, 3}; }
  matrix_view<const float> z() const { return {logits.data(), 90, 3}; }
};

TEST(Calibration, AgreesWithNumpyAndScikitLearn) {
  const predicted_rows rows;
  const auto bins = reliability(rows.p(), rows.labels);
  EXPECT_EQ(bins.size(), 15u);
  EXPECT_NEAR(calibration_error(bins), 0.24972843958271873,
              close);  // masks (conf > b / 15) & (conf <= (b + 1) / 15)
  EXPECT_NEAR(calibration_error(reliability(rows.p(), rows.labels, binning::equal_width, 10)),
              0.25578904516107671, close);
  const auto equal = reliability(rows.p(), rows.labels, binning::equal_mass, 10);
  EXPECT_NEAR(calibration_error(equal), 0.24417288402716317, close);
  const counts masses{9, 11, 7, 10, 13, 5, 8, 10, 10, 7};  // ties of confidence stay together
  ASSERT_EQ(equal.size(), masses.size());
  for (std::size_t b = 0; b < masses.size(); ++b) EXPECT_EQ(equal[b].rows, masses[b]);
  EXPECT_NEAR(brier_score(rows.p(), rows.labels), 0.757142564344563,
              close);  // brier_score_loss(.., scale_by_half=False)
  EXPECT_NEAR(log_loss(rows.p(), rows.labels), 1.268172323096974, close);  // log_loss in float64
}

TEST(Calibration, TemperatureIsTheBest) {
  const predicted_rows rows;
  const auto fit = fit_temperature(rows.z(), rows.other_labels);  // brentq of the derivative, xtol 1e-15
  ASSERT_TRUE(fit.temperature) << fit.reason;
  EXPECT_NEAR(*fit.temperature, 1.4548754433782625, close);
  EXPECT_NEAR(fit.loss_before, 0.7848879996050238, close);
  EXPECT_NEAR(fit.loss_after, 0.7546790657502309, close);
  // Two classes with z = (0, 1), right in 3 of 4: softmax(1 / T) = 3 / 4 at T = 1 / ln 3
  const std::vector<float> z{0, 1, 0, 1, 0, 1, 0, 1};
  EXPECT_NEAR(*fit_temperature({z.data(), 4, 2}, classes{1, 1, 1, 0}).temperature, 1 / std::log(3.0), close);
  EXPECT_FALSE(fit_temperature({z.data(), 4, 2}, classes{1, 1, 1, 1}).temperature);
  EXPECT_FALSE(fit_temperature({z.data(), 4, 2}, classes{1, 0, 0, 1}).temperature);
  EXPECT_NE(fit_temperature({z.data(), 4, 2}, classes{0, 0, 0, 1}).reason, "");
}

TEST(Calibration, AtItsEnds) {
  const std::vector<float> sure{1, 0, 0, 1}, half{.5f, .5f, .5f, .5f}, bad{.5f, .6f, .5f, .5f},
      negative{2, -1, 0, 1};
  EXPECT_EQ(log_loss({sure.data(), 2, 2}, classes{0, 1}), 0);
  EXPECT_NEAR(log_loss({sure.data(), 2, 2}, classes{1, 1}), 23 * std::log(2.0) / 2, close);
  EXPECT_EQ(brier_score({sure.data(), 2, 2}, classes{1, 0}), 2);
  EXPECT_EQ(calibration_error(reliability({sure.data(), 2, 2}, classes{0, 1})), 0);
  const auto bins = reliability({half.data(), 2, 2}, classes{0, 1}, binning::equal_mass);
  EXPECT_EQ(bins.size(), 1u);   // equal confidences are in one bin
  EXPECT_EQ(bins[0].right, 1);  // ties go to class 0
  expect_refused<value_error>([&] { brier_score({bad.data(), 2, 2}, classes{0, 1}); }, "row 0 has the sum 1.1");
  expect_refused<value_error>([&] { log_loss({negative.data(), 2, 2}, classes{0, 1}); }, "row 0");
  expect_refused<value_error>([&] { log_loss({sure.data(), 2, 2}, classes{0, 2}); }, "label 2 at row 1");
  expect_refused<shape_error>([&] { log_loss({sure.data(), 2, 2}, classes{0}); }, "2 rows and 1 labels");
  expect_refused<shape_error>([&] { reliability({sure.data(), 0, 2}, {}); }, "0 rows");
  expect_refused<value_error>(
      [&] {
        reliability({sure.data(), 2, 2}, classes{0, 1}, binning::equal_mass, 0);
      },
      "bins");
  expect_refused<shape_error>([] { calibration_error({}); }, "no rows");
  const std::vector<float> broken{0, NAN};
  expect_refused<value_error>([&] { fit_temperature({broken.data(), 1, 2}, classes{0}); }, "row 0 of logits");
  expect_refused<value_error>([&] { brier_score({broken.data(), 1, 2}, classes{0}); }, "row 0");
}

TEST(Evaluation, AccuracyBySlice) {
  const classes predicted{0, 1, 1, 2, 2, 0}, labels{0, 1, 2, 2, 0, 0}, slice{0, 0, 0, 1, 1, -1};
  const auto slices = accuracy_by_slice(predicted, labels, slice, 3);
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_NEAR(*slices[0].value, 2.0 / 3, close);
  expect_interval(slices[0].bounds, wilson(2, 3).low, wilson(2, 3).high);
  EXPECT_EQ(slices[1].right, 1);
  EXPECT_FALSE(slices[2].value);
  EXPECT_EQ(slices[2].bounds.high, 1);
  expect_refused<value_error>([&] { accuracy_by_slice(predicted, labels, slice, 1); },
                              "item 3 is of slice 1 of 1");
  expect_refused<shape_error>([&] { accuracy_by_slice(predicted, labels, classes{0}, 1); },
                              "6 predictions and 1");
  expect_refused<shape_error>([] { accuracy_by_slice({}, {}, {}, 1); }, "0 predictions");
}

TEST(Evaluation, RollingWindowsEndAtTheLastItem) {
  const classes predicted{1, 1, 1, 0, 0, 0, 1}, labels(7, 1);
  const auto windows = rolling_accuracy(predicted, labels, 3, 2);
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[0].first, 0);
  EXPECT_EQ(windows[1].first, 2);
  EXPECT_EQ(windows[2].first, 4);
  EXPECT_EQ(windows[0].right, 3);
  EXPECT_EQ(windows[1].right, 1);
  EXPECT_EQ(windows[2].right, 1);
  EXPECT_EQ(rolling_accuracy(predicted, labels, 4, 2)[0].first, 1);
  EXPECT_EQ(rolling_accuracy(predicted, labels, 100, 1).size(), 1u);
  EXPECT_EQ(rolling_accuracy(predicted, labels, 100, 1)[0].items, 7);
  expect_refused<value_error>([&] { rolling_accuracy(predicted, labels, 0, 1); }, "width is 0");
}

TEST(Evaluation, ConfusionAndUtility) {
  const classes labels{0, 0, 1, 1, 2, 2, 2, 1}, predicted{0, 1, 1, 1, 2, 0, 2, 2};
  const confusion_matrix confusion(predicted, labels, 3);
  EXPECT_EQ(confusion.count(2, 0), 1);  // confusion_matrix(labels, predicted)
  EXPECT_EQ(confusion.count(0, 2), 0);
  EXPECT_NEAR(*confusion.accuracy().value, 5.0 / 8, close);
  EXPECT_NEAR(*confusion.precision(0).value, 1.0 / 2, close);
  EXPECT_NEAR(*confusion.recall(2).value, 2.0 / 3, close);
  const values worth{1, -2, -.5, -5, 2, 0, 0, -1, 3};
  const auto mean =
      utility(confusion, {worth.data(), 3, 3});  // of worth[label, predicted]; stats.t.interval(.95, 7, ..)
  EXPECT_NEAR(mean.value, 1.125, close);
  EXPECT_NEAR(mean.standard_error, 0.6105471784742413, close);
  expect_interval(mean.bounds, -0.31871466496173895, 2.568714664961739);
  const confusion_matrix one(classes{1}, classes{1}, 3);
  EXPECT_EQ(utility(one, {worth.data(), 3, 3}).bounds.high, INFINITY);
  EXPECT_FALSE(one.recall(0).value);
  expect_refused<value_error>([&] { confusion_matrix(predicted, labels, 2); }, "item 4 has class 2");
  expect_refused<value_error>([&] { confusion_matrix(predicted, labels, 0); }, "classes is 0");
  expect_refused<shape_error>([&] { utility(confusion, {worth.data(), 3, 2}); }, "[3, 2] for 3 classes");
  const values broken(9, nan);
  expect_refused<value_error>([&] { utility(confusion, {broken.data(), 3, 3}); }, "value 0 is nan");
}

TEST(Evaluation, OperatingPointsAgreeWithScikitLearn) {
  // precision_recall_curve(positive, floor(seq(80, 37, 101, 4))): the best of its points
  const values scores = floored(sequence(80, 37, 101, 4));
  std::vector<std::uint8_t> positive;
  for (int i = 0; i < 80; ++i) positive.push_back(i * 37 % 101 * 3 + i * 29 % 97 > 230);
  const auto at = [&](double recall) { return precision_at_recall(scores, positive, recall); };
  EXPECT_NEAR(*at(0.5).precision.value, 1, close);
  EXPECT_NEAR(*at(0.5).recall.value, 0.90625, close);
  EXPECT_EQ(at(0.5).threshold, 16);
  EXPECT_NEAR(*at(0.95).precision.value, 0.96875, close);
  EXPECT_EQ(at(0.95).threshold, 15);
  const auto recall = recall_at_precision(scores, positive, 0.6);
  EXPECT_NEAR(*recall->precision.value, 0.8205128205128205, close);
  EXPECT_NEAR(*recall->recall.value, 1, close);
  EXPECT_EQ(recall->threshold, 13);
  EXPECT_EQ(recall_at_precision(scores, positive, 0.9)->threshold, 15);
  const std::vector<std::uint8_t> tied{1, 0, 0};
  EXPECT_NEAR(*precision_at_recall(values{1, 1, 1}, tied, 0.1).precision.value, 1.0 / 3, close);
  EXPECT_FALSE(recall_at_precision(values{1, 1, 1}, tied, 0.5));
  expect_refused<value_error>([&] { precision_at_recall(values{1, nan, 1}, tied, 0.5); }, "score 1 is NaN");
  expect_refused<value_error>(
      [&] {
        precision_at_recall(values{1}, {tied.data() + 1, 1}, 0.5);
      },
      "no item is positive");
  expect_refused<value_error>([&] { precision_at_recall(values{1, 2, 3}, tied, 0); }, "recall is 0");
  expect_refused<shape_error>([&] { recall_at_precision(values{1}, tied, 0.5); }, "1 scores and 3 marks");
}

TEST(Evaluation, TheBestReviewIsThatOfEveryThreshold) {
  const values confidence = floored(sequence(60, 37, 101, 9));  // with ties
  std::vector<std::uint8_t> right;
  for (int i = 0; i < 60; ++i) right.push_back(i * 29 % 97 + 7 * confidence[std::size_t(i)] > 60);
  for (const double error_cost : {0.0, 4.0, 15.0, 400.0}) {
    const auto best = best_review(confidence, right, 10, error_cost);
    double most = 0;
    values of_best(60, 0.0);
    values falling = confidence;
    std::sort(falling.begin(), falling.end(), std::greater<>());
    for (const double threshold : falling) {
      values saved;
      double sum = 0;
      for (std::size_t i = 0; i < 60; ++i) {
        saved.push_back(confidence[i] < threshold ? 0 : right[i] != 0 ? 1 : 1 - error_cost / 10);
        sum += saved.back();
      }
      if (sum / 60 > most + 1e-12) {
        most = sum / 60;
        of_best = saved;
      }
    }
    EXPECT_NEAR(best.cut.value, most, close) << error_cost;
    double squares = 0;
    for (const double one : of_best) squares += (one - most) * (one - most);
    EXPECT_NEAR(best.cut.standard_error, std::sqrt(squares / 59 / 60), close);
    EXPECT_NEAR(best.cut.bounds.high - best.cut.value, 2.000995378088259 * best.cut.standard_error, 1e-9);
    EXPECT_EQ(best.answered.right, best.right.items);
    index_t taken = 0;
    for (const double one : confidence) taken += one >= best.threshold;
    EXPECT_EQ(best.answered.right, taken);
  }
  const std::vector<std::uint8_t> wrong(60, 0);
  EXPECT_EQ(best_review(confidence, wrong, 1, 5).threshold, INFINITY);
  EXPECT_EQ(best_review(confidence, wrong, 1, 5).cut.value, 0);
  expect_refused<value_error>([&] { best_review(confidence, right, 0, 1); }, "review_cost is 0");
  expect_refused<value_error>(
      [&] {
        best_review(values{nan}, {right.data(), 1}, 1, 1);
      },
      "confidence 0 is NaN");
  expect_refused<shape_error>([&] { best_review(values{1}, right, 1, 1); }, "1");
}

// Eight labels of a pool of 50: the formulas of the header in numpy.
const values eight{0, .5, 1, .25, .75, 0, .5, 1};
const values eight_proposals{.05, .02, .01, .04, .03, .02, .015, .05};
const values eight_inclusions{.5, .2, .1, .4, 1, .25, .3, .8};

TEST(Unbiased, LureAgreesWithTheFormulas) {
  const auto weights = lure_weights(eight_proposals, 50);
  const values expected{0.48571428571428577, 1.0178571428571428, 1.9680851063829787, 0.572617946345976,
                        0.7429951690821257,  1.1060606060606062, 1.503171247357294,  0.4651162790697674};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(weights[i], expected[i], close);
  const auto estimate = lure(eight, eight_proposals, 50);
  EXPECT_NEAR(estimate.value, 0.5492645554947566, close);
  EXPECT_NEAR(estimate.standard_error, 0.21333412656557768, close);
  EXPECT_NEAR(estimate.effective_labels, 6.355619373352876, close);
  EXPECT_NEAR(estimate.uniform_labels, 2.9658601805745333, close);
  expect_interval(estimate.bounds, 0.15659367042893824, 0.8888644148178358);
  EXPECT_NEAR(complement_of(estimate).value, 1 - 0.5492645554947566, close);
  expect_interval(complement_of(estimate).bounds, 1 - 0.8888644148178358, 1 - 0.15659367042893824);
}

TEST(Unbiased, LureOfUniformDrawsIsTheirMean) {
  const values x{0, 1, 1, 0, 1};
  values uniform;
  for (int m = 0; m < 5; ++m) uniform.push_back(1.0 / (20 - m));
  for (const double v : lure_weights(uniform, 20)) EXPECT_NEAR(v, 1, close);
  EXPECT_NEAR(lure(x, uniform, 20).value, 0.6, close);
  const values census{1.0 / 5, 1.0 / 4, 1.0 / 3, 1.0 / 2, 1};
  const auto all = lure(x, census, 5);  // nothing is left to err about
  EXPECT_NEAR(all.value, 0.6, close);
  EXPECT_EQ(all.standard_error, 0);
  expect_interval(all.bounds, all.value, all.value);
}

TEST(Unbiased, InverseProbabilitiesAgreeWithTheFormulas) {
  const auto coins = horvitz_thompson(eight, eight_inclusions, 50, sampling::independent);
  EXPECT_NEAR(coins.value, 0.3358333333333334, close);
  EXPECT_NEAR(coins.standard_error, 0.19747538524529526, close);
  EXPECT_NEAR(coins.effective_labels, 5.128679102277991, close);
  const auto fixed = horvitz_thompson(eight, eight_inclusions, 50, sampling::fixed_number);
  EXPECT_NEAR(fixed.standard_error, 0.16833475868050832, close);
  EXPECT_NEAR(hajek(eight, eight_inclusions, 50, sampling::independent).value, 0.5773638968481375, close);
  EXPECT_NEAR(hajek(eight, eight_inclusions, 50, sampling::independent).standard_error, 0.15893702444530797,
              close);
  EXPECT_NEAR(hajek(eight, eight_inclusions, 50, sampling::fixed_number).standard_error, 0.17132545687404474,
              close);
  values predictions, money;
  for (const double v : eight) {
    predictions.push_back(v * 0.5 + 0.2);
    money.push_back(v * 10 - 3);
  }
  const auto model = aipw(eight, predictions, eight_inclusions, 0.41, 50, sampling::independent);
  EXPECT_NEAR(model.value, 0.46158333333333335, close);
  EXPECT_NEAR(model.standard_error, 0.05925761788814818, close);
  const auto real = hajek(money, eight_inclusions, 50, sampling::independent);  // Student's, outside [0, 1]
  expect_interval(real.bounds, -1.5854451107348462, 7.1327230476975965);
}

TEST(Unbiased, SimpleRandomSamplesGiveTheTextbookError) {
  const values x{0, 1, 1, 0, 1, 0, 0, 0}, pi(8, 8.0 / 40);
  const double s2 = 3.0 * 5 / 8 / 7;  // (1 - n / N) s^2 / n
  EXPECT_NEAR(horvitz_thompson(x, pi, 40, sampling::fixed_number).standard_error, std::sqrt(0.8 * s2 / 8),
              close);
  values proposals;
  for (int m = 0; m < 8; ++m) proposals.push_back(1.0 / (40 - m));
  EXPECT_NEAR(lure(x, proposals, 40).value, 3.0 / 8, close);
  EXPECT_NEAR(lure(x, proposals, 40).standard_error, std::sqrt(0.8 * s2 / 8), 0.01);
}

TEST(Unbiased, AtItsEnds) {
  const values ones(4, 1.0), quarter(4, 0.25);
  const auto sure =
      hajek(ones, quarter, 16, sampling::independent);  // equal values leave Wilson's interval of 4
  EXPECT_EQ(sure.value, 1);
  EXPECT_LT(sure.bounds.low, 0.51);
  EXPECT_EQ(sure.bounds.high, 1);
  const auto single = lure(values{1}, values{.5}, 9);
  EXPECT_EQ(single.bounds.low, 0);
  EXPECT_EQ(hajek(values{7}, values{.5}, 9, sampling::independent).bounds.high, INFINITY);
  const auto certain = horvitz_thompson(values{3, 5}, values{1, 1}, 2, sampling::fixed_number);
  expect_interval(certain.bounds, 4, 4);
  expect_refused<shape_error>([] { lure({}, {}, 5); }, "0 values");
  expect_refused<shape_error>([] { lure_weights({}, 5); }, "nothing was drawn");
  expect_refused<shape_error>([&] { lure(ones, values{.5}, 5); }, "4 values and 1 probabilities");
  expect_refused<value_error>([&] { lure(ones, quarter, 3); }, "4 draws from a pool of 3");
  expect_refused<value_error>([&] { lure(ones, values{.5, 0, .5, .5}, 9); }, "draw 1 has the probability 0");
  expect_refused<value_error>([&] { hajek(ones, values{.5, .5, 2, .5}, 9, sampling::independent); }, "draw 2");
  expect_refused<value_error>([&] { hajek(values{nan}, values{.5}, 9, sampling::independent); },
                              "value 0 is nan");
  expect_refused<value_error>(
      [&] {
        aipw(ones, values{1, 1, 1, nan}, quarter, 1, 9, sampling::independent);
      },
      "nan");
  expect_refused<value_error>([&] { aipw(ones, ones, quarter, nan, 9, sampling::independent); }, "nan");
  expect_refused<shape_error>([&] { aipw(ones, values{1}, quarter, 1, 9, sampling::independent); },
                              "1 predictions");
}

/// A pool whose items are wrong as often as their model fears, and what each has of a draw: half by its doubt,
/// half uniform.
struct doubtful_pool {
  values doubt, wrong, share;
  double error = 0;

  doubtful_pool(random_numbers& draw, std::size_t items) {
    for (std::size_t i = 0; i < items; ++i) {
      const double u = draw.unit();
      doubt.push_back(0.02 + 0.6 * u * u * u);
      wrong.push_back(draw.happens(doubt.back()) ? 1 : 0);
    }
    const double all = std::accumulate(doubt.begin(), doubt.end(), 0.0);
    for (const double d : doubt) share.push_back(0.5 * d / all + 0.5 / double(items));
    error = std::accumulate(wrong.begin(), wrong.end(), 0.0) / double(items);
  }
};

/// How often 95 % intervals held the truth, and where estimates lay on average.
struct coverage_count {
  index_t held = 0, all = 0;
  double sum = 0, squares = 0;

  void add(const pool_estimate& estimate, double truth) {
    held += estimate.bounds.holds(truth);
    ++all;
    sum += estimate.value - truth;
    squares += (estimate.value - truth) * (estimate.value - truth);
  }
  double coverage() const { return double(held) / double(all); }
  double bias_in_errors() const { return sum / std::sqrt(squares); }  // near a standard normal if there is none
};

/// `size` draws without replacement, each with probabilities in proportion to the shares that are left: by
/// races of exponential clocks. Returns the rows in order.
std::vector<std::size_t> drawn_in_turn(random_numbers& draw, const values& share, std::size_t size) {
  std::vector<std::pair<double, std::size_t>> clocks;
  for (std::size_t i = 0; i < share.size(); ++i) clocks.push_back({-std::log(1 - draw.unit()) / share[i], i});
  std::partial_sort(clocks.begin(), clocks.begin() + std::ptrdiff_t(size), clocks.end());
  std::vector<std::size_t> rows;
  for (std::size_t k = 0; k < size; ++k) rows.push_back(clocks[k].second);
  return rows;
}

TEST(Unbiased, IntervalsOfActivelyDrawnLabelsCover) {
  random_numbers draw(9);
  const std::size_t size = 150;
  const doubtful_pool pool(draw, 600);
  const double predicted = std::accumulate(pool.doubt.begin(), pool.doubt.end(), 0.0) / 600;
  coverage_count by_lure, by_hajek, by_aipw;
  index_t naive_held = 0;
  for (int campaign = 0; campaign < 10000; ++campaign) {
    values wrong, q;
    double left = 1;
    for (const std::size_t row : drawn_in_turn(draw, pool.share, size)) {
      wrong.push_back(pool.wrong[row]);
      q.push_back(std::min(1.0, pool.share[row] / left));
      left -= pool.share[row];
    }
    by_lure.add(lure(wrong, q, 600), pool.error);
    naive_held +=
        wilson(index_t(std::accumulate(wrong.begin(), wrong.end(), 0.0)), index_t(size)).holds(pool.error);
    values value, doubt, pi;
    for (std::size_t i = 0; i < 600; ++i) {
      const double chance = std::min(1.0, double(size) * pool.share[i]);
      if (!draw.happens(chance)) continue;
      value.push_back(pool.wrong[i]);
      doubt.push_back(pool.doubt[i]);
      pi.push_back(chance);
    }
    by_hajek.add(hajek(value, pi, 600, sampling::independent), pool.error);
    by_aipw.add(aipw(value, doubt, pi, predicted, 600, sampling::independent), pool.error);
  }
  for (const coverage_count* one : {&by_lure, &by_hajek, &by_aipw}) {
    EXPECT_GT(one->coverage(), 0.94);
    EXPECT_LT(one->coverage(), 0.96);
  }
  EXPECT_LT(std::abs(by_lure.bias_in_errors()), 3.5);
  EXPECT_LT(std::abs(by_aipw.bias_in_errors()), 3.5);
  EXPECT_LT(naive_held, 5000);  // the plain mean of such labels is far off
}

TEST(Saving, ByYieldAgreesWithTheFormulas) {
  // StratifiedTable(..).riskratio_pooled; the interval by Greenland & Robins' formula in numpy
  const std::vector<arms_of_round> rounds{{{100, 20}, {30, 3}}, {{120, 30}, {40, 5}}, {{60, 12}, {30, 4}}};
  const auto found = saving_by_yield(rounds);
  EXPECT_NEAR(*found.ratio, 1.8471711976487875, close);
  EXPECT_NEAR(*found.low, 1.0352924389882008, close);
  EXPECT_NEAR(*found.high, 3.2957271828990367, close);
  EXPECT_EQ(found.verdict, saving_verdict::saves);
  EXPECT_EQ(found.reason, "");
  EXPECT_EQ(saving_by_yield(rounds, 0.99).verdict, saving_verdict::unknown);
  EXPECT_NE(saving_by_yield(rounds, 0.99).reason.find("holds 1"), std::string::npos);
}

TEST(Saving, ByYieldClaimsNothingOfFewFinds) {
  const std::vector<arms_of_round> few{{{100, 20}, {30, 4}}}, none{{{100, 20}, {0, 0}}};
  EXPECT_FALSE(saving_by_yield(few).ratio);
  EXPECT_NE(saving_by_yield(few).reason.find("the audit arm 4 in 30"), std::string::npos);
  EXPECT_EQ(saving_by_yield(none).verdict, saving_verdict::unknown);
  EXPECT_NE(saving_by_yield({}).reason, "");
  const std::vector<arms_of_round> apart{{{100, 20}, {0, 0}}, {{0, 0}, {100, 20}}};
  EXPECT_NE(saving_by_yield(apart).reason.find("both took part"), std::string::npos);
  const std::vector<arms_of_round> wrong{{{10, 11}, {5, 0}}};
  expect_refused<value_error>([&] { saving_by_yield(wrong); }, "found 11 of 10");
}

TEST(Saving, ByYieldIsRightAsOftenAsItSays) {
  random_numbers draw(10);
  index_t held = 0, false_claims = 0;
  const index_t campaigns = 1500;
  for (index_t campaign = 0; campaign < campaigns; ++campaign) {
    std::vector<arms_of_round> threefold, equal;
    for (const double yield : {0.12, 0.1, 0.08, 0.07}) {
      threefold.push_back({{180, draw.successes(180, 3 * yield)}, {60, draw.successes(60, yield)}});
      equal.push_back({{180, draw.successes(180, yield)}, {60, draw.successes(60, yield)}});
    }
    const auto found = saving_by_yield(threefold);
    held += found.low && *found.low <= 3 && 3 <= *found.high;
    false_claims += saving_by_yield(equal).verdict != saving_verdict::unknown;
  }
  expect_share(held, campaigns, 0.94, 0.97);
  expect_share(false_claims, campaigns, 0.03, 0.05);
}

learning_curve curve_of(const std::vector<index_t>& labels, const values& accuracy) {
  return {labels, accuracy};
}

TEST(Saving, ByCurvesReadsTheEndsOffWilsonsBounds) {
  // Of 10,000 items, and one-sided at 1.25 %, an accuracy has bounds within .0112: .80 is surely above .78.
  const auto active = curve_of({100, 200, 300, 400}, {.60, .75, .80, .85});
  const auto random = curve_of({100, 200, 400, 800}, {.55, .65, .75, .80});
  const auto found = saving_by_curves(active, random, 0.78, 10000);
  EXPECT_NEAR(*found.ratio, 800.0 / 300, close);
  EXPECT_NEAR(*found.low, 400.0 / 300, close);   // more than 400 against at most 300
  EXPECT_NEAR(*found.high, 800.0 / 200, close);  // at most 800 against more than 200
  EXPECT_EQ(found.verdict, saving_verdict::saves);
  const auto reversed = saving_by_curves(random, active, 0.78, 10000);
  EXPECT_EQ(reversed.verdict, saving_verdict::costs);
  EXPECT_NEAR(*reversed.high, 300.0 / 400, close);
  const auto beyond = saving_by_curves(active, random, 0.83, 10000);  // random never comes there
  EXPECT_FALSE(beyond.ratio);
  EXPECT_FALSE(beyond.high);
  EXPECT_NEAR(*beyond.low, 800.0 / 400, close);
  EXPECT_EQ(beyond.verdict, saving_verdict::saves);
}

TEST(Saving, ByCurvesClaimsNothingThatItCannotSee) {
  const auto active = curve_of({100, 200, 300, 400}, {.60, .75, .80, .85});
  const auto short_arm = curve_of({10, 20, 40}, {.40, .50, .60});
  const auto found = saving_by_curves(active, short_arm, 0.78, 10000);  // 40 labels of random show no more
  EXPECT_EQ(found.verdict, saving_verdict::unknown);
  EXPECT_NEAR(*found.low, 40.0 / 300, close);
  EXPECT_NE(found.reason.find("up, holds 1"), std::string::npos);
  EXPECT_NE(saving_by_curves(active, short_arm, 0.9, 10000).reason.find("neither arm"), std::string::npos);
  EXPECT_NE(saving_by_curves(active, active, 0.5, 10000).reason.find("first point"), std::string::npos);
  EXPECT_EQ(saving_by_curves(active, active, 0.78, 10000).verdict, saving_verdict::unknown);
  const auto few_tested =
      saving_by_curves(active, curve_of({100, 200, 400, 800}, {.55, .65, .75, .80}), 0.78, 50);
  EXPECT_EQ(few_tested.verdict, saving_verdict::unknown);
  expect_refused<value_error>([&] { saving_by_curves(active, active, 0, 100); }, "target is 0");
  expect_refused<value_error>([&] { saving_by_curves(active, active, 0.5, 0); }, "tested is 0");
  expect_refused<value_error>([&] { saving_by_curves(curve_of({1}, {nan}), active, 0.5, 9); },
                              "at 1 labels is nan");
  expect_refused<shape_error>([&] { saving_by_curves(curve_of({}, {}), active, 0.5, 9); }, "0 label counts");
}

TEST(Saving, ByCurvesIsRightAsOftenAsItSays) {
  random_numbers draw(11);
  const std::vector<index_t> labels{50, 100, 150, 200, 300, 400, 600, 800, 1200};
  const auto truth = [](double n) { return 0.9 - 2 / std::sqrt(n); };  // .8 at 400 labels; active needs 1 / 1.6
  index_t held = 0, false_claims = 0;
  const index_t campaigns = 1000, tested = 500;
  for (index_t campaign = 0; campaign < campaigns; ++campaign) {
    learning_curve active{labels, {}}, random = active, other = active;
    for (const index_t n : labels) {
      active.accuracy.push_back(double(draw.successes(tested, truth(1.6 * double(n)))) / double(tested));
      random.accuracy.push_back(double(draw.successes(tested, truth(double(n)))) / double(tested));
      other.accuracy.push_back(double(draw.successes(tested, truth(double(n)))) / double(tested));
    }
    const auto found = saving_by_curves(active, random, 0.79, tested);
    held += found.low.value_or(0) <= 1.6 && 1.6 <= found.high.value_or(1e9);
    false_claims += saving_by_curves(other, random, 0.79, tested).verdict != saving_verdict::unknown;
  }
  expect_share(held, campaigns, 0.95, 1);
  expect_share(false_claims, campaigns, 0, 0.05);
}

}  // namespace
}  // namespace poolwise
