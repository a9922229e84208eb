// Scores by a linear model of the labelled rows, against models that are fitted anew.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/query/select.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr index_t rows = 40, features = 5;

struct labelled_pool {
  std::vector<float> embeddings = reference::normals(rows * features, 1),
                     labels = std::vector<float>(rows, NAN);
  std::vector<index_t> labelled = {3, 8, 11, 20, 21, 30, 39}, excluded = {0, 5};
  pool_inputs pool;

  labelled_pool() {
    for (const index_t i : labelled) labels[std::size_t(i)] = float(i % 3);
    labels[21] = NAN;  // nobody knows yet
  }
  const pool_inputs& view() {
    pool.rows = rows;
    pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    pool.labels = {labels.data(), rows};
    pool.labelled = labelled;
    pool.excluded = excluded;
    return pool;
  }
  VectorXd h(index_t i) const {
    VectorXd row(features + 1);
    for (index_t f = 0; f < features; ++f) row[f] = double(embeddings[std::size_t(i * features + f)]);
    row[features] = 1;
    return row;
  }
  std::vector<index_t> others() const {
    std::vector<index_t> list;
    for (index_t i = 0; i < rows; ++i)
      if (std::find(labelled.begin(), labelled.end(), i) == labelled.end() &&
          std::find(excluded.begin(), excluded.end(), i) == excluded.end())
        list.push_back(i);
    return list;
  }
};

/// The mean loss of some rows by a classifier that is fitted to `known`, of 3 classes.
double loss_of(const labelled_pool& of, const std::vector<std::pair<index_t, index_t>>& known, double lambda,
               bool logarithmic, VectorXd* chance = nullptr, index_t of_row = 0) {
  MatrixXd a = MatrixXd::Identity(features + 1, features + 1) * lambda, b = MatrixXd::Zero(features + 1, 3);
  for (const auto& [row, label] : known) {
    VectorXd target = VectorXd::Constant(3, -1.0 / 3);
    target[label] += 1;
    a += of.h(row) * of.h(row).transpose();
    b += of.h(row) * target.transpose();
  }
  const MatrixXd w = a.fullPivLu().solve(b);
  const auto p_of = [&](index_t row) {
    VectorXd p = ((w.transpose() * of.h(row)).array() + 1.0 / 3).max(0).matrix();
    return VectorXd(p / p.sum());
  };
  if (chance != nullptr) *chance = p_of(of_row);
  double sum = 0;
  for (const index_t u : of.others()) {
    const VectorXd p = p_of(u);
    double entropy = 0;
    for (index_t c = 0; c < 3; ++c) entropy -= p[c] > 0 ? p[c] * std::log(p[c]) : 0;
    sum += logarithmic ? entropy : 1 - p.maxCoeff();
  }
  return sum / double(of.others().size());
}

TEST(ExpectedError, IsThatOfModelsFittedAnewWithEveryLabel) {
  labelled_pool of;
  std::vector<std::pair<index_t, index_t>> known;
  for (const index_t i : of.labelled)
    if (i != 21) known.emplace_back(i, index_t(of.labels[std::size_t(i)]));
  for (const bool logarithmic : {false, true})
    for (const double lambda : {0.01, 2.0}) {
      const std::string name = "eer(lambda=" + std::to_string(lambda) + (logarithmic ? ", log=1)" : ")");
      const batch all = select(cpu{}, of.view(), {.strategy = name, .batch = rows});
      ASSERT_EQ(all.picks.size(), of.others().size());
      const double now = loss_of(of, known, lambda, logarithmic);
      for (const pick& p : all.picks) {
        VectorXd chance;
        loss_of(of, known, lambda, logarithmic, &chance, p.row);
        double later = 0;
        for (index_t y = 0; y < 3; ++y) {
          auto more = known;
          more.emplace_back(p.row, y);
          later += chance[y] * loss_of(of, more, lambda, logarithmic);
        }
        EXPECT_NEAR(p.score, now - later, 1e-6) << p.row;
      }
      for (int threads : {1, 3}) {
        const batch again = select(cpu{threads}, of.pool, {.strategy = name, .batch = 9});
        for (std::size_t i = 0; i < 9; ++i) {
          EXPECT_EQ(again.picks[i].row, all.picks[i].row);
          EXPECT_EQ(again.picks[i].score, all.picks[i].score);
        }
      }
    }
}

TEST(ExpectedError, ADrawnSampleStandsForAllRows) {
  labelled_pool of;
  const auto scored = [&](const char* name, std::uint64_t seed) {
    const batch all = select(cpu{}, of.view(), {.strategy = name, .batch = rows, .seed = seed});
    std::vector<double> scores(rows, 0.0);
    for (const pick& p : all.picks) scores[std::size_t(p.row)] = double(p.score);
    return scores;
  };
  const std::vector<double> whole = scored("eer(log=1)", 0);
  EXPECT_EQ(scored("eer(log=1, sample=31)", 5), whole);  // as many as there are
  EXPECT_NE(scored("eer(log=1, sample=9)", 1), scored("eer(log=1, sample=9)", 2));
  // Draws of nine rows: their mean over seeds is that of all rows, within five of its deviations.
  constexpr int seeds = 60;
  std::vector<double> sum(rows, 0.0), squares(rows, 0.0);
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const std::vector<double> drawn = scored("eer(log=1, sample=9)", seed);
    for (std::size_t i = 0; i < rows; ++i) sum[i] += drawn[i], squares[i] += drawn[i] * drawn[i];
  }
  for (std::size_t i = 0; i < rows; ++i) {
    const double mean = sum[i] / seeds, deviation = std::sqrt(std::max(0.0, squares[i] / seeds - mean * mean));
    EXPECT_NEAR(mean, whole[i], 5 * deviation / std::sqrt(double(seeds)) + 1e-9) << i;
  }
}

TEST(ExpectedError, OfNoLabelAndOfLabelsThatAreNoClasses) {
  labelled_pool of;
  of.labelled.clear();
  of.view();
  of.pool.labels = {};
  EXPECT_EQ(select(cpu{}, of.pool, {.strategy = "eer", .batch = 5}).picks.size(), 5u);
  labelled_pool wrong;
  const auto refused = [&](const char* text) {
    reference::expect_refused<value_error>(
        [&] { select(cpu{}, wrong.view(), {.strategy = "eer", .batch = 3}); }, text);
  };
  wrong.labels[8] = 0.5f;
  refused("labelled row number 1 is 0.5");
  wrong.labels[8] = -1;
  refused("give classes as whole numbers from 0");
  wrong.labels[8] = 1;
  wrong.embeddings[8 * features] = INFINITY;
  refused("labelled row 8 has an embedding that is not finite");
  wrong.embeddings[8 * features] = 3e38f;
  wrong.embeddings[9 * features] = NAN;
  refused("row 9 has an embedding that is not finite");
  wrong.view();
  wrong.pool.labels = {};
  reference::expect_refused<usage_error>([&] { select(cpu{}, wrong.pool, {.strategy = "eer", .batch = 3}); },
                                         "needs the labels of the labelled rows");
  wrong.pool.labels = {wrong.labels.data(), 5};
  reference::expect_refused<shape_error>([&] { select(cpu{}, wrong.pool, {.strategy = "margin", .batch = 3}); },
                                         "labels have 5 rows");
}

TEST(ExpectedVariance, IsThatOfPosteriorsWithEveryRowMore) {
  labelled_pool of;
  const double lambda = 0.5;
  MatrixXd known = MatrixXd::Identity(features + 1, features + 1) * lambda;
  for (const index_t i : of.labelled) known += of.h(i) * of.h(i).transpose();
  const auto variance = [&](const MatrixXd& precision, index_t u) {
    return of.h(u).dot(precision.fullPivLu().solve(of.h(u)));
  };
  const batch reduced = select(cpu{}, of.view(), {.strategy = "evr(lambda=0.5)", .batch = rows});
  const batch diverged =
      select(cpu{}, of.view(), {.strategy = "kl_divergence_maximisation(lambda=0.5)", .batch = rows});
  ASSERT_EQ(reduced.picks.size(), of.others().size());
  ASSERT_EQ(diverged.picks.size(), of.others().size());
  for (const pick& p : reduced.picks) {
    const MatrixXd later = known + of.h(p.row) * of.h(p.row).transpose();
    double fall = 0;
    for (const index_t u : of.others()) fall += variance(known, u) - variance(later, u);
    EXPECT_NEAR(p.score, fall / double(of.others().size()), 1e-6) << p.row;
  }
  // N(m', v') from N(m, v), where the mean of (m' - m)^2 is v - v': its divergence is ln(v / v') / 2.
  for (const pick& p : diverged.picks) {
    const MatrixXd later = known + of.h(p.row) * of.h(p.row).transpose();
    double sum = 0;
    for (const index_t u : of.others())
      sum += std::log((1 + variance(known, u)) / (1 + variance(later, u))) / 2;
    EXPECT_NEAR(p.score, sum / double(of.others().size()), 1e-6) << p.row;
  }
}

// More features than a block of the factor holds.
TEST(ExpectedVariance, OfManyFeatures) {
  constexpr index_t few = 60, many = 131;
  const std::vector<float> embeddings = reference::normals(few * many, 4);
  pool_inputs pool;
  pool.rows = few;
  pool.embeddings = matrix_view<const float>{embeddings.data(), few, many};
  const std::vector<index_t> labelled = {1, 2, 3};
  pool.labelled = labelled;
  MatrixXd x(few, many + 1);
  for (index_t i = 0; i < few; ++i)
    for (index_t f = 0; f <= many; ++f) x(i, f) = f < many ? double(embeddings[std::size_t(i * many + f)]) : 1;
  const MatrixXd a =
      MatrixXd::Identity(many + 1, many + 1) + x.middleRows(1, 3).transpose() * x.middleRows(1, 3);
  const MatrixXd k = x * a.fullPivLu().solve(x.transpose());
  const batch all = select(cpu{}, pool, {.strategy = "evr", .batch = few});
  for (const pick& p : all.picks) {
    double sum = k(p.row, 0) * k(p.row, 0);
    for (index_t u = 4; u < few; ++u) sum += k(p.row, u) * k(p.row, u);
    const double expected = sum / (few - 3) / (1 + k(p.row, p.row));
    EXPECT_NEAR(p.score, expected, 1e-6 * expected) << p.row;
  }
}

}  // namespace
}  // namespace poolwise
