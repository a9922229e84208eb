// DPP: gains against determinants in long double; picks against a plain loop of the same arithmetic.
#include "poolwise/diverse/dpp.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/detail/models.hpp"
#include "reference/batches.hpp"
#include "reference/cpu_targets.hpp"
#include "reference/distance.hpp"
#include "reference/dpp.hpp"
#include "reference/errors.hpp"
#include "reference/narrow.hpp"

namespace poolwise {
namespace {

using reference::integer_matrix;
using reference::message_of;
using reference::normal_matrix;
using reference::picks;
using reference::rows_of;
using reference::view;
using matrix = reference::owned_rows;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> qualities(index_t rows, std::uint32_t seed) {
  std::mt19937 next(seed);
  std::vector<float> quality;
  for (index_t i = 0; i < rows; ++i) quality.push_back(float(next() % 9) / 4);
  return quality;
}

void expect_distinct_and_falling(const picks& picked) {
  reference::expect_distinct(picked);
  for (std::size_t p = 0; p < picked.size(); ++p) {
    EXPECT_TRUE(std::isfinite(picked[p].score) && picked[p].score >= 0) << picked[p].score;
    EXPECT_LE(picked[p].score, picked[p > 0 ? p - 1 : 0].score) << "pick " << p;
  }
}

reference::wide_matrix rbf_of(const matrix& x, double bandwidth) {
  reference::wide_matrix k;
  for (index_t i = 0; i < x.rows; ++i) {
    k.emplace_back();
    for (index_t j = 0; j < x.rows; ++j) {
      const auto d2 = reference::exact_squared_distance(x.row(i), x.row(j), std::size_t(x.cols));
      k.back().push_back(std::exp(-d2 / (2 * reference::wide(bandwidth) * reference::wide(bandwidth))));
    }
  }
  return k;
}

// With u = 2^-24, g_k = k u / (1 - k u), n columns, s = ceil(n / 16) and t picks before:
// - K = exp(-z) errs by g_(s+8) z K <= g_(s+8) / e for the distance, the scale and their product, and by
//   (2.5e-7 + 1.4e-8 z) K <= 2.6e-7 for exp.
// - As |c_i|, |c_j| <= 1, the factor is that of a matrix that differs by g_(t/16 + 4) for the products and by u
//   for an element's own rounding.
// If entries err by e, K(i,i) - w'K(S,i) with w = K(S,S)^-1 K(S,i) errs by e (1 + sum |w|)^2 to first order;
// the gain is rounded once to fp32. Twice that covers the second order here.
TEST(Dpp, GainsAreGrowthsOfTheDeterminant) {
  constexpr double u = 0x1p-24;
  for (const index_t cols : {1, 3, 33}) {
    SCOPED_TRACE(cols);
    const index_t rows = 60, count = cols == 1 ? 5 : 40;
    const matrix x = normal_matrix(rows, cols, 1);
    for (const bool weighted : {false, true}) {
      SCOPED_TRACE(weighted);
      const auto quality = weighted ? qualities(rows, 2) : std::vector<float>();
      const auto quality2 = [&](index_t i) {
        return weighted ? double(quality[std::size_t(i)]) * double(quality[std::size_t(i)]) : 1.0;
      };
      const double bandwidth = median_distance(cpu{1}, x);
      const auto kernel = rbf_of(x, bandwidth);
      const picks got = dpp(cpu{1}, x, {.picks = count}, view(quality));
      ASSERT_EQ(got.size(), std::size_t(count));
      expect_distinct_and_falling(got);
      std::vector<index_t> before;
      for (const candidate& pick : got) {
        const double own =
            0.37 * double((cols + 15) / 16 + 8) * u + 2.6e-7 + double(before.size() / 16 + 5) * u;
        const auto tolerance = [&](index_t i) {
          const double reach = 1 + double(reference::prediction_weight(kernel, before, i));
          return 2 * quality2(i) * own * reach * reach;
        };
        const double gain =
            quality2(pick.row) * double(reference::determinant_growth(kernel, before, pick.row));
        ASSERT_NEAR(double(pick.score), gain, tolerance(pick.row) + u * gain) << "pick " << before.size();
        for (index_t i = 0; i < rows; ++i) {
          if (std::count(before.begin(), before.end(), i) != 0 || i == pick.row) continue;
          const double other = quality2(i) * double(reference::determinant_growth(kernel, before, i));
          ASSERT_LE(other, gain + tolerance(i) + tolerance(pick.row) + u * gain) << "pick " << before.size();
        }
        before.push_back(pick.row);
      }
    }
  }
}

/// Greedy with the arithmetic that dpp.cpp defines, all rows after every pick, on the linear kernel.
picks plain_linear(const matrix& x, const allowance& limit, const std::vector<float>& quality) {
  const auto rows = std::size_t(x.rows), cols = std::size_t(x.cols);
  std::vector<std::vector<float>> factor(rows);
  std::vector<double> self(rows), variance(rows);
  std::vector<bool> gone(rows, false);
  for (std::size_t i = 0; i < rows; ++i)
    self[i] = variance[i] = double(reference::canonical_dot(x.row(index_t(i)), x.row(index_t(i)), cols));
  remaining left(limit);
  picks picked;
  while (left.picks() > 0) {
    candidate best;
    for (std::size_t i = 0; i < rows; ++i) {
      if (gone[i] || !left.eligible(index_t(i))) continue;
      const double q = quality.empty() ? 1 : double(quality[i]);
      const float gain = variance[i] <= 0x1p-16 * self[i] ? 0.0f : float(q * q * variance[i]);
      if (best.row < 0 || gain > best.score) best = {index_t(i), gain};
    }
    if (best.row < 0) break;
    picked.push_back(best);
    left.take(best.row);
    const auto p = std::size_t(best.row);
    gone[p] = true;
    if (best.score == 0) continue;
    const std::size_t t = factor[p].size(), whole = t / 16 * 16;
    const double inverse = 1 / std::sqrt(variance[p]);
    const std::vector<float> of_pick = factor[p];
    for (std::size_t i = 0; i < rows; ++i) {
      double known = double(reference::canonical_dot(x.row(index_t(i)), x.row(best.row), cols)) -
                     double(reference::canonical_dot(factor[i].data(), of_pick.data(), whole));
      for (std::size_t s = whole; s < t; ++s) known -= double(factor[i][s]) * double(of_pick[s]);
      const auto c = float(known * inverse);
      factor[i].push_back(c);
      variance[i] = std::max(0.0, variance[i] - double(c) * double(c));
    }
  }
  return picked;
}

picks in_batches(cpu on, const matrix& x, const allowance& limit, const std::vector<float>& quality,
                 dpp_kernel kernel, gain_model::width width) {
  const auto pool = dpp_model(on, x, view(quality), kernel);
  reference::narrow shortlists(*pool, width);
  return threshold_batches(shortlists, limit);
}

TEST(Dpp, PickForPickAsAPlainLoopWhateverTheShortlist) {
  std::mt19937 next(3);
  for (int trial = 0; trial < 24; ++trial) {
    SCOPED_TRACE(trial);
    const auto rows = index_t(1 + next() % 250), cols = index_t(1 + next() % 70);
    const matrix x = trial % 2 ? normal_matrix(rows, cols, next()) : integer_matrix(rows, cols, 3, next);
    const auto quality = trial & 2 ? qualities(rows, next()) : std::vector<float>();
    std::vector<std::int64_t> cost;
    std::vector<index_t> group;
    std::vector<std::uint8_t> barred;
    const std::vector<index_t> quota{9, 30, 0, 12};
    for (index_t i = 0; i < rows; ++i) {
      cost.push_back(std::int64_t(next() % 6));
      group.push_back(index_t(next() % 4));
      barred.push_back(next() % 3 == 0);
    }
    allowance limit{.picks = index_t(next() % 90)};
    if (trial & 4) limit.cost = view(cost), limit.budget = std::int64_t(next() % 200);
    if (trial & 8) limit.group = view(group), limit.quota = view(quota);
    if (trial & 16) limit.barred = view(barred);
    const picks expected = plain_linear(x, limit, quality);
    expect_distinct_and_falling(expected);
    for (const gain_model::width width : {gain_model::width{1, 1}, {1, 64}, {7, 7}, {1000, 1000}}) {
      SCOPED_TRACE(width.first);
      ASSERT_EQ(in_batches(cpu{1}, x, limit, quality, {dpp_similarity::linear}, width), expected);
    }
  }
}

TEST(Dpp, SameBitsForAnyThreadCountTargetAndShortlist) {
  matrix x = normal_matrix(500, 21, 4);
  std::copy_n(x.values.begin(), 100 * 21, x.values.begin() + 300 * 21);  // duplicates
  for (const auto& quality : {std::vector<float>(), qualities(500, 5)}) {
    const picks expected = dpp(cpu{1}, x, {.picks = 70}, view(quality));
    EXPECT_EQ(expected.size(), 70u);
    expect_distinct_and_falling(expected);
    reference::for_each_cpu_target([&] {
      for (const int threads : {1, 2, 5})
        EXPECT_EQ(dpp(cpu{threads}, x, {.picks = 70}, view(quality)), expected);
      for (const index_t width : {1, 31, 200})
        EXPECT_EQ(in_batches(cpu{2}, x, {.picks = 70}, quality, {}, {width, width}), expected);
    });
  }
}

TEST(Dpp, TakesFarFewerSweepsThanPicks) {
  batch_run counts;
  EXPECT_EQ(dpp(cpu{2}, normal_matrix(5000, 24, 6), {.picks = 200}, {}, {}, &counts).size(), 200u);
  EXPECT_GE(counts.sweeps, 2);
  EXPECT_LE(counts.sweeps, 40);
}

TEST(Dpp, GoesOnFromWhereItStood) {
  const matrix x = normal_matrix(700, 6, 11);
  const auto quality = qualities(700, 12);
  std::vector<std::int64_t> cost;
  for (index_t i = 0; i < 700; ++i) cost.push_back(1 + i % 5);
  for (const bool priced : {false, true}) {
    allowance limit{.picks = 150};
    if (priced) limit.cost = view(cost), limit.budget = 200;
    std::vector<batch_state> states;
    batch_run watched{.advanced = [&](const batch_state& state) { states.push_back(state); }};
    const picks expected = dpp(cpu{1}, x, limit, view(quality), {}, &watched);
    EXPECT_GE(states.size(), 1u);
    for (std::size_t at = 0; at <= expected.size(); at += 29)
      states.push_back({{expected.begin(), expected.begin() + index_t(at)}});
    for (const batch_state& state : states) {
      batch_run resumed{.begin = state};
      EXPECT_EQ(dpp(cpu{2}, x, limit, view(quality), {}, &resumed), expected);
    }
  }
  batch_run foreign{.begin = {{{3, 1.0f}, {3, 0.5f}}}};
  EXPECT_EQ(message_of<value_error>([&] { dpp(cpu{}, x, {.picks = 9}, {}, {}, &foreign); }),
            "dpp: cannot go on from row 3 twice; pass a state of the same selection, or begin anew");
}

TEST(Dpp, PicksLieApart) {
  std::mt19937 next(13);
  const matrix x = integer_matrix(300, 2, 8, next);
  allowance limit{.picks = 300};
  limit.apart = spacing{x, 1.0f};
  const picks got = dpp(cpu{2}, x, limit);
  EXPECT_EQ(got, in_batches(cpu{1}, x, limit, {}, {}, {7, 7}));
  expect_distinct_and_falling(got);
  for (std::size_t p = 0; p < got.size(); ++p)
    for (std::size_t q = 0; q < p; ++q)
      EXPECT_GT(canonical_squared_distance(x.row(got[p].row), x.row(got[q].row), 2), 1);
}

TEST(Dpp, FirstPickIsTheBestRowAndTiesGoToTheLower) {
  const matrix x = normal_matrix(9, 4, 7);
  EXPECT_EQ(dpp(cpu{}, x, {.picks = 1}), (picks{{0, 1.0f}}));
  const std::vector<float> quality{0, 1, 3, 2, 3, 0, 0, 0, 0};
  EXPECT_EQ(dpp(cpu{}, x, {.picks = 1}, view(quality)), (picks{{2, 9.0f}}));
}

// Equal rows have nothing left once one of them is picked; nor do more than `cols` rows of the linear kernel.
TEST(Dpp, AnExhaustedRankGoesOnByRowAtNoGain) {
  matrix x = normal_matrix(6, 5, 8);
  x.rows = 24;
  for (int copy = 0; copy < 3; ++copy) x.values.insert(x.values.end(), x.values.begin(), x.values.begin() + 30);
  const picks got = dpp(cpu{}, x, {.picks = 30});
  ASSERT_EQ(got.size(), 24u);
  expect_distinct_and_falling(got);
  for (std::size_t p = 0; p < 6; ++p) EXPECT_GT(got[p].score, 0.01f);
  for (std::size_t p = 6; p < 24; ++p) EXPECT_EQ(got[p], (candidate{index_t(p), 0.0f}));

  const picks flat = dpp(cpu{}, normal_matrix(300, 40, 9), {.picks = 60}, {}, {dpp_similarity::linear});
  ASSERT_EQ(flat.size(), 60u);
  expect_distinct_and_falling(flat);
  EXPECT_GT(flat[39].score, 0.0f);
  EXPECT_EQ(flat[40].score, 0.0f);
  EXPECT_LT(flat[40].row, flat[41].row);

  const matrix equal{5, 2, std::vector<float>(10, 3.0f)};
  EXPECT_EQ(dpp(cpu{}, equal, {.picks = 9}), (picks{{0, 1}, {1, 0}, {2, 0}, {3, 0}, {4, 0}}));
  const std::vector<float> worthless(6, 0.0f);
  EXPECT_EQ(rows_of(dpp(cpu{}, normal_matrix(6, 2, 1), {.picks = 3}, view(worthless))),
            (std::vector<index_t>{0, 1, 2}));
}

// Smooth data in one dimension: the numeric rank is far below the picks.
TEST(Dpp, NothingBreaksFarBelowTheRank) {
  matrix line{2000, 1, {}};
  for (int i = 0; i < 2000; ++i) line.values.push_back(float(i) / 2000);
  for (const double bandwidth : {0.0, 1e-200, 1e-3, 1e200}) {
    const picks got = dpp(cpu{2}, line, {.picks = 300}, {}, {.bandwidth = bandwidth});
    ASSERT_EQ(got.size(), 300u);
    expect_distinct_and_falling(got);
    EXPECT_EQ(got.back().score == 0, bandwidth == 0 || bandwidth == 1e200);
  }
}

TEST(Dpp, EmptyPoolsNoPicksAndAllRows) {
  EXPECT_TRUE(dpp(cpu{}, {nullptr, 0, 4}, {.picks = 3}).empty());
  EXPECT_TRUE(dpp(cpu{}, normal_matrix(3, 2, 1), {.picks = 0}).empty());
  for (const index_t rows : {1, 31, 32, 33, 95, 96, 97})
    EXPECT_EQ(dpp(cpu{}, normal_matrix(rows, 3, 2), {.picks = rows}).size(), std::size_t(rows));
}

TEST(Dpp, MedianDistance) {
  EXPECT_EQ(median_distance(cpu{}, matrix{3, 1, {0, 3, 3}}), 3);   // of 3, 3; the third pair is at 0
  EXPECT_EQ(median_distance(cpu{}, matrix{3, 1, {0, 1, 10}}), 9);  // of 1, 9, 10
  EXPECT_EQ(median_distance(cpu{}, matrix{4, 2, std::vector<float>(8, 7.0f)}), 1);
  EXPECT_EQ(median_distance(cpu{}, {nullptr, 0, 3}), 1);
  // Rows 0, 2, 4, ... of 1024 are the sample.
  matrix x{1024, 1, {}};
  for (int i = 0; i < 1024; ++i) x.values.push_back(i % 2 ? 1e6f : float(i % 4));
  EXPECT_EQ(median_distance(cpu{}, x), 2);
}

TEST(Dpp, WrongUsesAreRefused) {
  const matrix pool{2, 2, {0, 1, 2, 3}}, bad{2, 2, {0, 1, nan, 3}}, huge{2, 1, {1, 3e19f}};
  const std::vector<float> three(3, 1.0f), negative{1.0f, -1.0f}, great{1.0f, 2e19f};
  const auto with = [&](const matrix& x, const std::vector<float>& quality, dpp_kernel kernel = {}) {
    return message_of<error>([&] { dpp(cpu{}, x, {.picks = 1}, view(quality), kernel); });
  };
  EXPECT_EQ(with(pool, three),
            "dpp: quality has 3 places but there are 2 rows; pass one for each row, or none");
  EXPECT_EQ(with(pool, negative), "dpp: quality of row 1 is -1.000000; it needs a finite number, 0 or more");
  EXPECT_EQ(with(bad, {}),
            "dpp: points holds a NaN or an infinity in row 1 (1 such rows); leave these rows out");
  EXPECT_EQ(with(pool, {}, {.bandwidth = -2}),
            "dpp: the bandwidth is -2.000000; it needs a positive number, or 0 for the median distance");
  EXPECT_EQ(with(pool, {}, {.bandwidth = double(nan)}),
            "dpp: the bandwidth is nan; it needs a positive number, or 0 for the median distance");
  EXPECT_EQ(with(pool, {}, {.bandwidth = double(infinity)}),
            "dpp: the bandwidth is inf; it needs a positive number, or 0 for the median distance");
  EXPECT_EQ(with(pool, great),
            "dpp: the gain of row 1 leaves the range of fp32; scale the rows or their quality down");
  EXPECT_EQ(with(huge, {}, {dpp_similarity::linear}),
            "dpp: the squared distance of points up to 3e+19 leaves the range of fp32; multiply them by 2^-64, "
            "which is exact");
  EXPECT_EQ(message_of<value_error>([&] { dpp(cpu{}, pool, {.picks = -1}); }),
            "dpp: the number of picks is -1; it must be 0 or more");
  EXPECT_EQ(message_of<value_error>([&] { median_distance(cpu{}, bad); }),
            "median_distance: points holds a NaN or an infinity in row 1 (1 such rows); leave these rows out");
  EXPECT_THROW(dpp(cuda{}, pool, {.picks = 1}), no_cuda_error);
}

}  // namespace
}  // namespace poolwise
