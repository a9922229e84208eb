// A perceptron: what it can learn, and that nothing but its arguments decides a fit.
#include "poolwise/learn/mlp.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using floats = std::vector<float>;
using labels = std::vector<std::int32_t>;

struct problem {
  floats x;
  labels y;
  index_t rows() const { return index_t(y.size()); }
  matrix_view<const float> view() const { return {x.data(), rows(), index_t(x.size()) / rows()}; }
};

/// Four corners of a square, opposite ones of a class, each `times` over: no line parts them.
problem corners(int times) {
  problem p;
  for (int k = 0; k < times; ++k)
    for (const int a : {0, 1})
      for (const int b : {0, 1}) {
        p.x.insert(p.x.end(), {float(a), float(b)});
        p.y.push_back(a ^ b);
      }
  return p;
}

void fit(mlp& model, const problem& p) { model.fit(p.view(), {p.y.data(), p.rows()}); }

floats logits_of(mlp& model, matrix_view<const float> x) {
  floats out(std::size_t(x.rows * model.classes()));
  model.predict(x, {out.data(), 1, x.rows, model.classes()});
  return out;
}

TEST(Mlp, LearnsWhatNoLineParts) {
  const problem p = corners(4);
  mlp model(2, 1, {.epochs = 400, .batch = 16, .learning_rate = 0.02});
  fit(model, p);
  const auto z = logits_of(model, p.view());
  double loss = 0;
  for (std::size_t i = 0; i < p.y.size(); ++i) {
    const double gap = double(z[2 * i + std::size_t(1 - p.y[i])]) - double(z[2 * i + std::size_t(p.y[i])]);
    loss += std::log1p(std::exp(gap)) / double(p.y.size());
  }
  EXPECT_LT(loss, 0.02);  // a constant opinion has ln 2
}

TEST(Mlp, AClassWithoutLabelsIsHardlyForetold) {
  const problem p = corners(4);
  mlp model(3, 1, {.epochs = 100});
  fit(model, p);
  const auto z = logits_of(model, p.view());
  for (std::size_t i = 0; i < p.y.size(); ++i) EXPECT_LT(z[3 * i + 2], std::max(z[3 * i], z[3 * i + 1]));
}

TEST(Mlp, EqualArgumentsGiveEqualBits) {
  const problem p = corners(5), other = corners(2);
  mlp one(2, 7, {.batch = 3}), again(2, 7, {.batch = 3}), sown_otherwise(2, 8, {.batch = 3});
  fit(one, p);
  fit(again, other);  // forgotten by the next fit
  fit(again, p);
  fit(sown_otherwise, p);
  EXPECT_EQ(logits_of(one, p.view()), logits_of(again, p.view()));
  EXPECT_NE(logits_of(one, p.view()), logits_of(sown_otherwise, p.view()));
}

TEST(Mlp, ARowsLogitsAreItsOwn) {
  const problem p = corners(200);
  mlp model(2, 1, {.epochs = 2});
  fit(model, p);
  const auto all = logits_of(model, p.view());
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 5}) {
    omp_set_num_threads(threads);
    EXPECT_EQ(logits_of(model, p.view()), all) << threads;
  }
  omp_set_num_threads(before);
  for (const index_t row : {0, 257, 799}) {
    const auto alone = logits_of(model, {p.view().row(row), 1, 2});
    EXPECT_EQ(alone, floats(all.begin() + 2 * row, all.begin() + 2 * row + 2)) << row;
  }
  EXPECT_TRUE(logits_of(model, {p.x.data(), 0, 2}).empty());
  const floats nan{NAN, 0};
  EXPECT_TRUE(std::isnan(logits_of(model, {nan.data(), 1, 2})[0]));
}

TEST(Mlp, WrongUses) {
  expect_refused<value_error>([] { mlp(0, 1); }, "classes are 0");
  expect_refused<value_error>([] { mlp(2, 1, {.hidden = {24, 0}}); }, "hidden layer's units are 0");
  expect_refused<value_error>([] { mlp(2, 1, {.epochs = 0}); }, "epochs are 0");
  expect_refused<value_error>([] { mlp(2, 1, {.batch = 0}); }, "batch are 0");
  expect_refused<value_error>([] { mlp(2, 1, {.learning_rate = NAN}); }, "learning_rate is nan");
  expect_refused<value_error>([] { mlp(2, 1, {.weight_decay = -1}); }, "weight_decay is -1");
  mlp model(2, 1, {.epochs = 1});
  problem p = corners(1);
  expect_refused<error>([&] { logits_of(model, p.view()); }, "mlp::predict");
  fit(model, p);
  expect_refused<shape_error>([&] { logits_of(model, {p.x.data(), 1, 3}); }, "mlp::predict");
  p.y[0] = 2;
  expect_refused<value_error>([&] { fit(model, p); }, "mlp::fit");
  p = corners(1);
  p.x[1] = INFINITY;
  expect_refused<value_error>([&] { fit(model, p); }, "mlp::fit");
}

}  // namespace
}  // namespace poolwise
