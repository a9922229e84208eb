// Principal components against Jacobi rotations in long double.
#include "poolwise/learn/pca.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"
#include "reference/jacobi.hpp"

namespace poolwise {
namespace {

constexpr float epsilon = std::numeric_limits<float>::epsilon();

/// Columns of falling spread about different centres, mixed with their neighbours.
std::vector<float> random_pool(index_t rows, index_t cols, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x;
  for (index_t i = 0; i < rows; ++i) {
    float before = 0;
    for (index_t j = 0; j < cols; ++j) {
      before = 0.3f * before + normal(engine) / float(1 + j);
      x.push_back(before + float(j));
    }
  }
  return x;
}

matrix_view<const float> view(const std::vector<float>& x, index_t cols) {
  return {x.data(), index_t(x.size()) / cols, cols};
}

std::vector<long double> covariance(matrix_view<const float> x) {
  const auto n = std::size_t(x.cols);
  std::vector<long double> mean(n), result(n * n);
  for (index_t i = 0; i < x.rows; ++i)
    for (index_t j = 0; j < x.cols; ++j) mean[std::size_t(j)] += x(i, j) / (long double)(x.rows);
  for (index_t i = 0; i < x.rows; ++i)
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t k = 0; k < n; ++k)
        result[j * n + k] +=
            (x(i, index_t(j)) - mean[j]) * (x(i, index_t(k)) - mean[k]) / (long double)(x.rows);
  return result;
}

class PcaShapes : public testing::TestWithParam<std::pair<index_t, index_t>> {};

TEST_P(PcaShapes, EveryComponentIsAnEigenvectorInOrder) {
  const auto [rows, cols] = GetParam();
  const auto pool = random_pool(rows, cols, 7);
  const auto x = view(pool, cols);
  const pca fitted = fit_pca(x, cols);
  const auto n = std::size_t(cols);
  const auto matrix = covariance(x);
  const auto values = reference::eigenvalues(matrix, n);
  ASSERT_EQ(fitted.components.size(), n * n);
  for (std::size_t k = 0; k < n; ++k) {
    // Double rounding moves an eigenvalue by about n 2^-52 of the largest, its root by slack / root or by
    // sqrt(slack), whichever is less; fp32 rounds that.
    const double slack = double(values[0]) * double(n) * 1e-15;
    const double root = std::sqrt(std::max(0.0, double(values[k])));
    EXPECT_NEAR(fitted.deviation[k], root, std::min(slack / root, std::sqrt(slack)) + epsilon * root) << k;
    // The components are rounded to fp32: each entry by half an ulp of at most 1.
    const float* v = fitted.components.data() + k * n;
    for (std::size_t i = 0; i < n; ++i) {
      long double product = 0;
      for (std::size_t j = 0; j < n; ++j) product += matrix[i * n + j] * v[j];
      EXPECT_NEAR(double(product), double(values[k] * v[i]), double(values[0]) * double(n) * epsilon) << k;
    }
    for (std::size_t other = 0; other <= k; ++other) {
      long double product = 0;
      for (std::size_t j = 0; j < n; ++j) product += v[j] * fitted.components[other * n + j];
      EXPECT_NEAR(double(product), other == k ? 1.0 : 0.0, 2 * epsilon * std::sqrt(double(n)));
    }
    const auto largest = std::max_element(v, v + n, [](float a, float b) { return std::abs(a) < std::abs(b); });
    EXPECT_GT(*largest, 0) << k;
  }
}

// 1024 rows make a block of the covariance.
INSTANTIATE_TEST_SUITE_P(Shapes, PcaShapes,
                         testing::Values(std::pair{2, 1}, std::pair{2, 3}, std::pair{9, 7}, std::pair{40, 8},
                                         std::pair{17, 31}, std::pair{100, 33}, std::pair{1023, 5},
                                         std::pair{1024, 5}, std::pair{1025, 5}, std::pair{2100, 16}));

TEST(Pca, PointsOnALine) {
  const std::vector<float> x{0, 0, -3, -4, -6, -8};
  const pca fitted = fit_pca(view(x, 2), 2);
  EXPECT_EQ(fitted.mean, (std::vector<float>{-3, -4}));
  EXPECT_NEAR(fitted.components[0], 0.6, epsilon);
  EXPECT_NEAR(fitted.components[1], 0.8, epsilon);
  EXPECT_NEAR(fitted.deviation[0], std::sqrt(50.0 / 3), 4 * epsilon);
  EXPECT_NEAR(fitted.deviation[1], 0.0, 1e-7);  // the root of a rounding error of 50/3 in double
}

TEST(Pca, KeepingFewerIsAPrefix) {
  const auto pool = random_pool(50, 9, 3);
  const pca all = fit_pca(view(pool, 9), 9), some = fit_pca(view(pool, 9), 4);
  EXPECT_EQ(some.components, std::vector<float>(all.components.begin(), all.components.begin() + 4 * 9));
  EXPECT_EQ(some.deviation, std::vector<float>(all.deviation.begin(), all.deviation.begin() + 4));
}

// In fp32 the mean square of the first column has an ulp of 65536, and its variance is 1/4.
TEST(Pca, AFarCentreDoesNotDrownTheVariance) {
  std::vector<float> x;
  for (int i = 0; i < 3000; ++i) x.insert(x.end(), {1e6f + float(i % 2), 0.0f});
  const pca fitted = fit_pca(view(x, 2), 1);
  EXPECT_FLOAT_EQ(fitted.deviation[0], 0.5f);
  EXPECT_EQ(fitted.components, (std::vector<float>{1, 0}));
}

TEST(Pca, APoolOfEqualRowsHasNoVariance) {
  std::vector<float> x;
  for (int i = 0; i < 10; ++i) x.insert(x.end(), {1.0f, -2.0f, 3.0f});
  const pca fitted = fit_pca(view(x, 3), 3);
  EXPECT_EQ(fitted.deviation, (std::vector<float>{0, 0, 0}));
  std::vector<float> out(30, -1);
  fitted.transform(view(x, 3), {out.data(), 10, 3});
  EXPECT_EQ(out, std::vector<float>(30, 0.0f));
}

TEST(Pca, DenormalAndHugeValues) {
  for (const float scale : {1e-41f, 1e38f}) {
    const std::vector<float> x{scale, 0, -scale, 0, scale, 0, -scale, 0};
    const pca fitted = fit_pca(view(x, 2), 1);
    EXPECT_NEAR(fitted.deviation[0] / scale, 1.0f, 1e-3) << scale;  // a denormal has few bits
    EXPECT_EQ(fitted.components, (std::vector<float>{1, 0})) << scale;
  }
}

TEST(Pca, EqualInputGivesEqualBits) {
  const auto pool = random_pool(1500, 20, 5);
  const pca once = fit_pca(view(pool, 20), 20), again = fit_pca(view(pool, 20), 20);
  EXPECT_EQ(once.components, again.components);
  EXPECT_EQ(once.deviation, again.deviation);
}

TEST(Pca, TheStrideIsHonoured) {
  const auto pool = random_pool(30, 5, 5);
  std::vector<float> padded(30 * 8, NAN), out(30 * 3), padded_out(30 * 7, -1);
  for (int i = 0; i < 30; ++i) std::copy_n(pool.data() + i * 5, 5, padded.data() + i * 8);
  const matrix_view<const float> wide{padded.data(), 30, 5, 8};
  const pca plain = fit_pca(view(pool, 5), 3), strided = fit_pca(wide, 3);
  EXPECT_EQ(plain.components, strided.components);
  plain.transform(view(pool, 5), {out.data(), 30, 3});
  plain.transform(wide, {padded_out.data(), 30, 3, 7});
  for (int i = 0; i < 30; ++i)
    for (int k = 0; k < 7; ++k) EXPECT_EQ(padded_out[i * 7 + k], k < 3 ? out[i * 3 + k] : -1);
}

TEST(PcaTransform, ProjectsCentredRows) {
  for (const index_t kept : {1, 7, 8, 15, 16, 17, 31, 32, 33}) {
    const index_t cols = 33, rows = 300;
    const auto pool = random_pool(rows, cols, 11);
    const auto x = view(pool, cols);
    const pca fitted = fit_pca(x, kept);
    std::vector<float> out(std::size_t(rows * kept));
    fitted.transform(x, {out.data(), rows, kept});
    for (index_t i = 0; i < rows; ++i)
      for (index_t k = 0; k < kept; ++k) {
        long double exact = 0, size = 0;
        for (index_t j = 0; j < cols; ++j) {
          const long double term = (x(i, j) - (long double)(fitted.mean[std::size_t(j)])) *
                                   fitted.components[std::size_t(k * cols + j)];
          exact += term;
          size += std::abs(term);
        }
        // One rounding to centre, one to multiply, and at most `cols` sums, each half an ulp of `size`.
        EXPECT_NEAR(out[std::size_t(i * kept + k)], double(exact),
                    double(size) * double(cols + 2) * epsilon / 2);
      }
  }
}

TEST(PcaTransform, ARowDependsOnItselfAlone) {
  const index_t cols = 20, kept = 9, rows = 600;
  const auto pool = random_pool(rows, cols, 2);
  const pca fitted = fit_pca(view(pool, cols), kept);
  std::vector<float> together(std::size_t(rows * kept));
  fitted.transform(view(pool, cols), {together.data(), rows, kept});
  for (index_t i = 0; i < rows; ++i) {
    std::vector<float> alone(std::size_t(kept), NAN);
    fitted.transform({pool.data() + i * cols, 1, cols}, {alone.data(), 1, kept});
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + i * kept)) << i;
  }
  const int threads_before = omp_get_max_threads();
  for (const int threads : {1, 2, 5}) {
    omp_set_num_threads(threads);
    std::vector<float> out(together.size());
    fitted.transform(view(pool, cols), {out.data(), rows, kept});
    EXPECT_EQ(out, together) << threads;
  }
  omp_set_num_threads(threads_before);
}

TEST(PcaTransform, ANaNStaysInItsRow) {
  const auto pool = random_pool(10, 4, 2);
  const pca fitted = fit_pca(view(pool, 4), 2);
  auto bad = pool;
  bad[4] = NAN;
  std::vector<float> good_out(20), bad_out(20);
  fitted.transform(view(pool, 4), {good_out.data(), 10, 2});
  fitted.transform(view(bad, 4), {bad_out.data(), 10, 2});
  for (std::size_t i = 0; i < 20; ++i)
    if (i / 2 == 1)
      EXPECT_TRUE(std::isnan(bad_out[i]));
    else
      EXPECT_EQ(bad_out[i], good_out[i]);
}

TEST(PcaTransform, OfNoRowsIsNothing) {
  const auto pool = random_pool(10, 4, 2);
  EXPECT_NO_THROW(fit_pca(view(pool, 4), 2).transform({nullptr, 0, 4}, {nullptr, 0, 2}));
}

using reference::expect_refused;

TEST(Pca, WrongUses) {
  auto pool = random_pool(10, 4, 2);
  const auto x = view(pool, 4);
  expect_refused<shape_error>([&] { fit_pca({pool.data(), 1, 4}, 1); }, "1 rows");
  expect_refused<shape_error>([&] { fit_pca({nullptr, 0, 4}, 1); }, "0 rows");
  expect_refused<shape_error>([&] { fit_pca(x, 0); }, "0 components of 4");
  expect_refused<shape_error>([&] { fit_pca(x, 5); }, "5 components of 4");
  expect_refused<shape_error>([&] { fit_pca({pool.data(), 10, 0}, 1); }, "1 components of 0");
  const pca fitted = fit_pca(x, 2);
  std::vector<float> out(20);
  expect_refused<shape_error>([&] { fitted.transform(view(pool, 5), {out.data(), 8, 2}); }, "5 columns");
  expect_refused<shape_error>([&] { fitted.transform(x, {out.data(), 10, 1}); }, "[10, 1]; pass [10, 2]");
  expect_refused<shape_error>([&] { fitted.transform(x, {out.data(), 9, 2}); }, "[9, 2]; pass [10, 2]");
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    pool[4 * 6 + 3] = bad;
    expect_refused<value_error>([&] { fit_pca(x, 1); }, "at row 6, column 3");
  }
}

}  // namespace
}  // namespace poolwise
