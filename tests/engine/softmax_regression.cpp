// Softmax regression at its optimum, by slopes that are measured, not derived; and its committee.
#include "poolwise/learn/softmax_regression.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"
#include "reference/softmax.hpp"

namespace poolwise {
namespace {

using reference::softmax_problem;

/// Normal features about a centre per class, so that the classes overlap.
softmax_problem random_problem(std::size_t rows, std::size_t features, std::size_t classes, unsigned seed = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  softmax_problem p{rows, features, classes, {}, {}, 1e-2L};
  for (std::size_t i = 0; i < rows; ++i) {
    p.y.push_back(std::int32_t(engine() % classes));
    for (std::size_t j = 0; j < features; ++j)
      p.x.push_back(normal(engine) + (j % classes == std::size_t(p.y.back()) ? 1.0f : 0.0f));
  }
  return p;
}

matrix_view<const float> features_of(const softmax_problem& p) {
  return {p.x.data(), index_t(p.rows), index_t(p.features)};
}
vector_view<const std::int32_t> labels_of(const softmax_problem& p) { return {p.y.data(), index_t(p.rows)}; }

softmax_regression fitted_on(const softmax_problem& p, softmax_options options = {}) {
  options.l2 = double(p.l2);
  softmax_regression model(index_t(p.classes), options);
  model.fit(features_of(p), labels_of(p));
  return model;
}

std::vector<float> logits_of(learner& model, matrix_view<const float> x) {
  std::vector<float> logits(std::size_t(model.members() * x.rows * model.classes()), NAN);
  model.predict(x, {logits.data(), model.members(), x.rows, model.classes()});
  return logits;
}

double norm(const std::vector<double>& x) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  return std::sqrt(squares);
}

class SoftmaxShapes : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(SoftmaxShapes, TheObjectiveIsFlatAtTheFit) {
  const auto [rows, features, classes] = GetParam();
  const auto p = random_problem(std::size_t(rows), std::size_t(features), std::size_t(classes));
  const double tolerance = 1e-8;
  const auto model = fitted_on(p, {.tolerance = tolerance});
  // The stopping rule bounds each slope; central differences add step^2 / 6 of a third derivative, which is
  // below the cube of the largest |x| (< 6), and the rounding of a loss near 1 over the step, 1e-14.
  const double bound = tolerance * std::max(1.0, norm(model.parameters())) + 1e-10;
  for (const long double slope : reference::slopes(p, model.parameters(), 1e-6L))
    EXPECT_LE(std::abs(double(slope)), bound);
}

// 64 rows make a block of the fit.
INSTANTIATE_TEST_SUITE_P(Shapes, SoftmaxShapes,
                         testing::Values(std::tuple{1, 1, 1}, std::tuple{1, 1, 2}, std::tuple{7, 3, 2},
                                         std::tuple{8, 8, 3}, std::tuple{31, 15, 9}, std::tuple{63, 5, 4},
                                         std::tuple{64, 5, 4}, std::tuple{65, 9, 10}, std::tuple{129, 17, 17},
                                         std::tuple{200, 33, 10}));

// scipy.optimize.minimize(f, zeros(9), jac=True, method='BFGS', options={'gtol': 1e-13}), f the mean negative
// log-likelihood plus .05 |W|^2 and its gradient, ended at |gradient| = 8e-10. The curvature there is above
// 0.05 in every direction but the shift of the biases, in which neither moves, so 1e-7 covers both ends.
TEST(Softmax, AgreesWithScipy) {
  const softmax_problem p{7, 2, 3, {0, 0, 1, 0, 0, 1, 2, 1, 1, 2, 2, 2, 0, 2}, {0, 1, 2, 1, 2, 0, 2}, 0.1L};
  const std::vector<double> scipy{0.0898136342860429,  -0.08981363499060058, 0.07554027916141551,
                                  0.8079144603008944,  -0.807914457392662,   -0.07050477282909641,
                                  -0.8977280945869373, 0.8977280923832625,   -0.005035506332318587};
  const auto model = fitted_on(p, {.tolerance = 1e-9});
  for (std::size_t k = 0; k < scipy.size(); ++k) EXPECT_NEAR(model.parameters()[k], scipy[k], 1e-7) << k;
}

// Without features that tell the rows apart, the best logits are the logarithms of the class counts.
TEST(Softmax, BiasesAreTheLogarithmsOfTheCounts) {
  const softmax_problem p{8, 1, 3, std::vector<float>(8, 0.0f), {0, 0, 0, 0, 0, 1, 1, 2}, 1e-4L};
  auto model = fitted_on(p, {.tolerance = 1e-9});
  const std::vector<float> x{0};
  const auto z = logits_of(model, {x.data(), 1, 1});
  EXPECT_NEAR(z[0] - z[1], std::log(5.0 / 2), 1e-6);
  EXPECT_NEAR(z[1] - z[2], std::log(2.0), 1e-6);
}

TEST(Softmax, OneClassOfManyIsLearnt) {
  softmax_problem p = random_problem(20, 3, 4);
  std::fill(p.y.begin(), p.y.end(), 2);
  auto model = fitted_on(p);
  const auto z = logits_of(model, features_of(p));
  for (std::size_t i = 0; i < p.rows; ++i)
    for (std::size_t c = 0; c < 4; ++c) {
      EXPECT_TRUE(std::isfinite(z[i * 4 + c]));
      EXPECT_GE(z[i * 4 + 2], z[i * 4 + c] + (c == 2 ? 0 : 5));
    }
}

TEST(Softmax, AWarmStartChangesTheTimeAndNotTheResult) {
  const auto p = random_problem(300, 8, 5);
  softmax_regression warm(5, {.l2 = double(p.l2), .tolerance = 1e-9});
  warm.fit({p.x.data(), 290, 8}, {p.y.data(), 290});
  warm.fit(features_of(p), labels_of(p));
  const auto cold = fitted_on(p, {.tolerance = 1e-9});
  EXPECT_LT(warm.iterations(), cold.iterations());
  // |error| <= |gradient| / curvature: both gradients are below 1e-9 |parameters|, the curvature above 1e-3.
  for (std::size_t k = 0; k < cold.parameters().size(); ++k)
    EXPECT_NEAR(warm.parameters()[k], cold.parameters()[k], 2e-6 * norm(cold.parameters())) << k;
}

TEST(Softmax, OtherFeaturesStartAnew) {
  const auto narrow = random_problem(50, 3, 4), wide = random_problem(50, 7, 4);
  softmax_regression model(4, {.l2 = double(wide.l2)});
  model.fit(features_of(narrow), labels_of(narrow));
  model.fit(features_of(wide), labels_of(wide));
  EXPECT_EQ(model.parameters(), fitted_on(wide).parameters());
  EXPECT_EQ(model.features(), 7);
}

TEST(Softmax, EqualFitsGiveEqualBits) {
  const auto p = random_problem(400, 20, 10);
  const auto first = fitted_on(p);
  const int threads_before = omp_get_max_threads();
  for (const int threads : {1, 2, 5}) {
    omp_set_num_threads(threads);
    EXPECT_EQ(fitted_on(p).parameters(), first.parameters()) << threads;
  }
  omp_set_num_threads(threads_before);
}

TEST(Softmax, StridesAreHonoured) {
  const auto p = random_problem(70, 5, 3);
  std::vector<float> padded(70 * 9, NAN);
  for (int i = 0; i < 70; ++i) std::copy_n(p.x.data() + i * 5, 5, padded.data() + i * 9);
  const matrix_view<const float> x{padded.data(), 70, 5, 9};
  auto plain = fitted_on(p);
  softmax_regression strided(3, {.l2 = double(p.l2)});
  strided.fit(x, labels_of(p));
  EXPECT_EQ(plain.parameters(), strided.parameters());
  EXPECT_EQ(logits_of(plain, features_of(p)), logits_of(strided, x));
}

TEST(Softmax, ALimitOfIterationsIsNoError) {
  const auto p = random_problem(100, 8, 5);
  const auto model = fitted_on(p, {.max_iterations = 1});
  EXPECT_EQ(model.iterations(), 1);
  const std::vector<long double> start(model.parameters().size(), 0.0L),
      end(model.parameters().begin(), model.parameters().end());
  EXPECT_LT(reference::objective(p, end), reference::objective(p, start));
}

// A tolerance of 0 is never met: the descent ends where rounding hides what is left of it.
TEST(Softmax, RoundingIsNoError) {
  const auto p = random_problem(100, 8, 5);
  const auto model = fitted_on(p, {.max_iterations = 100000, .tolerance = 0});
  EXPECT_LT(model.iterations(), 100000);
  // The loss is near 1, so a descent of less than 2^-53 is hidden: gradients below about
  // sqrt(2^-53 * curvature), with curvature below |x|^2 = 100.
  for (const long double slope : reference::slopes(p, model.parameters(), 1e-6L))
    EXPECT_LE(std::abs(double(slope)), 1e-7);
}

TEST(Softmax, ExtremeFeaturesKeepTheFitFinite) {
  for (const float scale : {1e-41f, 1e4f, 1e30f, 3e38f}) {
    auto p = random_problem(40, 4, 3);
    for (float& x : p.x) x = std::clamp(x, -1.0f, 1.0f) * scale;
    const auto model = fitted_on(p);
    EXPECT_TRUE(std::all_of(model.parameters().begin(), model.parameters().end(), [](double w) {
      return std::isfinite(w);
    })) << scale;
  }
}

TEST(Softmax, SeparableClassesAreSeparated) {
  const softmax_problem p{4, 1, 2, {-1000, -999, 999, 1000}, {0, 0, 1, 1}, 0};
  auto model = fitted_on(p);
  const auto z = logits_of(model, features_of(p));
  EXPECT_GT(z[0], z[1]);
  EXPECT_GT(z[2], z[3]);
  EXPECT_GT(z[5], z[4]);
  EXPECT_GT(z[7], z[6]);
}

TEST(SoftmaxPredict, IsTheLinearMap) {
  for (const std::size_t classes : {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65}) {
    const auto p = random_problem(80, 12, classes);
    auto model = fitted_on(p, {.max_iterations = 20});
    const auto z = logits_of(model, features_of(p));
    const std::vector<long double> parameters(model.parameters().begin(), model.parameters().end());
    for (std::size_t i = 0; i < p.rows; ++i)
      for (std::size_t c = 0; c < classes; ++c) {
        long double size = std::abs(parameters[c * 13 + 12]);
        for (std::size_t j = 0; j < 12; ++j) size += std::abs(parameters[c * 13 + j] * p.x[i * 12 + j]);
        // Each parameter and product is rounded once and there are 12 sums, each half an ulp of `size`.
        EXPECT_NEAR(z[i * classes + c], double(reference::logit(p, parameters, i, c)),
                    double(size) * 14 * std::numeric_limits<float>::epsilon() / 2);
      }
  }
}

TEST(SoftmaxPredict, ARowDependsOnItselfAlone) {
  const auto p = random_problem(2100, 9, 10);  // 1024 rows make a block of a prediction
  auto model = fitted_on(p);
  const auto together = logits_of(model, features_of(p));
  for (index_t i = 0; i < 2100; i += 7) {
    const auto alone = logits_of(model, {p.x.data() + i * 9, 1, 9});
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + i * 10)) << i;
  }
  const int threads_before = omp_get_max_threads();
  for (const int threads : {1, 2, 5}) {
    omp_set_num_threads(threads);
    EXPECT_EQ(logits_of(model, features_of(p)), together) << threads;
  }
  omp_set_num_threads(threads_before);
}

TEST(SoftmaxPredict, ANaNStaysInItsRow) {
  const auto p = random_problem(10, 3, 2);
  auto model = fitted_on(p);
  const auto good = logits_of(model, features_of(p));
  auto x = p.x;
  x[3 * 4 + 1] = NAN;
  const auto bad = logits_of(model, {x.data(), 10, 3});
  for (std::size_t i = 0; i < bad.size(); ++i)
    if (i / 2 == 4)
      EXPECT_TRUE(std::isnan(bad[i]));
    else
      EXPECT_EQ(bad[i], good[i]);
}

TEST(SoftmaxPredict, OfNoRowsIsNothing) {
  const auto p = random_problem(10, 3, 2);
  auto model = fitted_on(p);
  EXPECT_NO_THROW(model.predict({nullptr, 0, 3}, {nullptr, 1, 0, 2}));
}

using reference::expect_refused;

TEST(Softmax, WrongOptions) {
  expect_refused<value_error>([] { softmax_regression(0); }, "classes is 0");
  expect_refused<value_error>([] { softmax_regression(2, {.l2 = -1}); }, "l2 is -1");
  expect_refused<value_error>([] { softmax_regression(2, {.l2 = NAN}); }, "l2 is nan");
  expect_refused<value_error>([] { softmax_regression(2, {.max_iterations = 0}); }, "max_iterations is 0");
  expect_refused<value_error>([] { softmax_regression(2, {.tolerance = -1}); }, "tolerance is -1");
  expect_refused<value_error>([] { bootstrap_committee(0, 2, 1); }, "members is 0");
  expect_refused<value_error>([] { bootstrap_committee(2, 0, 1); }, "classes is 0");
}

template <class Learner>
void expect_wrong_uses_refused(Learner model) {
  auto p = random_problem(10, 3, 2);
  const auto x = features_of(p);
  const auto y = labels_of(p);
  std::vector<float> logits(60);
  const index_t members = model.members();
  expect_refused<error>([&] { model.predict(x, {logits.data(), members, 10, 2}); }, "call fit first");
  expect_refused<shape_error>([&] { model.fit({p.x.data(), 0, 3}, {p.y.data(), 0}); }, "x is [0, 3]");
  expect_refused<shape_error>([&] { model.fit({p.x.data(), 10, 0}, y); }, "x is [10, 0]");
  expect_refused<shape_error>([&] { model.fit(x, {p.y.data(), 9}); }, "9 labels but x has 10 rows");
  for (const std::int32_t bad : {-1, 2}) {
    auto labels = p.y;
    labels[7] = bad;
    expect_refused<value_error>(
        [&] {
          model.fit(x, {labels.data(), 10});
        },
        "label " + std::to_string(bad) + " at row 7 is outside 0 to 1");
  }
  model.fit(x, y);
  expect_refused<shape_error>(
      [&] {
        model.predict({p.x.data(), 10, 2}, {logits.data(), members, 10, 2});
      },
      "x has 2 features but the fit had 3");
  expect_refused<shape_error>([&] { model.predict(x, {logits.data(), members + 1, 10, 2}); }, "logits is [");
  expect_refused<shape_error>([&] { model.predict(x, {logits.data(), members, 9, 2}); }, "logits is [");
  expect_refused<shape_error>([&] { model.predict(x, {logits.data(), members, 10, 3}); }, "logits is [");
  // A refused fit leaves the model as it was.
  const auto before = logits_of(model, x);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    auto features = p.x;
    features[3 * 2 + 1] = bad;
    expect_refused<value_error>([&] { model.fit({features.data(), 10, 3}, y); }, "at row 2, column 1");
  }
  EXPECT_EQ(logits_of(model, x), before);
}

TEST(Softmax, WrongUses) { expect_wrong_uses_refused(softmax_regression(2)); }
TEST(Committee, WrongUses) { expect_wrong_uses_refused(bootstrap_committee(3, 2, 1)); }

TEST(Softmax, MoreParametersThanAnIntAreRefusedBeforeAnythingIsRead) {
  softmax_regression model(4);
  const float unread = 0;
  const std::int32_t label = 0;
  expect_refused<shape_error>([&] { model.fit({&unread, 1, index_t(1) << 29}, {&label, 1}); }, "536870912");
}

TEST(Committee, AMemberIsAFitOnItsResample) {
  const auto p = random_problem(90, 6, 4);
  const std::uint64_t seed = 42;
  bootstrap_committee committee(3, 4, seed, {.l2 = double(p.l2)});
  committee.fit(features_of(p), labels_of(p));
  for (std::uint64_t m = 0; m < 3; ++m) {
    softmax_problem resample{90, 6, 4, {}, {}, p.l2};
    for (std::uint64_t i = 0; i < 90; ++i) {
      const auto row = std::size_t(random_unit(seed, stream{4}, m * 0x100000000 + i) * 90);
      resample.x.insert(resample.x.end(), p.x.begin() + std::ptrdiff_t(row * 6),
                        p.x.begin() + std::ptrdiff_t(row * 6 + 6));
      resample.y.push_back(p.y[row]);
    }
    auto alone = fitted_on(resample);
    EXPECT_EQ(committee.member(index_t(m)).parameters(), alone.parameters()) << m;
    const auto together = logits_of(committee, features_of(p)), own = logits_of(alone, features_of(p));
    EXPECT_TRUE(std::equal(own.begin(), own.end(), together.begin() + std::ptrdiff_t(m * own.size()))) << m;
  }
}

TEST(Committee, MembersAndSeedsDiffer) {
  const auto p = random_problem(90, 6, 4);
  bootstrap_committee committee(2, 4, 1), other(2, 4, 2);
  committee.fit(features_of(p), labels_of(p));
  other.fit(features_of(p), labels_of(p));
  EXPECT_NE(committee.member(0).parameters(), committee.member(1).parameters());
  EXPECT_NE(committee.member(0).parameters(), other.member(0).parameters());
}

TEST(Committee, DependsOnNoThreadCount) {
  const auto p = random_problem(150, 6, 4);
  const int threads_before = omp_get_max_threads();
  std::vector<float> first;
  for (const int threads : {1, 2, 5}) {
    omp_set_num_threads(threads);
    bootstrap_committee committee(5, 4, 9);
    committee.fit(features_of(p), labels_of(p));
    const auto z = logits_of(committee, features_of(p));
    if (first.empty()) first = z;
    EXPECT_EQ(z, first) << threads;
  }
  omp_set_num_threads(threads_before);
}

}  // namespace
}  // namespace poolwise
