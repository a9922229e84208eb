// Two-class models, against a closed form, a slow solver, and the conditions of their optimum.
#include "poolwise/learn/binary_classifier.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using values = std::vector<double>;
using rows_list = std::vector<index_t>;
using labels = std::vector<std::int32_t>;

values decisions(const binary_classifier& model, index_t first, index_t count) {
  values out(static_cast<std::size_t>(count));
  model.decide(first, {out.data(), count});
  return out;
}

struct problem {
  values x;
  labels y;
  index_t rows, cols;
  matrix_view<const double> view() const { return {x.data(), rows, cols}; }
};

/// Two clouds that overlap.
problem clouds(index_t rows, index_t cols, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  problem p{{}, {}, rows, cols};
  for (index_t i = 0; i < rows; ++i) {
    p.y.push_back(std::int32_t(i % 3 == 0));
    for (index_t j = 0; j < cols; ++j) p.x.push_back(normal(random) + (i % 3 == 0 ? 1.0 : 0.0));
  }
  return p;
}

rows_list first_rows(index_t count) {
  rows_list rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), index_t(0));
  return rows;
}

/// The dual by pairs: maximise sum a - a'Qa/2 under 0 <= a <= c and y'a = 0, every pair in turn, until nothing
/// moves.
values svm_by_pairs(const problem& p, double c, double gamma) {
  const auto n = std::size_t(p.rows);
  const auto kernel = [&](std::size_t a, std::size_t b) {
    long double sum = 0;
    for (index_t j = 0; j < p.cols; ++j) {
      const long double d = p.view()(index_t(a), j) - p.view()(index_t(b), j);
      sum += d * d;
    }
    return std::exp(-gamma * sum);
  };
  const auto sign = [&](std::size_t i) { return p.y[i] == 1 ? 1.0L : -1.0L; };
  std::vector<long double> a(n, 0), f(n, 0);  // f without the bias
  for (int sweep = 0; sweep < 2000; ++sweep) {
    long double moved = 0;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < i; ++j) {
        const long double curvature = 2 - 2 * kernel(i, j);
        long double step = ((sign(i) - f[i]) - (sign(j) - f[j])) / curvature;  // of sign(i) a[i], against j
        const auto room = [&](std::size_t k, long double direction) {
          return direction * sign(k) > 0 ? c - a[k] : a[k];
        };
        const long double most =
            step > 0 ? std::min(room(i, 1), room(j, -1)) : std::min(room(i, -1), room(j, 1));
        step = std::clamp(step, -most, most);
        a[i] += sign(i) * step;
        a[j] -= sign(j) * step;
        for (std::size_t k = 0; k < n; ++k) f[k] += step * (kernel(i, k) - kernel(j, k));
        moved += std::abs(step);
      }
    if (moved < 1e-9L) break;
  }
  // The bias lies where a free support vector has the decision of its sign.
  long double bias = 0;
  int free = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (a[i] > 1e-6L && a[i] < c - 1e-6L) {
      bias += sign(i) - f[i];
      ++free;
    }
  EXPECT_GT(free, 0);
  values out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(double(f[i] + bias / free));
  return out;
}

TEST(RbfSvm, OfTwoPoints) {
  // Both a are at the bound 1, for 1 / (1 - exp(-2)) is above it; the bias is 0 by symmetry.
  const values x{-1, 1, 0, 0.5};
  const auto model = make_rbf_svm({x.data(), 4, 1}, {1, .5});
  for (const auto& [rows, y] :
       {std::pair{rows_list{0, 1}, labels{0, 1}}, std::pair{rows_list{1, 0}, labels{1, 0}}}) {
    model->fit(rows, y);
    const auto got = decisions(*model, 0, 4);
    EXPECT_NEAR(got[0], std::exp(-2) - 1, 1e-12);
    EXPECT_NEAR(got[1], 1 - std::exp(-2), 1e-12);
    EXPECT_NEAR(got[2], 0, 1e-12);
    EXPECT_NEAR(got[3], std::exp(-.125) - std::exp(-1.125), 1e-12);
  }
}

TEST(RbfSvm, AgreesWithASlowSolver) {
  for (const unsigned seed : {1u, 2u, 3u}) {
    const problem p = clouds(24, 3, seed);
    const auto expected = svm_by_pairs(p, 1, 1.0 / 3);
    const auto model = make_rbf_svm(p.view());
    model->fit(first_rows(p.rows), p.y);
    const auto got = decisions(*model, 0, p.rows);
    // LIBSVM stops where the conditions of the optimum hold within 1e-3.
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 5e-3) << seed << " " << i;
  }
}

TEST(RbfSvm, TheTableChangesNoBit) {
  const problem p = clouds(90, 5, 7);
  const auto tabled = make_rbf_svm(p.view()), bare = make_rbf_svm(p.view(), {1, 0, 0});
  std::mt19937 random(3);
  auto rows = first_rows(p.rows);
  for (const std::size_t count : {20u, 33u, 60u, 90u}) {
    std::shuffle(rows.begin(), rows.end(), random);
    labels y;
    for (std::size_t k = 0; k < count; ++k) y.push_back(p.y[std::size_t(rows[k])]);
    tabled->fit(std::span(rows).first(count), y);
    bare->fit(std::span(rows).first(count), y);
    EXPECT_EQ(decisions(*tabled, 0, p.rows), decisions(*bare, 0, p.rows)) << count;
    EXPECT_EQ(decisions(*tabled, 50, 7), decisions(*bare, 50, 7)) << count;
  }
}

TEST(RbfSvm, AFitForgetsTheOneBefore) {
  const problem p = clouds(40, 2, 5);
  const auto once = make_rbf_svm(p.view()), twice = make_rbf_svm(p.view());
  twice->fit(rows_list{0, 1, 2}, labels{1, 0, 0});
  for (auto* model : {once.get(), twice.get()}) model->fit(first_rows(p.rows), p.y);
  EXPECT_EQ(decisions(*once, 0, p.rows), decisions(*twice, 0, p.rows));
}

TEST(LogisticRegression, EndsWhereTheGradientDoes) {
  const values x{0, 1, -2, 0.5, 3, -1, 0.25};
  const labels y{0, 1, 0, 1, 1, 0, 0};
  for (const double c : {1.0, 0.1, 30.0}) {
    const auto model = make_logistic_regression({x.data(), index_t(x.size()), 1}, c);
    model->fit(first_rows(7), y);
    const auto got = decisions(*model, 0, 7);
    const double b = got[0], w = got[1] - got[0];
    double by_w = w, by_b = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(got[i], w * x[i] + b, 1e-5 * (1 + std::abs(got[i])));  // fp32 logits
      const double wrong = c * (1 / (1 + std::exp(-got[i])) - y[i]);
      by_w += wrong * x[i];
      by_b += wrong;
    }
    EXPECT_NEAR(by_w, 0, 1e-4 * (1 + c)) << c;
    EXPECT_NEAR(by_b, 0, 1e-4 * (1 + c)) << c;
  }
}

TEST(BinaryClassifier, WrongUses) {
  const values x{0, 1, 2, 3}, bad{0, NAN};
  const matrix_view<const double> view{x.data(), 4, 1};
  expect_refused<value_error>([&] { make_binary_classifier("tree", view); }, "\"tree\"");
  expect_refused<value_error>([&] { make_rbf_svm(view, {0, 1}); }, "c is 0");
  expect_refused<value_error>([&] { make_rbf_svm(view, {1, -1}); }, "gamma -1");
  expect_refused<value_error>([&] { make_rbf_svm(view, {INFINITY, 1}); }, "c is inf");
  expect_refused<value_error>([&] { make_logistic_regression(view, -1); }, "c is -1");
  for (const char* name : {"svm", "lr"}) {
    SCOPED_TRACE(name);
    expect_refused<value_error>(
        [&] {
          make_binary_classifier(name, {bad.data(), 2, 1});
        },
        "nan at row 1, column 0");
    expect_refused<shape_error>([&] { make_binary_classifier(name, {x.data(), 0, 1}); }, "[0, 1]");
    const auto model = make_binary_classifier(name, view);
    values out(2);
    expect_refused<error>([&] { model->decide(0, {out.data(), 2}); }, "call fit first");
    expect_refused<shape_error>([&] { model->fit({}, {}); }, "0 rows and 0 labels");
    expect_refused<shape_error>([&] { model->fit(rows_list{0, 1}, labels{0}); }, "2 rows and 1 labels");
    expect_refused<value_error>([&] { model->fit(rows_list{0, 4}, labels{0, 1}); }, "no row 4");
    expect_refused<value_error>([&] { model->fit(rows_list{0, -1}, labels{0, 1}); }, "no row -1");
    expect_refused<value_error>([&] { model->fit(rows_list{0, 1}, labels{0, 2}); }, "label 2 of row 1");
    expect_refused<value_error>([&] { model->fit(rows_list{0, 1}, labels{1, 1}); }, "all labels are 1");
    model->fit(rows_list{0, 3}, labels{0, 1});
    expect_refused<shape_error>([&] { model->decide(3, {out.data(), 2}); }, "2 rows from 3 on");
    expect_refused<shape_error>([&] { model->decide(-1, {out.data(), 2}); }, "from -1 on");
    const auto got = decisions(*model, 0, 4);
    EXPECT_LT(got[0], 0);
    EXPECT_GT(got[3], 0);
    EXPECT_TRUE(decisions(*model, 4, 0).empty());
  }
}

}  // namespace
}  // namespace poolwise
