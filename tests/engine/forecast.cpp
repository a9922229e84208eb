// Curve fits, forecasts and stopping rules, against scipy 1.17, simulated curves, and slow references on
// recorded runs of the loop.
#include "poolwise/metrics/forecast.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/learn/softmax_regression.hpp"
#include "poolwise/loop/loop.hpp"
#include "poolwise/metrics/learning_curve_fit.hpp"
#include "poolwise/metrics/stopping.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::message_of;

constexpr double infinite = std::numeric_limits<double>::infinity();

/// Uniform in [0, 1): the standard fixes the generator, but not its distributions.
double uniform(std::mt19937_64& random) { return double(random() >> 11) * 0x1p-53; }
double uniform(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * uniform(random);
}
double normal(std::mt19937_64& random) {
  return std::sqrt(-2 * std::log(1 - uniform(random))) * std::cos(2 * M_PI * uniform(random));
}

fitted_law law_of(curve_law law, double ceiling, double gap, double scale, double exponent) {
  fitted_law made;
  made.law = law;
  made.ceiling = ceiling;
  made.gap = gap;
  made.scale = scale;
  made.exponent = law == curve_law::exp3 ? 1 : exponent;
  return made;
}

TEST(CurveLaw, HasTheFormOfItsPaper) {
  const auto at = [](curve_law law, double n) { return law_of(law, 0.9, 0.4, 150, 0.7).at(n); };
  for (const double n : {1.0, 80.0, 150.0, 4000.0}) {
    EXPECT_NEAR(at(curve_law::pow3, n), 0.9 - 0.4 * std::pow(150, 0.7) * std::pow(n, -0.7), 1e-12);
    EXPECT_NEAR(at(curve_law::exp3, n), 0.9 - 0.4 * std::exp(-n / 150), 1e-12);
    EXPECT_NEAR(at(curve_law::pow4, n), 0.9 - 0.4 * std::pow(150, 0.7) * std::pow(n + 150, -0.7), 1e-12);
    const double b = std::pow(150, 0.7);
    EXPECT_NEAR(at(curve_law::mmf4, n), (0.5 * b + 0.9 * std::pow(n, 0.7)) / (b + std::pow(n, 0.7)), 1e-12);
    EXPECT_NEAR(at(curve_law::wbl4, n), 0.9 - 0.4 * std::exp(-std::pow(150, -0.7) * std::pow(n, 0.7)), 1e-12);
  }
}

TEST(CurveLaw, TellsTheLabelsForAnAccuracy) {
  for (const curve_law law : every_curve_law) {
    SCOPED_TRACE(name_of(law));
    const fitted_law made = law_of(law, 0.9, 0.4, 150, 0.7);
    for (const double n : {20.0, 150.0, 900.0}) EXPECT_NEAR(*made.labels_for(made.at(n)), n, 1e-7 * n);
    EXPECT_FALSE(made.labels_for(0.9));
    EXPECT_FALSE(made.labels_for(0.95));
    if (law != curve_law::pow3) {  // which comes from minus infinity
      EXPECT_EQ(made.labels_for(0.5), 0);
      EXPECT_EQ(made.labels_for(0.1), 0);
    }
    EXPECT_FALSE(law_of(law, 0.9, 0, 150, 0.7).labels_for(0.9));
    EXPECT_EQ(law_of(law, 0.9, 0, 150, 0.7).labels_for(0.8), 0);  // a flat one is above it from the start
  }
}

std::vector<curve_point> eight_points(index_t tested = 1000) {
  const std::vector<index_t> labels{100, 200, 300, 400, 600, 800, 1000, 1400};
  const std::vector<double> accuracy{.612, .701, .744, .763, .801, .812, .829, .842};
  std::vector<curve_point> points;
  for (std::size_t i = 0; i < labels.size(); ++i) points.push_back({labels[i], accuracy[i], tested});
  return points;
}

TEST(CurveFit, AgreesWithScipy) {
  // least_squares with the bounds of the header from 60 starts: deviance, and the curve at 2800 and 5600
  // labels.
  struct expected {
    double deviance, at_2800, at_5600;
  };
  const std::map<curve_law, expected> by_scipy{
      {curve_law::pow3, {0.31030062267801173, 0.86986553, 0.8892142}},
      {curve_law::exp3, {2.4809856923201163, 0.83506679, 0.83507221}},
      {curve_law::pow4, {0.2994142953662903, 0.86719093, 0.88393606}},
      {curve_law::mmf4, {0.298246340011816, 0.86677849, 0.88290994}},
      {curve_law::wbl4, {0.29856577801078316, 0.86408572, 0.87660742}}};
  const curve_fit fit = fit_learning_curve(eight_points());
  ASSERT_EQ(fit.laws.size(), 5u);
  for (const fitted_law& law : fit.laws) {
    SCOPED_TRACE(name_of(law.law));
    const expected& e = by_scipy.at(law.law);
    EXPECT_NEAR(law.deviance, e.deviance, 1e-8);
    EXPECT_NEAR(law.at(2800), e.at_2800, 2e-6);  // the descent ends where the deviance no longer changes
    EXPECT_NEAR(law.at(5600), e.at_5600, 2e-6);
    const double k = parameters_of(law.law);
    EXPECT_NEAR(law.aic, law.deviance + 2 * k, 1e-12);
  }
  EXPECT_EQ(fit.laws[0].law, curve_law::pow3);
  EXPECT_EQ(fit.dispersion, 1);
  EXPECT_NEAR(fit.laws[1].weight / fit.laws[0].weight, std::exp((fit.laws[0].aic - fit.laws[1].aic) / 2),
              1e-12);
  double sum = 0, mean = 0;
  for (const fitted_law& law : fit.laws) {
    sum += law.weight;
    mean += law.weight * law.at(3000);
  }
  EXPECT_NEAR(sum, 1, 1e-12);
  EXPECT_NEAR(fit.at(3000), mean, 1e-12);
}

TEST(CurveFit, FindsEachLawOfACurveWithoutNoise) {
  for (const curve_law law : every_curve_law) {
    SCOPED_TRACE(name_of(law));
    const fitted_law truth = law_of(law, 0.93, 0.35, law == curve_law::pow3 ? 100 : 260, 0.9);
    std::vector<curve_point> points;
    for (index_t n = 100; n <= 1600; n += 100) points.push_back({n, truth.at(double(n)), 0});
    const curve_fit fit = fit_learning_curve(points, {.replicates = 20});
    const auto same =
        std::find_if(fit.laws.begin(), fit.laws.end(), [&](const auto& f) { return f.law == law; });
    EXPECT_NEAR(same->at(6400), truth.at(6400), 1e-4);
    EXPECT_NEAR(fit.at(6400), truth.at(6400), 2e-3);
    const auto range = forecast_accuracy(fit, 6400);
    EXPECT_LT(range.high - range.low, 0.01);
  }
}

TEST(CurveFit, IsTheBestUnderACeilingOfOne) {
  std::vector<curve_point> points;  // steeper at its end than any curve below 1
  for (index_t i = 1; i <= 8; ++i) points.push_back({100 * i, 0.6 + 0.048 * double(i), 500});
  const curve_fit fit = fit_learning_curve(points, {.replicates = 1});
  const auto pow3 =
      std::find_if(fit.laws.begin(), fit.laws.end(), [](const auto& f) { return f.law == curve_law::pow3; });
  double best = infinite;  // by trying
  for (double exponent = 0.05; exponent < 5; exponent *= 1.002)
    for (double gap = 0; gap < 1; gap += 0.002) {
      double deviance = 0;
      for (const curve_point& p : points) {
        const double n = 504, share = (p.accuracy * 500 + 2) / n;
        const double off = 1 - gap * std::pow(double(p.labels) / 100, -exponent) - p.accuracy;
        deviance += off * off / (share * (1 - share) / n);
      }
      best = std::min(best, deviance);
    }
  EXPECT_EQ(pow3->ceiling, 1);
  EXPECT_LE(pow3->deviance, best);
  EXPECT_NEAR(pow3->deviance, best, 0.001 * best);
}

TEST(CurveFit, APointOfManyTestsWeighsMore) {
  auto points = eight_points(200);
  points.back().accuracy = 0.9;
  const double light = fit_learning_curve(points, {.replicates = 1}).at(1400);
  points.back().tested = 100000;
  const double heavy = fit_learning_curve(points, {.replicates = 1}).at(1400);
  EXPECT_LT(light, 0.88);
  EXPECT_NEAR(heavy, 0.9, 0.005);
}

TEST(CurveFit, IsTheSameForEqualSeeds) {
  const auto low = [](std::uint64_t seed) {
    return forecast_accuracy(fit_learning_curve(eight_points(), {.seed = seed}), 4000).low;
  };
  EXPECT_EQ(low(1), low(1));
  EXPECT_NE(low(1), low(2));
}

TEST(CurveFit, ReplicatesAreAsManyOfEachLawAsItHasWeight) {
  const curve_fit fit = fit_learning_curve(eight_points(), {.replicates = 200});
  ASSERT_EQ(fit.replicates.size(), 200u);
  for (const fitted_law& law : fit.laws) {
    const auto share = std::count_if(fit.replicates.begin(), fit.replicates.end(),
                                     [&](const auto& r) { return r.law == law.law; });
    EXPECT_NEAR(double(share), 200 * law.weight, 1);
  }
}

TEST(CurveFit, WrongUses) {
  const auto fit = [](std::vector<curve_point> points) { fit_learning_curve(points); };
  auto points = eight_points();
  expect_refused<shape_error>([&] { fit({points.begin(), points.begin() + 4}); }, "4 points");
  expect_refused<value_error>([&] { fit_learning_curve(points, {.replicates = 0}); }, "replicates is 0");
  points[3].labels = 300;
  expect_refused<value_error>([&] { fit(points); }, "point 3 has 300 labels");
  points = eight_points();
  points[0].labels = 0;
  expect_refused<value_error>([&] { fit(points); }, "point 0 has 0 labels");
  points = eight_points();
  points[2].accuracy = NAN;
  expect_refused<value_error>([&] { fit(points); }, "point 2 has accuracy nan");
  points[2].accuracy = 74.4;
  expect_refused<value_error>([&] { fit(points); }, "shares from 0 to 1");
  points = eight_points();
  points[7].tested = -1;
  expect_refused<value_error>([&] { fit(points); }, "point 7 was tested on -1 items");
}

TEST(CurveFit, TakesCurvesWithoutAShape) {
  std::vector<curve_point> flat, falling, perfect;
  for (index_t n = 1; n <= 6; ++n) {
    flat.push_back({n, 0.5, 0});
    falling.push_back({n, 0.9 - 0.1 * double(n), 100});
    perfect.push_back({n, 1, 50});
  }
  for (const auto& points : {flat, falling, perfect}) {
    const curve_fit fit = fit_learning_curve(points, {.replicates = 50});
    const auto ahead = forecast_accuracy(fit, 100);
    EXPECT_TRUE(std::isfinite(ahead.value) && std::isfinite(ahead.low) && std::isfinite(ahead.high));
    EXPECT_LE(ahead.low, ahead.value);
    EXPECT_LE(ahead.value, ahead.high);
  }
  EXPECT_NEAR(forecast_accuracy(fit_learning_curve(flat), 100).value, 0.5, 1e-6);
  EXPECT_TRUE(fit_learning_curve(falling).fall.beyond_noise());
}

TEST(FindFall, IsSaidOfADipBeyondNoise) {
  auto points = eight_points();
  EXPECT_FALSE(find_fall(points).beyond_noise());
  points[5].accuracy = 0.74;  // 600 to 800 labels: a drop of .061, 3.2 deviations of a difference
  const curve_fall fall = find_fall(points);
  EXPECT_TRUE(fall.beyond_noise());
  EXPECT_EQ(fall.from, 600);
  EXPECT_EQ(fall.to, 800);
  EXPECT_NEAR(fall.drop, 0.061, 1e-12);
  EXPECT_TRUE(fit_learning_curve(points, {.replicates = 1}).fall.beyond_noise());
  for (curve_point& p : points) p.tested = 100;  // the same dip is noise on fewer items
  EXPECT_FALSE(find_fall(points).beyond_noise());
  points[0].tested = 0;
  EXPECT_FALSE(find_fall(points).judged);
  EXPECT_FALSE(find_fall({}).judged);
}

TEST(FindFall, IsSeldomSaidOfCurvesThatDoNot) {
  std::mt19937_64 random(5);
  int said = 0;
  constexpr int curves = 200;
  for (int curve = 0; curve < curves; ++curve) {
    std::vector<curve_point> points;  // the hardest: a flat one
    for (index_t n = 1; n <= 10; ++n) {
      double right = 0;
      for (int item = 0; item < 200; ++item) right += uniform(random) < 0.8;
      points.push_back({100 * n, right / 200, 200});
    }
    said += find_fall(points).beyond_noise();
  }
  EXPECT_LE(said, 10);  // level .01 asymptotically; 10 is 5 %
}

/// True curves, and measurements of them.
struct simulated_curve {
  std::vector<fitted_law> terms;
  std::vector<curve_point> points;

  double at(double n) const {
    double sum = 0;
    for (const fitted_law& term : terms) sum += term.at(n);
    return sum;
  }
};

enum class held_out { fresh, shared };  // the items of a test are new ones, or for 4 of 5 the same

constexpr int families = 6;  // the five laws, and a sum of two that none of them is

simulated_curve simulated(int family, index_t rounds, index_t tested, held_out items, std::mt19937_64& random) {
  const auto draw = [&](double low, double high) { return uniform(random, low, high); };
  const double ceiling = draw(0.75, 0.98);
  simulated_curve curve;
  switch (family) {
    case 0:
      curve.terms = {law_of(curve_law::pow3, ceiling, draw(.2, .5), 100, draw(.3, 1.2))};
      break;
    case 1:
      curve.terms = {law_of(curve_law::exp3, ceiling, draw(.3, .6), draw(150, 800), 1)};
      break;
    case 2:
      curve.terms = {law_of(curve_law::pow4, ceiling, draw(.3, .7), draw(50, 500), draw(.5, 1.5))};
      break;
    case 3:
      curve.terms = {law_of(curve_law::mmf4, ceiling, draw(.4, .7), draw(100, 500), draw(.8, 1.8))};
      break;
    case 4:
      curve.terms = {law_of(curve_law::wbl4, ceiling, draw(.4, .7), draw(100, 600), draw(.5, 1.2))};
      break;
    default:
      curve.terms = {law_of(curve_law::pow3, ceiling, draw(.1, .3), 100, draw(.3, .8)),
                     law_of(curve_law::exp3, 0, draw(.1, .4), draw(150, 600), 1)};
  }
  std::vector<double> difficulty;
  for (index_t i = 0; i < tested; ++i) difficulty.push_back(uniform(random));
  for (index_t round = 1; round <= rounds; ++round) {
    double right = 0;
    for (const double d : difficulty)
      right += (items == held_out::shared && uniform(random) < 0.8 ? d : uniform(random)) <
               curve.at(100 * double(round));
    curve.points.push_back({100 * round, right / double(tested), tested});
  }
  return curve;
}

struct coverage {
  double curves = 0, at_twice = 0, at_four_times = 0, labels = 0;

  void add(const simulated_curve& curve, index_t replicates, std::uint64_t seed) {
    const curve_fit fit = fit_learning_curve(curve.points, {replicates, seed});
    const index_t last = curve.points.back().labels;
    const auto covered = [&](index_t n) {
      const forecast_value f = forecast_accuracy(fit, n);
      return f.low <= curve.at(double(n)) && curve.at(double(n)) <= f.high;
    };
    const double twice = 2 * double(last);
    const labels_forecast f = forecast_labels(fit, curve.at(twice), 100000000);
    ++curves;
    at_twice += covered(2 * last);
    at_four_times += covered(4 * last);
    labels += f.low && *f.low <= twice && (!f.high || twice <= *f.high);
  }

  void add(const coverage& other) {
    curves += other.curves;
    at_twice += other.at_twice;
    at_four_times += other.at_four_times;
    labels += other.labels;
  }

  void expect_within(double low, double high) const {
    for (const double share : {at_twice / curves, at_four_times / curves, labels / curves}) {
      EXPECT_GE(share, low);
      EXPECT_LE(share, high);
    }
  }
};

TEST(Forecast, IntervalsCoverTheTruth) {
  std::mt19937_64 random(1);
  coverage all;
  for (int family = 0; family < families; ++family)
    for (std::uint64_t curve = 0; curve < 20; ++curve)
      all.add(simulated(family, 10, 400, held_out::fresh, random), 80, curve);
  all.expect_within(0.8, 0.97);
}

/// For a minute: no setting covers too little, and no family that a law is of covers too much.
TEST(LargeForecast, IntervalsCoverTheTruthOfEachFamily) {
  struct setting {
    index_t rounds, tested;
    held_out items;
  };
  for (int family = 0; family < families; ++family) {
    coverage all;
    for (const setting& s : {setting{12, 500, held_out::fresh}, setting{12, 2000, held_out::fresh},
                             setting{8, 1000, held_out::fresh}, setting{12, 1000, held_out::shared}}) {
      SCOPED_TRACE("family " + std::to_string(family) + ", rounds " + std::to_string(s.rounds) + ", tested " +
                   std::to_string(s.tested));
      std::mt19937_64 random(std::uint64_t(family) + 1);
      coverage one;
      for (std::uint64_t curve = 0; curve < 300; ++curve)
        one.add(simulated(family, s.rounds, s.tested, s.items, random), 200, curve);
      one.expect_within(0.8, 1);
      all.add(one);
    }
    SCOPED_TRACE("family " + std::to_string(family));
    all.expect_within(0.8, family < int(every_curve_law.size()) ? 0.97 : 1);
    std::printf("family %d: %.3f at twice the labels, %.3f at four times, %.3f of labels\n", family,
                all.at_twice / all.curves, all.at_four_times / all.curves, all.labels / all.curves);
  }
}

TEST(Forecast, OfAMeasuredAccuracyIsWider) {
  const curve_fit fit = fit_learning_curve(eight_points());
  const auto truth = forecast_accuracy(fit, 2000), measured = forecast_accuracy(fit, 2000, 100);
  EXPECT_EQ(truth.value, measured.value);
  EXPECT_EQ(truth.value, fit.at(2000));
  // At least the noise of a test on 100 items alone: 2 * 1.645 * sqrt(.86 * .14 / 100).
  EXPECT_GT(measured.high - measured.low, 0.09);
  EXPECT_LT(truth.high - truth.low, 0.05);
  const auto narrow = forecast_accuracy(fit, 2000, 0, 0.5);
  EXPECT_LT(narrow.high - narrow.low, truth.high - truth.low);
}

TEST(Forecast, LabelsToATarget) {
  const curve_fit fit = fit_learning_curve(eight_points());
  const auto near = forecast_labels(fit, 0.85, 100000);
  ASSERT_TRUE(near.labels && near.low);
  EXPECT_NEAR(fit.at(*near.labels), 0.85, 1e-6);
  EXPECT_LT(*near.low, *near.labels);
  EXPECT_TRUE(near.within_reach());
  const auto far = forecast_labels(fit, 0.99, 100000);
  EXPECT_FALSE(far.within_reach());
  EXPECT_FALSE(far.labels || far.low || far.high);
  EXPECT_LE(far.chance, 0.05);
  // Within the pool only: what more labels would bring does not count.
  const auto capped = forecast_labels(fit, 0.85, 1500);
  EXPECT_FALSE(capped.labels);
  EXPECT_LT(capped.chance, near.chance);
  const auto reached = forecast_labels(fit, 0.7, 100000);
  EXPECT_LT(*reached.high, 400);
  EXPECT_EQ(reached.chance, 1);
}

TEST(Forecast, OfAGainIsTheDifference) {
  const curve_fit fit = fit_learning_curve(eight_points());
  const auto gain = forecast_gain(fit, 1400, 2400);
  EXPECT_DOUBLE_EQ(gain.value, fit.at(2400) - fit.at(1400));
  EXPECT_LE(0, gain.low);
  EXPECT_LT(gain.low, gain.value);
  EXPECT_LT(gain.value, gain.high);
  EXPECT_EQ(forecast_gain(fit, 1400, 1400).high, 0);
}

TEST(Forecast, WrongUses) {
  const curve_fit fit = fit_learning_curve(eight_points(), {.replicates = 1});
  expect_refused<value_error>([&] { forecast_accuracy(fit, 0); }, "labels is 0");
  expect_refused<value_error>([&] { forecast_accuracy(fit, 1, -1); }, "tested is -1");
  expect_refused<value_error>([&] { forecast_accuracy(fit, 1, 0, 1); }, "level is 1.0");
  expect_refused<value_error>([&] { forecast_gain(fit, 5, 4); }, "to is 4; pass at least 5");
  expect_refused<value_error>([&] { forecast_labels(fit, 85, 10); }, "target is 85");
  expect_refused<value_error>([&] { forecast_labels(fit, NAN, 10); }, "target is nan");
  expect_refused<value_error>([&] { forecast_labels(fit, 0.5, 0); }, "most is 0");
}

TEST(CostOfLabel, HasStudentsInterval) {
  const auto cost = cost_of_label(std::vector<double>{5, 7, 4, 9, 6});
  // scipy.stats.t.interval(.9, 4, 6.2, sem)
  EXPECT_NEAR(cost.value, 6.2, 1e-12);
  EXPECT_NEAR(cost.low, 4.366116052451863, 1e-10);
  EXPECT_NEAR(cost.high, 8.033883947548137, 1e-10);
  EXPECT_EQ(cost_of_label(std::vector<double>{3}).high, 3);
  expect_refused<shape_error>([] { cost_of_label({}); }, "no values");
  expect_refused<value_error>([] { cost_of_label(std::vector<double>{1, -1}); }, "value 1 is -1");
}

TEST(TimeOfLabel, IsThatOfPeopleWhoStayed) {
  std::mt19937_64 random(2);
  std::vector<double> seconds;
  for (int i = 0; i < 2000; ++i) seconds.push_back(12 * std::exp(0.5 * normal(random)));
  const double mean = 12 * std::exp(0.125);
  const auto honest = time_of_label(seconds);
  EXPECT_NEAR(honest.mean.value, mean, 0.05 * mean);
  EXPECT_NEAR(honest.median, 12, 0.5);
  EXPECT_NEAR(honest.spread, 0.5, 0.03);
  EXPECT_LE(honest.capped, 12);  // .13 % of normal values are beyond three deviations
  for (std::size_t i = 0; i < seconds.size(); i += 20) seconds[i] = 7200;  // one in twenty went to lunch
  const auto with_lunch = time_of_label(seconds);
  EXPECT_NEAR(with_lunch.mean.value, honest.mean.value, 0.12 * mean);
  EXPECT_GE(with_lunch.capped, 100);
  EXPECT_EQ(time_of_label(seconds, 15.0).cap, 15);
  // Half and more are one number, and clocks that tick in seconds say 0.
  const auto coarse = time_of_label(std::vector<double>{2, 2, 2, 2, 0, 4});
  EXPECT_EQ(coarse.median, 2);
  EXPECT_GT(coarse.spread, 0);
  expect_refused<shape_error>([] { time_of_label(std::vector<double>{0, 0}); }, "all 2 times are 0");
  expect_refused<value_error>([] { time_of_label(std::vector<double>{1, INFINITY}); }, "value 1 is inf");
}

TEST(TimeOfLabel, IntervalsCoverTheTruth) {
  std::mt19937_64 random(3);
  for (const double spread : {0.6, 1.8}) {
    double covered = 0;
    constexpr int logs = 400;
    const double truth = 20 * std::exp(spread * spread / 2);
    for (int log = 0; log < logs; ++log) {
      std::vector<double> seconds;
      for (int i = 0; i < 50; ++i) seconds.push_back(20 * std::exp(spread * normal(random)));
      const auto mean = time_of_label(seconds).mean;
      covered += mean.low <= truth && truth <= mean.high;
    }
    EXPECT_GE(covered / logs, 0.84);
    EXPECT_LE(covered / logs, 0.96);
  }
}

TEST(EffortsByType, AreThoseOfEach) {
  const std::vector<label_record> records{{"video", 40.0, 60.0, 3},
                                          {"image", 5.0, 10.0},
                                          {"image", 7.0, 20.0},
                                          {"text", {}, 0.0},
                                          {"image", {}, 40.0}};
  const auto efforts = efforts_by_type(records);
  ASSERT_EQ(efforts.size(), 3u);
  EXPECT_EQ(efforts[0].type, "image");
  EXPECT_EQ(efforts[0].labels, 3);
  EXPECT_EQ(efforts[0].cost->value, 6);
  EXPECT_NEAR(efforts[0].time->median, 20, 1e-12);
  EXPECT_GT(efforts[0].time->mean.high, efforts[0].time->mean.value);
  EXPECT_FALSE(efforts[1].cost || efforts[1].time);
  EXPECT_EQ(efforts[2].cost->low, 40);
  EXPECT_NEAR(efforts[2].time->mean.high, 60, 1e-12);  // of one label
  expect_refused<value_error>(
      [] {
        efforts_by_type(std::vector<label_record>{{"image", {}, -1.0}});
      },
      "value 0 is -1");
}

TEST(FitCosts, FindsTheLineOfEachTypeAmongErrors) {
  std::vector<label_record> records;
  for (int i = 1; i <= 60; ++i) {
    const double length = i % 20 + 1, noise = 0.1 * (i % 3 - 1);
    records.push_back({"video", 30 + 4 * length + noise + (i % 6 == 0 ? 500 : 0), {}, length});
    records.push_back({"image", 5.0 + (i % 10 == 0 ? 95 : 0), {}, 0});
    records.push_back({"text", {}, 3.0, 1});  // without a cost
  }
  const auto fits = fit_costs(records);
  ASSERT_EQ(fits.size(), 2u);
  EXPECT_EQ(fits[0].type, "image");
  EXPECT_EQ(fits[0].labels, 60);
  EXPECT_NEAR(fits[0].at(0), 5, 0.01);
  EXPECT_EQ(fits[1].type, "video");
  EXPECT_NEAR(fits[1].per_length, 4, 0.05);
  EXPECT_NEAR(fits[1].at(10), 70, 0.3);
  EXPECT_LT(fits[1].spread, 1);
  EXPECT_EQ((fitted_cost{"x", 2, -3, 1, 0}.at(1)), 0);
  EXPECT_TRUE(fit_costs({}).empty());
  records[0].cost = -1;
  expect_refused<value_error>([&] { fit_costs(records); }, "type \"video\": value 0 is -1");
  records[0] = {"video", 1.0, {}, NAN};
  expect_refused<value_error>([&] { fit_costs(records); }, "value 0 is nan");
}

TEST(Products, JoinIndependentIntervals) {
  const auto product = product_of({100, 80, 130}, {5, 4, 6});
  EXPECT_DOUBLE_EQ(product.value, 500);
  EXPECT_NEAR(product.low, 500 * std::exp(-std::hypot(std::log(.8), std::log(.8))), 1e-9);
  EXPECT_NEAR(product.high, 500 * std::exp(std::hypot(std::log(1.3), std::log(1.2))), 1e-9);
  const auto quotient = quotient_of({100, 80, 130}, {5, 4, 6});
  EXPECT_DOUBLE_EQ(quotient.value, 20);
  EXPECT_NEAR(quotient.low, 20 * std::exp(-std::hypot(std::log(.8), std::log(1.2))), 1e-9);
  EXPECT_NEAR(quotient.high, 20 * std::exp(std::hypot(std::log(1.3), std::log(1.25))), 1e-9);
  const auto sure = product_of({100, 100, 100}, {5, 5, 5});
  EXPECT_EQ(sure.low, 500);
  EXPECT_EQ(sure.high, 500);
  EXPECT_EQ(product_of({10, 0, infinite}, {5, 4, 6}).low, 0);
  EXPECT_EQ(product_of({10, 0, infinite}, {5, 4, 6}).high, infinite);
  EXPECT_EQ(product_of({0, 0, 20}, {5, 4, 6}).high, 120);
  EXPECT_EQ(product_of({0, 0, 0}, {5, 4, 6}).high, 0);
  EXPECT_EQ(quotient_of({10, 5, 20}, {2, 0, 4}).high, infinite);
  expect_refused<value_error>([] { product_of({1, 2, 3}, {1, 1, 1}); }, "pass 0 <= low <= value <= high");
  expect_refused<value_error>([] { quotient_of({1, 1, 1}, {0, 0, 0}); }, "the divisor is 0");
}

TEST(Effort, IsWhatTheLabelsLeftTake) {
  const forecast_value cost{5, 4.5, 5.5}, per_day{200, 150, 240};
  const auto effort = forecast_effort({0.9, 3000, 2000, 5000, 0.97}, 1000, cost, per_day);
  ASSERT_TRUE(effort.labels && effort.money && effort.days);
  EXPECT_EQ(effort.labels->value, 2000);
  EXPECT_EQ(effort.labels->low, 1000);
  EXPECT_EQ(effort.labels->high, 4000);
  EXPECT_EQ(effort.money->value, 10000);
  EXPECT_LT(effort.money->low, 5000);
  EXPECT_EQ(effort.days->value, 10);
  EXPECT_GT(effort.days->high, 20);
  const auto reached = forecast_effort({0.9, 800, 700, 900, 1}, 1000, cost, per_day);
  EXPECT_EQ(reached.money->value, 0);
  EXPECT_EQ(reached.money->high, 0);
  EXPECT_EQ(forecast_effort({0.9, 3000, 2000, {}, 0.8}, 1000, cost, per_day).money->high, infinite);
  EXPECT_FALSE(forecast_effort({0.99, {}, {}, {}, 0}, 1000, cost, per_day).money);
}

TEST(ForecastError, ComparesWithWhatCame) {
  const std::vector<kept_forecast> past{{{100, 80, 120}, 110}, {{100, 90, 105}, 110}, {{50, 0, infinite}, 40}};
  const auto error = error_of(past);
  EXPECT_EQ(error.forecasts, 3);
  EXPECT_EQ(error.covered, 2);
  EXPECT_NEAR(error.bias, -10.0 / 3, 1e-12);
  EXPECT_NEAR(error.mean_absolute, 10, 1e-12);
  EXPECT_NEAR(error.root_mean_square, 10, 1e-12);
  EXPECT_NEAR(error.mean_relative, (2 * 10.0 / 110 + 10.0 / 40) / 3, 1e-12);
  EXPECT_EQ(error_of({}).forecasts, 0);
  expect_refused<value_error>([] { error_of(std::vector<kept_forecast>{{{1, 0, 2}, NAN}}); }, "forecast 0");
}

// ---- stopping

TEST(StopRule, IsReadAndWritten) {
  const stop_rule rule = parse_stop_rule("any(target, all(kappa(.99, 3), performance(.005)), budget)");
  EXPECT_EQ(rule.name, "any");
  ASSERT_EQ(rule.parts.size(), 3u);
  EXPECT_EQ(rule.parts[1].parts[0].arguments, (std::vector<double>{0.99, 3}));
  EXPECT_EQ(rule.text(), "any(target(0.95), all(kappa(0.99, 3), performance(0.005, 1, 0.95)), budget)");
  EXPECT_EQ(parse_stop_rule(rule.text()).text(), rule.text());
  EXPECT_EQ(parse_stop_rule("kappa").arguments, (std::vector<double>{0.99, 3}));
  EXPECT_EQ(parse_stop_rule(" kappa ( rounds = 5 ) ").arguments, (std::vector<double>{0.99, 5}));
  EXPECT_EQ(parse_stop_rule("budget()").text(), "budget");
  EXPECT_EQ(parse_stop_rule("kappa(0.98, rounds=2)").arguments, (std::vector<double>{0.98, 2}));
  for (const std::string& line : stop_rule_words()) {
    const std::string word = line.substr(0, line.find(':'));
    EXPECT_EQ(parse_stop_rule(word).name, word.substr(0, word.find('('))) << "what help shows can be written";
  }
}

TEST(StopRule, ErrorsNameThePlace) {
  const auto refused = [](const std::string& text, const std::string& words) {
    SCOPED_TRACE(text);
    const std::string message = message_of<usage_error>([&] { parse_stop_rule(text); });
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  refused("any(target, kapa(.99))", "at character 13, \"kapa\" is no stopping rule; the nearest is \"kappa\"");
  refused("any(target, kappa(.99)",
          "at character 4, \"(target, kappa(.99)\" is a parenthesis without its other");
  refused("target)", "at character 7");
  refused("any(target, kappa(x))", "at character 19, \"x\" gives no number; write such as kappa(at_least=0.99");
  refused("kappa(.99, 3, 4)", "at character 15, \"4\" is one argument too many");
  refused("kappa(size=3)", "at character 7, \"size=3\" names no parameter");
  refused("kappa(.9, at_least=.8)", "at character 11, \"at_least=.8\" gives at_least twice");
  refused("kappa(2)", "\"2\" must be from -1 to 1");
  refused("kappa(.9, 2.5)", "at character 11, \"2.5\" must be a whole number");
  refused("kappa(rounds=0)", "must be at least 1");
  refused("kappa(rounds=)", "gives no number");
  refused("kappa(nan)", "must be");
  refused("budget(5)", "budget takes none");
  refused("any()", "joins no rules");
  refused("any", "joins no rules");
  refused("any(target, )", "at character 13, \"\" is no stopping rule");
  refused("", "at character 1, \"\" is no stopping rule");
  refused("target, budget", "at character 9, \"budget\" begins a second rule");
  refused("kappa(.9)(3)", "goes on behind its parenthesis");
  refused("kappa(.9)x", "goes on behind its parenthesis");
  refused(std::string(100, '(') + std::string(100, ')'), "nests parentheses more than 16 deep");
  refused("all(\x1b[31m)", "\\x1b");
}

stop_round with_accuracy(index_t labels, double accuracy, index_t tested) {
  stop_round round;
  round.labels = labels;
  round.measures = {{"accuracy", accuracy, tested}};
  return round;
}

double figure(const stop_verdict& verdict, const std::string& name) {
  for (const stop_figure& f : verdict.figures)
    if (f.name == name) return f.value;
  ADD_FAILURE() << verdict.rule << " has no figure " << name;
  return NAN;
}

stop_verdict judged(const char* rule, const std::vector<stop_round>& rounds,
                    const stop_settings& settings = {}) {
  return judge_stop(parse_stop_rule(rule), rounds, settings);
}

TEST(StopTarget, NeedsItsCertainty) {
  stop_settings settings;
  settings.targets = {{"accuracy", 0.85}};
  const auto sure = judged("target", {with_accuracy(100, 0.873, 1000)}, settings);
  EXPECT_TRUE(sure.holds);
  EXPECT_NEAR(figure(sure, "accuracy, certainty"), 0.9808795126590302, 1e-10);  // scipy.stats.beta.sf
  const auto likely = judged("target", {with_accuracy(100, 0.86, 1000)}, settings);
  EXPECT_FALSE(likely.holds);
  EXPECT_NEAR(figure(likely, "accuracy, certainty"), 0.811504948906833, 1e-10);
  EXPECT_NE(likely.sentence.find("0.86 of 1000 items is at least 0.85"), std::string::npos) << likely.sentence;
  EXPECT_TRUE(judged("target(.8)", {with_accuracy(100, 0.86, 1000)}, settings).holds);
  const auto unsized = judged("target", {with_accuracy(100, 0.9, 0)}, settings);
  EXPECT_FALSE(unsized.holds || unsized.known);
  EXPECT_TRUE(judged("target(.5)", {with_accuracy(100, 0.9, 0)}, settings).holds);
  auto round = with_accuracy(100, 0.99, 1000);
  settings.targets.push_back({"accuracy of night", 0.8});
  EXPECT_FALSE(judged("target", {round}, settings).known);
  round.measures.push_back({"accuracy of night", 0.7, 1000});
  const auto half = judged("target", {round}, settings);
  EXPECT_TRUE(half.known);
  EXPECT_FALSE(half.holds);
  EXPECT_NE(half.sentence.find("1 of 2 targets are reached"), std::string::npos) << half.sentence;
  EXPECT_FALSE(judged("target", {round}).known);
  settings.targets = {{"accuracy", 0}, {"accuracy", 1}};
  EXPECT_FALSE(
      judged("target", {with_accuracy(1, 1, 10)}, settings).holds);  // no test shows that it is never wrong
}

TEST(StopBudget, IsSpentWhereNoLabelCanBeBought) {
  stop_round round;
  round.labels = 400;
  round.money = 1990;
  stop_settings settings;
  EXPECT_FALSE(judged("budget", {round}, settings).known);
  settings.money = 2000;
  EXPECT_FALSE(judged("budget", {round}, settings).holds);
  EXPECT_EQ(judged("budget", {round}, settings).sentence, "the budget is not spent: money 1990 of 2000");
  settings.label_cost = 20;
  EXPECT_TRUE(judged("budget", {round}, settings).holds);
  settings.label_cost = 10;
  EXPECT_FALSE(judged("budget", {round}, settings).holds);
  settings.hours = 40;
  const auto unknown = judged("budget", {round}, settings);
  EXPECT_FALSE(unknown.known || unknown.holds);
  EXPECT_NE(unknown.sentence.find("hours"), std::string::npos);
  settings.labels = 400;
  EXPECT_TRUE(judged("budget", {round}, settings).holds);
  EXPECT_EQ(judged("budget", {round}, settings).sentence, "the budget is spent: labels 400 of 400");
}

TEST(StopRules, SayWhatIsMissing) {
  for (const char* rule :
       {"target", "budget", "kappa", "uncertainty", "confidence", "change", "performance", "cost"}) {
    SCOPED_TRACE(rule);
    for (const std::vector<stop_round>& rounds : {std::vector<stop_round>{}, std::vector<stop_round>(6)}) {
      const auto verdict = judged(rule, rounds);
      EXPECT_FALSE(verdict.holds);
      EXPECT_FALSE(verdict.known);
      EXPECT_EQ(verdict.sentence.find("cannot be judged: "), 0u) << verdict.sentence;
    }
  }
}

TEST(StopRules, JoinByAnyAndAll) {
  stop_round round;
  round.labels = 10;
  round.pool_entropy = 0.005;
  round.selected_entropy = 0.4;
  const auto holds = [&](const char* rule) { return judged(rule, {round}).holds; };
  EXPECT_TRUE(holds("any(uncertainty, confidence)"));
  EXPECT_FALSE(holds("all(uncertainty, confidence)"));
  EXPECT_TRUE(holds("all(uncertainty, any(confidence, confidence(.5)))"));
  EXPECT_FALSE(holds("all(uncertainty, kappa)"));  // what cannot be judged does not hold
  const auto verdict = judged("any(confidence, all(uncertainty, kappa), uncertainty)", {round});
  ASSERT_EQ(verdict.parts.size(), 3u);
  EXPECT_EQ(verdict.parts[1].parts.size(), 2u);
  EXPECT_EQ(verdict.sentence, "1 of 3 rules holds, and one is enough: uncertainty(0.01)");
  EXPECT_TRUE(verdict.known);
  EXPECT_FALSE(judged("any(kappa, budget)", {round}).known);
  EXPECT_EQ(judged("all(uncertainty, kappa)", {round}).sentence,
            "1 of 2 rules holds, and all must; open: kappa(0.99, 3)");
}

TEST(StopRules, WrongHistories) {
  const auto refused = [](const std::vector<stop_round>& rounds, const char* words) {
    expect_refused<value_error>([&] { judged("uncertainty", rounds); }, words);
  };
  refused({with_accuracy(20, .5, 10), with_accuracy(10, .5, 10)}, "round 1 has 10 labels, fewer than before");
  refused({with_accuracy(20, 1.5, 10)}, "round 0 has accuracy 1.5");
  refused({with_accuracy(20, NAN, 0)}, "round 0 has accuracy nan");
  stop_round round;
  round.pool_entropy = NAN;
  refused({round}, "round 0 has the amount nan");
  round = {};
  round.changed = 5;
  round.compared = 4;
  refused({round}, "5 of 4 classes changed");
  round = {};
  round.predicted = {1, 2, 3};
  stop_round other;
  other.predicted = {1, 2};
  refused({round, other}, "predicts 2 items of a stop set of 3");
  expect_refused<usage_error>(
      [&] {
        judge_stop({"kappa", {}}, std::vector<stop_round>{round}, {});
      },
      "make rules by parse_stop_rule");
}

// ---- references: slow, and of other libraries than the rules

double reference_kappa(const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b,
                       std::int32_t classes) {
  double same = 0, chance = 0;
  const double n = double(a.size());
  for (std::int32_t c = 0; c < classes; ++c) {
    double in_a = 0, in_b = 0, in_both = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      in_a += a[i] == c;
      in_b += b[i] == c;
      in_both += a[i] == c && b[i] == c;
    }
    same += in_both / n;
    chance += in_a / n * in_b / n;
  }
  return same == 1 ? 1 : (same - chance) / (1 - chance);
}

/// P(p > t) under a Beta(right + 1/2, wrong + 1/2), by Simpson over the angle whose squared sine p is.
double reference_certainty(double right, double wrong, double t) {
  const double peak = right / (right + wrong);
  const auto density = [&](double angle) {
    const double s = std::sin(angle), c = std::cos(angle);
    const double log_peak =
        (right > 0 ? right * std::log(peak) : 0) + (wrong > 0 ? wrong * std::log(1 - peak) : 0);
    const double value = (right > 0 ? 2 * right * std::log(std::max(s, 1e-300)) : 0) +
                         (wrong > 0 ? 2 * wrong * std::log(std::max(c, 1e-300)) : 0);
    return std::exp(value - log_peak);
  };
  const auto integral = [&](double low, double high) {
    constexpr int steps = 2000;
    double sum = 0;
    for (int i = 0; i <= steps; ++i)
      sum += density(low + (high - low) * i / steps) * (i == 0 || i == steps ? 1 : i % 2 ? 4 : 2);
    return sum * (high - low) / steps / 3;
  };
  const double border = std::asin(std::sqrt(t));
  return integral(border, M_PI / 2) / (integral(0, border) + integral(border, M_PI / 2));
}

/// The normal quantile, by halving.
double reference_quantile(double share) {
  double low = -10, high = 10;
  for (int i = 0; i < 80; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < share ? low : high) = middle;
  }
  return low;
}

constexpr index_t toy_classes = 3, toy_features = 4;

/// Gaussian classes; the nearer, the harder.
struct toy_set {
  std::vector<float> x;
  std::vector<std::int32_t> y;

  toy_set(index_t rows, float apart, std::mt19937_64& random) {
    for (index_t i = 0; i < rows; ++i) {
      const auto label = std::int32_t(random() % toy_classes);
      y.push_back(label);
      for (index_t f = 0; f < toy_features; ++f)
        x.push_back(float(0.6 * normal(random)) + (f == label ? apart : 0.0f));
    }
  }
  matrix_view<const float> rows() const { return {x.data(), index_t(y.size()), toy_features}; }
  vector_view<const std::int32_t> labels() const { return {y.data(), index_t(y.size())}; }
};

struct opinions {
  std::vector<std::int32_t> classes;
  std::vector<double> entropies;

  opinions(learner& model, matrix_view<const float> x) {
    std::vector<float> logits(std::size_t(x.rows * toy_classes));
    model.predict(x, {logits.data(), 1, x.rows, toy_classes});
    for (index_t i = 0; i < x.rows; ++i) {
      const float* z = logits.data() + i * toy_classes;
      classes.push_back(std::int32_t(std::max_element(z, z + toy_classes) - z));
      double total = 0, entropy = 0;
      for (index_t c = 0; c < toy_classes; ++c) total += std::exp(double(z[c]));
      for (index_t c = 0; c < toy_classes; ++c) {
        const double p = std::exp(double(z[c])) / total;
        if (p > 0) entropy -= p * std::log(p);
      }
      entropies.push_back(entropy);
    }
  }
};

/// A run of the loop, recorded round by round.
std::vector<stop_round> recorded_run(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const float apart = float(uniform(random, 1.2, 3.0));
  const toy_set pool(150, apart, random), test(120, apart, random), stop(100, apart, random);
  const loop_schedule schedule{8, 8, 12};
  std::vector<bool> taken(150);
  for (const index_t row : initial_rows(150, schedule.initial, seed)) taken[std::size_t(row)] = true;
  std::vector<stop_round> rounds;
  std::vector<std::int32_t> before;
  softmax_regression model(toy_classes, {.l2 = 1e-3});
  run_loop(cpu{1}, {pool.rows(), test.rows(), pool.labels(), test.labels()}, model,
           parse_strategy(seed % 2 == 0 ? "margin" : "random"), schedule, seed,
           [&](const round_record& record) {
             const opinions of_pool(model, pool.rows()), of_test(model, test.rows());
             stop_round round;
             round.labels = record.labels;
             round.measures = {{"accuracy", record.accuracy, 120}};
             for (std::size_t i = 0; i < test.y.size(); ++i)
               round.right.push_back(of_test.classes[i] == test.y[i]);
             round.predicted = opinions(model, stop.rows()).classes;
             double entropy = 0, changed = 0, compared = 0;
             for (std::size_t i = 0; i < taken.size(); ++i)
               if (!taken[i]) {
                 entropy += of_pool.entropies[i];
                 ++compared;
                 changed += !before.empty() && of_pool.classes[i] != before[i];
               }
             round.pool_entropy = entropy / compared;
             if (!before.empty()) {
               round.changed = index_t(changed);
               round.compared = index_t(compared);
             }
             if (!record.picked.empty()) round.selected_entropy = 0;
             for (const index_t row : record.picked) {
               round.selected_entropy = std::max(*round.selected_entropy, of_pool.entropies[std::size_t(row)]);
               taken[std::size_t(row)] = true;
             }
             before = of_pool.classes;
             round.money = 5 * double(record.labels);
             round.hours = 0.1 * double(record.labels);
             rounds.push_back(round);
           });
  return rounds;
}

TEST(StopRules, EqualTheReferencesOnRecordedRuns) {
  stop_settings settings;
  settings.targets = {{"accuracy", 0.9}};
  settings.money = 400;
  settings.hours = 9;
  settings.label_cost = 5;
  settings.error_cost = 1;
  settings.uses = 400000;
  std::map<std::string, int> held, judged_rounds;
  const auto expect = [&](const char* text, const std::vector<stop_round>& rounds, std::optional<bool> holds,
                          const char* name = nullptr, double value = 0, double tolerance = 1e-12) {
    const stop_verdict verdict = judged(text, rounds, settings);
    SCOPED_TRACE(verdict.rule + ": " + verdict.sentence);
    EXPECT_EQ(verdict.known, holds.has_value());
    EXPECT_EQ(verdict.holds, holds.value_or(false));
    if (holds && name != nullptr) {
      EXPECT_NEAR(figure(verdict, name), value, tolerance);
    }
    held[text] += verdict.holds;
    judged_rounds[text] += verdict.known;
  };
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<stop_round> run = recorded_run(seed);
    ASSERT_EQ(run.size(), 13u);
    for (std::size_t n = 1; n <= run.size(); ++n) {
      SCOPED_TRACE("run " + std::to_string(seed) + ", round " + std::to_string(n - 1));
      const std::vector<stop_round> rounds(run.begin(), run.begin() + std::ptrdiff_t(n));
      const stop_round& last = rounds.back();
      const double accuracy = last.measures[0].value;

      const double certainty = reference_certainty(accuracy * 120, 120 - accuracy * 120, 0.9);
      const bool target = certainty >= 0.95;
      expect("target", rounds, target, "accuracy, certainty", certainty, 1e-9);
      const bool budget = 5 * last.labels + 5 > 400 || 0.1 * double(last.labels) >= 9;
      expect("budget", rounds, budget, "money", 5 * double(last.labels));

      std::optional<bool> stable;
      double kappa = 0;
      if (n > 3) {
        for (std::size_t i = n - 3; i < n; ++i)
          kappa += reference_kappa(run[i - 1].predicted, run[i].predicted, toy_classes) / 3;
        stable = kappa >= 0.97;
      }
      expect("kappa(.97)", rounds, stable, "kappa", kappa);

      expect("uncertainty(.1)", rounds, *last.pool_entropy < 0.1);
      expect("confidence(.3)", rounds,
             n == run.size() ? std::nullopt : std::optional(*last.selected_entropy < 0.3));
      expect("change", rounds, n == 1 ? std::nullopt : std::optional(*last.changed == 0));

      std::optional<bool> flat, flat_alone;
      double most = 0, most_alone = 0;
      if (n > 2) {
        const stop_round& then = run[n - 3];
        const double rise = accuracy - then.measures[0].value, z = reference_quantile(0.95);
        double n10 = 0.5, n01 = 0.5;
        for (std::size_t i = 0; i < 120; ++i) {
          if (last.right[i] > then.right[i]) ++n10;
          if (last.right[i] < then.right[i]) ++n01;
        }
        most = rise + z * std::sqrt((n10 + n01) - (n10 - n01) * (n10 - n01) / 122) / 122;
        flat = most < 0.02;
        const double p = (accuracy * 120 + 1) / 122, q = (then.measures[0].value * 120 + 1) / 122;
        most_alone = rise + z * std::sqrt(p * (1 - p) / 122 + q * (1 - q) / 122);
        flat_alone = most_alone < 0.05;
      }
      expect("performance(.02, 2)", rounds, flat, "rise, at most", most, 1e-9);
      expect("any(all(kappa(.97), performance(.02, 2)), target)", rounds,
             (stable.value_or(false) && flat.value_or(false)) || target);
      auto unpaired = rounds;
      for (stop_round& r : unpaired) r.right.clear();
      expect("performance(.05, 2)", unpaired, flat_alone, "rise, at most", most_alone, 1e-9);
    }

    std::vector<curve_point> points;
    for (const stop_round& r : run) points.push_back({r.labels, r.measures[0].value, 120});
    const curve_fit fit = fit_learning_curve(points);
    const double now = double(run.back().labels);
    int dearer = 0;
    for (const fitted_law& law : fit.replicates) dearer += 400000 * (law.at(now + 100) - law.at(now)) < 500;
    expect("cost(100)", run, dearer >= 100, "gain", 400000 * (fit.at(now + 100) - fit.at(now)), 1e-6);
    expect("cost(100)", {run.begin(), run.begin() + 4}, std::nullopt);
  }
  for (const auto& [rule, count] : held) {  // a rule that always or never holds would be no test
    EXPECT_GT(count, 0) << rule;
    EXPECT_LT(count, judged_rounds[rule]) << rule;
  }
}

TEST(StopRules, SentencesAreOfOneLineWithTheirFigures) {
  const std::vector<stop_round> run = recorded_run(4);
  stop_settings settings;
  settings.targets = {{"accuracy", 0.9}};
  settings.money = 400;
  settings.label_cost = 5;
  settings.error_cost = 1;
  settings.uses = 400000;
  for (const char* rule : {"target", "budget", "kappa", "uncertainty", "change", "performance", "cost"}) {
    const auto verdict = judged(rule, run, settings);
    EXPECT_TRUE(verdict.known) << verdict.sentence;
    EXPECT_EQ(verdict.sentence.find('\n'), std::string::npos);
    EXPECT_FALSE(verdict.figures.empty()) << rule;
    for (const stop_figure& f : verdict.figures) EXPECT_TRUE(std::isfinite(f.value)) << rule << ", " << f.name;
    EXPECT_EQ(verdict.sentence.find("nan"), std::string::npos) << verdict.sentence;
  }
}

}  // namespace
}  // namespace poolwise
