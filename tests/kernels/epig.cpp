// Expected predictive information gain against its definition in long double.
#include "poolwise/committee/epig.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

/// Members' outputs, [members][rows, cols], as logits or as their softmax.
struct member_outputs {
  index_t rows, cols;
  std::vector<std::vector<float>> each;

  member_outputs(index_t members, index_t rows_, index_t cols_, std::uint32_t seed, float scale = 2)
      : rows(rows_), cols(cols_) {
    for (index_t e = 0; e < members; ++e) {
      each.push_back(reference::normals(rows * cols, seed + std::uint32_t(e)));
      for (float& z : each.back()) z *= scale;
    }
  }
  std::vector<real_matrix> views() const {
    std::vector<real_matrix> all;
    for (const auto& one : each) all.push_back(matrix_view<const float>{one.data(), rows, cols});
    return all;
  }
  std::vector<long double> distribution(std::size_t e, index_t row) const {
    std::vector<long double> p;
    long double sum = 0;
    for (index_t c = 0; c < cols; ++c) {
      p.push_back(std::exp((long double)each[e][std::size_t(row * cols + c)]));
      sum += p.back();
    }
    for (long double& one : p) one /= sum;
    return p;
  }
};

long double reference_epig(const member_outputs& x, const member_outputs& targets, index_t row) {
  const std::size_t members = x.each.size(), cols = std::size_t(x.cols);
  long double total = 0;
  for (index_t t = 0; t < targets.rows; ++t) {
    std::vector<long double> joint(cols * cols), mine(cols), theirs(cols);
    for (std::size_t e = 0; e < members; ++e) {
      const auto p = x.distribution(e, row), q = targets.distribution(e, t);
      for (std::size_t y = 0; y < cols; ++y)
        for (std::size_t z = 0; z < cols; ++z) joint[y * cols + z] += p[y] * q[z] / (long double)(members);
    }
    for (std::size_t y = 0; y < cols; ++y)
      for (std::size_t z = 0; z < cols; ++z) mine[y] += joint[y * cols + z], theirs[z] += joint[y * cols + z];
    for (std::size_t y = 0; y < cols; ++y)
      for (std::size_t z = 0; z < cols; ++z)
        if (const long double both = joint[y * cols + z]; both > 0)
          total += both * std::log(both / (mine[y] * theirs[z]));
  }
  return total / (long double)(targets.rows);
}

std::vector<float> scores_of(const member_outputs& x, const member_outputs& targets, cpu on = {}) {
  std::vector<float> scores(std::size_t(x.rows), -7.0f);
  epig(on, x.views(), targets.views(), outputs::logits, {scores.data(), x.rows});
  return scores;
}

TEST(Epig, IsTheMeanMutualInformationWithTheTargetsLabels) {
  for (const index_t cols : {2, 7, 8, 9, 33})
    for (const index_t members : {1, 2, 5})
      for (const index_t count : {1, 11}) {
        SCOPED_TRACE(std::to_string(cols) + " classes, " + std::to_string(members) + " members");
        const member_outputs x(members, 35, cols, 1), targets(members, count, cols, 100);
        const std::vector<float> got = scores_of(x, targets);
        // Distributions are within 3e-6 relatively, and each logarithm 4e-7 of it; the joint sums to 1.
        for (index_t i = 0; i < x.rows; i += 17)
          EXPECT_NEAR(got[std::size_t(i)], double(reference_epig(x, targets, i)), 4e-6) << i;
        EXPECT_EQ(scores_of(x, targets, cpu{1}), got);
        EXPECT_EQ(scores_of(x, targets, cpu{3}), got);
      }
}

TEST(Epig, OfOneMemberOrOfSureTargetsNothingIsLearned) {
  const member_outputs one(1, 9, 4, 1), sure(3, 5, 4, 7, 0), x(3, 9, 4, 2);
  for (const float score : scores_of(one, member_outputs(1, 6, 4, 9))) EXPECT_LT(score, 1e-6f);
  for (const float score : scores_of(x, sure)) EXPECT_LT(score, 1e-6f);  // all members say the same
}

TEST(Epig, IsWhatEachTellsOfTheOther) {
  const member_outputs x(4, 1, 5, 3), targets(4, 1, 5, 50);
  EXPECT_NEAR(scores_of(x, targets)[0], scores_of(targets, x)[0], 1e-6);
}

// Labels that every member is sure of, but not of the same one: one tells the other, ln 2 nats.
TEST(Epig, OfClassesThatAreRuledOut) {
  constexpr float no = -std::numeric_limits<float>::infinity();
  member_outputs x(2, 1, 3, 1), targets(2, 2, 3, 2);
  x.each = {{0, no, no}, {no, 0, no}};
  targets.each = {{no, no, 0, 0, no, no}, {0, no, no, 0, no, no}};  // the second target is the same to both
  EXPECT_NEAR(scores_of(x, targets)[0], std::log(2.0) / 2, 1e-6);
}

TEST(Epig, NamesWhatItCannotTake) {
  member_outputs x(2, 4, 3, 1), targets(2, 5, 3, 2);
  x.each[1][4] = NAN;
  const std::vector<float> got = scores_of(x, targets);
  EXPECT_TRUE(std::isnan(got[1]));
  EXPECT_FALSE(std::isnan(got[0]) || std::isnan(got[2]));
  targets.each[0][3 * 3 + 1] = NAN;
  reference::expect_refused<value_error>([&] { scores_of(x, targets); }, "target 3 has no distribution");
  reference::expect_refused<shape_error>([&] { scores_of(x, member_outputs(3, 5, 3, 2)); }, "3 of them");
  reference::expect_refused<shape_error>([&] { scores_of(x, member_outputs(2, 5, 4, 2)); }, "one shape");
  reference::expect_refused<shape_error>([&] { scores_of(x, member_outputs(2, 0, 3, 2)); }, "no target");
}

}  // namespace
}  // namespace poolwise
