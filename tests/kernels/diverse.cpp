// k-center against a naive loop, pick for pick; k-means++ against its distribution, by chi-square.
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/dpp.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/diverse/probcover.hpp"
#include "poolwise/diverse/typiclust.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "reference/batches.hpp"
#include "reference/cpu_targets.hpp"
#include "reference/distance.hpp"
#include "reference/errors.hpp"
#include "reference/greedy.hpp"
#include "reference/sanitized.hpp"

namespace poolwise {
namespace {

using reference::expect_distinct;
using reference::integer_matrix;
using reference::message_of;
using reference::normal_matrix;
using reference::picks;
using reference::rows_of;
using matrix = reference::owned_rows;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t all_there_is = std::numeric_limits<std::int64_t>::max();

reference::points as_points(const matrix& m) {
  reference::points points(static_cast<std::size_t>(m.rows));
  for (index_t i = 0; i < m.rows; ++i)
    points[std::size_t(i)].assign(m.values.begin() + i * m.cols, m.values.begin() + (i + 1) * m.cols);
  return points;
}

void expect_equal(const picks& got, const std::vector<reference::pick>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t p = 0; p < got.size(); ++p) {
    ASSERT_EQ(got[p].row, expected[p].row) << "pick " << p;
    ASSERT_EQ(double(got[p].score), expected[p].gain) << "pick " << p;
  }
}

struct variant {
  bool labelled, weighted, costly, per_cost = false;
};

class KCenterVariants : public testing::TestWithParam<variant> {};

TEST_P(KCenterVariants, PickForPickAsANaiveLoop) {
  std::mt19937 next(11);
  for (int trial = 0; trial < 40; ++trial) {
    SCOPED_TRACE(trial);
    const auto rows = index_t(1 + next() % 60), cols = index_t(1 + next() % 20);
    const matrix pool = integer_matrix(rows, cols, 3, next);
    const matrix labelled = integer_matrix(3, cols, 3, next);
    std::vector<float> weights, covered(static_cast<std::size_t>(rows));
    std::vector<std::int64_t> cost;
    for (index_t i = 0; i < rows; ++i) {
      weights.push_back(float(next() % 5) / 2);
      cost.push_back(std::int64_t(next() % 6));
    }
    nearest(cpu{1}, pool, labelled, {covered.data(), rows});

    reference::kcenter_problem problem{as_points(pool),
                                       {},
                                       std::vector<double>(std::size_t(rows), 1.0),
                                       std::vector<std::int64_t>(std::size_t(rows), 0),
                                       all_there_is,
                                       std::size_t(next() % 70)};
    allowance limit{.picks = index_t(problem.picks)};
    if (GetParam().labelled) problem.labelled = as_points(labelled);
    if (GetParam().weighted) problem.weights.assign(weights.begin(), weights.end());
    if (GetParam().costly) {
      // Gains per unit of cost are compared without rounding where costs are powers of two.
      problem.per_cost = limit.per_cost = GetParam().per_cost;
      if (limit.per_cost)
        for (auto& c : cost) c = std::int64_t{1} << c % 4;
      problem.cost = cost;
      problem.budget = limit.budget = std::int64_t(next() % 50);
      limit.cost = {cost.data(), rows};
    }
    const picks got = kcenter(
        cpu{1}, pool, limit,
        GetParam().labelled ? vector_view<const float>{covered.data(), rows} : vector_view<const float>{},
        GetParam().weighted ? vector_view<const float>{weights.data(), rows} : vector_view<const float>{});
    expect_equal(got, reference::kcenter(problem));
    expect_distinct(got);
  }
}

INSTANTIATE_TEST_SUITE_P(All, KCenterVariants,
                         testing::Values(variant{false, false, false}, variant{true, false, false},
                                         variant{false, true, false}, variant{true, true, false},
                                         variant{false, false, true}, variant{true, false, true},
                                         variant{false, true, true}, variant{true, true, true},
                                         variant{false, false, true, true}, variant{true, true, true, true}));

TEST(KCenter, SeveralBlocksOfRows) {
  std::mt19937 next(12);
  const matrix pool = integer_matrix(3000, 3, 12, next);
  const reference::kcenter_problem problem{
      as_points(pool), {}, std::vector<double>(3000, 1.0), std::vector<std::int64_t>(3000, 0),
      all_there_is,    40};
  expect_equal(kcenter(cpu{2}, pool, {.picks = 40}), reference::kcenter(problem));
}

TEST(KCenter, FirstPickWithoutLabelsIsRowZeroAndGainsNeverRise) {
  const picks got = kcenter(cpu{1}, normal_matrix(500, 17, 1), {.picks = 500});
  ASSERT_EQ(got.size(), 500u);
  EXPECT_EQ(got[0], (candidate{0, infinity}));
  for (std::size_t p = 1; p < got.size(); ++p) EXPECT_LE(got[p].score, got[p - 1].score);
  expect_distinct(got);
}

TEST(KCenter, DuplicatesArePickedOnceEachInOrder) {
  const matrix pool{5, 2, std::vector<float>(10, 3.0f)};
  EXPECT_EQ(rows_of(kcenter(cpu{1}, pool, {.picks = 9})), (std::vector<index_t>{0, 1, 2, 3, 4}));
  const std::vector<float> weightless(5, 0.0f);
  EXPECT_EQ(kcenter(cpu{1}, pool, {.picks = 2}, {}, {weightless.data(), 5}), (picks{{0, 0.0f}, {1, 0.0f}}));
}

TEST(KCenter, EmptyPoolsAndNoPicks) {
  EXPECT_TRUE(kcenter(cpu{}, {nullptr, 0, 4}, {.picks = 3}).empty());
  EXPECT_TRUE(kcenter(cpu{}, normal_matrix(3, 2, 1), {.picks = 0}).empty());
}

// Squared distances beyond fp32 are infinite, and infinities tie.
// Else they would be picked in the order in which they lie.
TEST(Diverse, RowsWhoseSquaredDistancesLeaveFp32AreRefused) {
  const auto refusals = [](const matrix& x) {
    std::vector<std::string> all;
    const allowance two{.picks = 2};
    all.push_back(message_of<value_error>([&] { kcenter(cpu{1}, x, two); }));
    all.push_back(message_of<value_error>([&] { kmeans_pp(cpu{1}, x, two, 1); }));
    all.push_back(message_of<value_error>([&] { dpp(cpu{1}, x, two); }));
    all.push_back(message_of<value_error>([&] { typiclust(cpu{1}, x, two, {}); }));
    all.push_back(message_of<value_error>([&] { probcover(cpu{1}, x, two, {}); }));
    for (std::string& one : all) one = one.substr(one.find(": ") + 2);
    return all;
  };
  const auto five = [](const char* text) { return std::vector<std::string>(5, text); };
  EXPECT_EQ(refusals({3, 1, {0, 7e25f, 1e25f}}),
            five("the squared distance of points up to 7e+25 leaves the range of fp32; multiply them by 2^-85, "
                 "which is exact"));
  EXPECT_EQ(
      refusals({3, 1, {0, -7e-30f, 1e-30f}}),
      five("the squared distance of points up to 7e-30 is too small for fp32; multiply them by 2^97, which "
           "is exact"));
  for (const float scale : {0.0f, 0x1p-50f, 1.0f, 0x1p59f})
    EXPECT_NO_THROW(kcenter(cpu{1}, matrix{3, 2, {0, 0, scale, 0, scale, scale}}, {.picks = 2})) << scale;
}

// A model that is certain of every row: gradients below the root of what fp32 holds.
TEST(KMeansPP, SmallGradientsAreWidened) {
  std::vector<float> a{1e-3f, -1e-3f, 2e-3f, -2e-3f, 0, 0}, small = a;
  for (float& value : small) value *= 0x1p-90f;
  const auto widen = [](std::vector<float>& x) { return widen_gradient(cpu{1}, {x.data(), 3, 2}); };
  EXPECT_EQ(widen(a), 1);
  EXPECT_EQ(a[2], 2e-3f);
  EXPECT_EQ(widen(small), 0x1p99);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(small[i], a[i] * 0x1p9f);
  std::vector<float> none(6);
  EXPECT_EQ(widen(none), 1);
}

TEST(Allowance, ARowDearerThanWhatIsLeftIsPassedOverForGood) {
  const matrix line{5, 1, {0, 100, 50, 49, 2}};
  const std::vector<std::int64_t> cost{1, 9, 4, 2, 0};
  // 0 leaves 6 of 7, too little for 100; 50 leaves 2; 2 is free and farther than 49, which takes the rest.
  EXPECT_EQ(rows_of(kcenter(cpu{1}, line, {.picks = 5, .cost = {cost.data(), 5}, .budget = 7})),
            (std::vector<index_t>{0, 2, 4, 3}));
  EXPECT_EQ(rows_of(kcenter(cpu{1}, line, {.picks = 5, .cost = {cost.data(), 5}, .budget = 0})),
            (std::vector<index_t>{4}));
}

TEST(Allowance, CostsThatAddUpWithin63BitsLimitNothingWithoutABudget) {
  const std::vector<std::int64_t> cost{all_there_is, all_there_is - 1, 1};
  const matrix line{3, 1, {0, 1, 5}};
  EXPECT_THROW(kcenter(cpu{1}, line, {.picks = 3, .cost = {cost.data(), 3}}), value_error);
  const std::vector<std::int64_t> within{all_there_is - 3, 2, 1};
  EXPECT_EQ(rows_of(kcenter(cpu{1}, line, {.picks = 3, .cost = {within.data(), 3}})),
            (std::vector<index_t>{0, 2, 1}));
}

TEST(Allowance, BarredRowsAreNeitherPickedNorCentres) {
  // On a line: row 3 is the farthest, but barred; so is row 0, where the picks would begin.
  const matrix line{5, 1, {0, 1, 5, 100, 9}};
  const std::vector<std::uint8_t> barred{1, 0, 0, 1, 0};
  allowance limit{.picks = 5};
  limit.barred = {barred.data(), 5};
  EXPECT_EQ(rows_of(kcenter(cpu{}, line, limit)), (std::vector<index_t>{1, 4, 2}));
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto picked = rows_of(kmeans_pp(cpu{}, line, limit, seed));
    EXPECT_EQ(std::set<index_t>(picked.begin(), picked.end()), (std::set<index_t>{1, 2, 4}));
  }
}

TEST(Allowance, AGroupIsPassedOverOnceItsQuotaIsUsedUp) {
  const matrix line{6, 1, {0, 100, 90, 80, 10, 20}};
  const std::vector<index_t> group{0, 1, 1, 1, 0, 2}, quota{1, 2, 0};
  allowance limit{.picks = 6};
  limit.group = {group.data(), 6};
  limit.quota = {quota.data(), 3};
  // Row 0, then 100; of group 1 one more is allowed: 80 lies farther from 100 than 90 does; group 0 is used up.
  EXPECT_EQ(rows_of(kcenter(cpu{}, line, limit)), (std::vector<index_t>{0, 1, 3}));
}

TEST(Allowance, KMeansPlusPlusKeepsTheBudget) {
  std::mt19937 next(13);
  const matrix pool = integer_matrix(40, 3, 4, next);
  std::vector<std::int64_t> cost;
  for (int i = 0; i < 40; ++i) cost.push_back(std::int64_t(next() % 7));
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const picks got = kmeans_pp(cpu{1}, pool, {.picks = 40, .cost = {cost.data(), 40}, .budget = 31}, seed);
    expect_distinct(got);
    std::int64_t left = 31;
    for (const candidate& c : got) left -= cost[std::size_t(c.row)];
    ASSERT_GE(left, 0);
    const auto rows = rows_of(got);
    for (index_t i = 0; i < 40; ++i)  // it stopped because nothing else could be paid
      EXPECT_TRUE(cost[std::size_t(i)] > left || std::count(rows.begin(), rows.end(), i) == 1) << i;
  }
}

/// The upper 1e-4 quantile of chi-square, by Wilson and Hilferty's cube; z = 3.719.
double chi_square_bound(std::size_t degrees) {
  const double v = 2.0 / (9.0 * double(degrees));
  return double(degrees) * std::pow(1 - v + 3.719 * std::sqrt(v), 3);
}

constexpr std::uint64_t batches_drawn = test::sanitized ? 10'000 : 100'000;

/// Draws with `select` for that many seeds and compares how often each sequence of three rows comes with how
/// often it must. `eligible` rows only; the first pick is `first`, or any eligible row if -1.
void expect_d2_sampling(const reference::points& pool, const std::vector<bool>& eligible, index_t first,
                        const std::function<picks(std::uint64_t)>& select) {
  const std::size_t n = pool.size();
  std::vector<double> expected(n * n * n, 0.0), observed(n * n * n, 0.0);
  const auto count = double(std::count(eligible.begin(), eligible.end(), true));
  for (std::size_t i = 0; i < n; ++i) {
    const double chance = first >= 0 ? double(index_t(i) == first) : double(eligible[i]) / count;
    if (chance == 0) continue;
    const auto second = reference::kmeans_pp_probabilities(pool, eligible, {i});
    for (std::size_t j = 0; j < n; ++j) {
      if (second[j] == 0) continue;
      const auto third = reference::kmeans_pp_probabilities(pool, eligible, {i, j});
      for (std::size_t k = 0; k < n; ++k)
        expected[(i * n + j) * n + k] = double(batches_drawn) * chance * second[j] * third[k];
    }
  }
  for (std::uint64_t seed = 0; seed < batches_drawn; ++seed) {
    const picks got = select(seed);
    ASSERT_EQ(got.size(), 3u);
    ++observed[std::size_t((got[0].row * index_t(n) + got[1].row) * index_t(n) + got[2].row)];
  }
  // Cells too rare for the approximation share one.
  double chi_square = 0, rare_expected = 0, rare_observed = 0;
  std::size_t cells = 0;
  for (std::size_t c = 0; c < expected.size(); ++c) {
    if (expected[c] == 0) {
      ASSERT_EQ(observed[c], 0) << "an impossible sequence was drawn: " << c;
    } else if (expected[c] < 10) {
      rare_expected += expected[c];
      rare_observed += observed[c];
    } else {
      chi_square += (observed[c] - expected[c]) * (observed[c] - expected[c]) / expected[c];
      ++cells;
    }
  }
  if (rare_expected > 0) {
    chi_square += (rare_observed - rare_expected) * (rare_observed - rare_expected) / rare_expected;
    ++cells;
  }
  EXPECT_LT(chi_square, chi_square_bound(cells - 1)) << cells << " cells";
}

const matrix tiny_pool{6, 2, {0, 0, 1, 0, 0, 2, 5, 5, 1, 0, -3, 1}};  // rows 1 and 4 are equal

TEST(KMeansPlusPlus, DrawsByD2FromARandomFirst) {
  expect_d2_sampling(as_points(tiny_pool), std::vector<bool>(6, true), -1,
                     [](std::uint64_t seed) { return kmeans_pp(cpu{1}, tiny_pool, {.picks = 3}, seed); });
}

TEST(KMeansPlusPlus, DrawsByD2FromTheLargestNorm) {
  expect_d2_sampling(as_points(tiny_pool), std::vector<bool>(6, true), 3, [](std::uint64_t seed) {
    return kmeans_pp(cpu{1}, tiny_pool, {.picks = 3}, seed, first_center::largest_norm);
  });
}

// Two heaps far apart: once both have a pick, all other weights are stale by far, and nearly every proposal is
// rejected until they are made anew.
TEST(KMeansPlusPlus, DrawsByD2ThroughRejectionsAndSweeps) {
  const matrix heaps{6, 2, {0, 0, 1, 0, 0, 2, 300, 0, 301, 1, 300, 3}};
  index_t sweeps = 0, proposals = 0;
  expect_d2_sampling(as_points(heaps), std::vector<bool>(6, true), -1, [&](std::uint64_t seed) {
    batch_run counts;
    const picks got = kmeans_pp(cpu{1}, heaps, {.picks = 3}, seed, first_center::random, &counts);
    sweeps += counts.sweeps;
    proposals += counts.proposals;
    return got;
  });
  EXPECT_GT(double(sweeps), 1.9 * double(batches_drawn));
  EXPECT_GT(double(proposals), 9.0 * double(batches_drawn));
}

TEST(KMeansPlusPlus, DrawsByD2AmongRowsThatCanBePaid) {
  const std::vector<std::int64_t> cost{1, 2, 9, 9, 0, 1};
  const std::vector<bool> eligible{true, true, false, false, true, true};
  expect_d2_sampling(as_points(tiny_pool), eligible, -1, [&](std::uint64_t seed) {
    return kmeans_pp(cpu{1}, tiny_pool, {.picks = 3, .cost = {cost.data(), 6}, .budget = 8}, seed);
  });
}

// Of two equal rows one is drawn, though their weights may still say otherwise.
TEST(KMeansPlusPlus, DrawsByD2AmongRowsThatLieApart) {
  const matrix places{6, 1, {0, 1, 2, 3, 1, 4}};
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    allowance limit{.picks = 6};
    limit.apart = spacing{places, 1};
    const picks got = kmeans_pp(cpu{1}, tiny_pool, limit, seed);
    expect_distinct(got);
    for (std::size_t a = 0; a < got.size(); ++a)
      for (std::size_t b = 0; b < a; ++b)
        EXPECT_GT(std::abs(places.values[std::size_t(got[a].row)] - places.values[std::size_t(got[b].row)]), 1);
    for (index_t i = 0; i < 6; ++i)  // it stopped because all others lie too near
      EXPECT_TRUE(std::any_of(got.begin(), got.end(), [&](const candidate& c) {
        return std::abs(places.values[std::size_t(i)] - places.values[std::size_t(c.row)]) <= 1;
      })) << i;
  }
}

TEST(KMeansPlusPlus, ALargePoolOfDuplicatesYieldsOneOfEach) {
  std::mt19937 next(14);
  const matrix pool = integer_matrix(5000, 2, 6, next);
  allowance limit{.picks = 5000};
  limit.apart = spacing{pool, 0};
  for (const int threads : {1, 3}) {
    EXPECT_EQ(kmeans_pp(cpu{threads}, pool, limit, 3).size(), 36u);
    EXPECT_EQ(kcenter(cpu{threads}, pool, limit).size(), 36u);
  }
}

/// Outer products of small integers, with one row that repeats another.
struct tiny_factors {
  matrix a{5, 2, {1, -1, 2, 0, 0, 1, 1, -1, -1, 2}};
  matrix h{5, 3, {1, 0, 2, 0, 1, 1, 3, 1, 0, 1, 0, 2, 1, 1, 1}};

  reference::points materialised() const {
    reference::points rows;
    for (index_t i = 0; i < 5; ++i) {
      rows.emplace_back();
      for (index_t c = 0; c < 2; ++c)
        for (index_t f = 0; f < 3; ++f)
          rows.back().push_back(double(a.values[std::size_t(i * 2 + c)]) *
                                double(h.values[std::size_t(i * 3 + f)]));
    }
    return rows;
  }
};

TEST(KMeansPlusPlus, FactoredDrawsByD2OfTheOuterProducts) {
  const tiny_factors tiny;
  const factored_rows points{tiny.a, tiny.h};
  expect_d2_sampling(tiny.materialised(), std::vector<bool>(5, true), -1, [&](std::uint64_t seed) {
    return kmeans_pp(cpu{1}, points, {.picks = 3}, seed, first_center::random);
  });
  // Squared norms 10, 8, 10, 10, 15: the last is largest.
  expect_d2_sampling(tiny.materialised(), std::vector<bool>(5, true), 4,
                     [&](std::uint64_t seed) { return kmeans_pp(cpu{1}, points, {.picks = 3}, seed); });
}

TEST(KMeansPlusPlus, LargestNormTiesGoToTheLowerEligibleRow) {
  const matrix pool{4, 1, {1, -7, 7, 3}};
  EXPECT_EQ(kmeans_pp(cpu{1}, pool, {.picks = 1}, 5, first_center::largest_norm), (picks{{1, 49.0f}}));
  const std::vector<std::int64_t> cost{0, 1, 0, 0};
  EXPECT_EQ(kmeans_pp(cpu{1}, pool, {.picks = 1, .cost = {cost.data(), 4}, .budget = 0}, 5,
                      first_center::largest_norm),
            (picks{{2, 49.0f}}));
}

TEST(KMeansPlusPlus, ALoneRowInAFarBlockIsFound) {
  matrix pool{3000, 2, std::vector<float>(6000, 1.0f)};
  pool.values[5001] = 6.0f;  // row 2500, at distance 5 of all others
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const picks got = kmeans_pp(cpu{2}, pool, {.picks = 4}, seed);
    ASSERT_EQ(got.size(), 4u);
    if (got[0].row == 2500) continue;
    EXPECT_EQ(got[1], (candidate{2500, 25.0f}));
    // Then all distances are 0: the lowest rows that are left.
    EXPECT_EQ(got[2], (candidate{got[0].row == 0 ? 1 : 0, 0.0f}));
    expect_distinct(got);
  }
}

TEST(KMeansPlusPlus, EqualRowsAreAtDistanceZeroExactly) {
  matrix a = normal_matrix(40, 10, 3), h = normal_matrix(40, 65, 4);
  for (index_t i = 1; i < 40; ++i) {
    std::copy_n(a.values.begin(), 10, a.values.begin() + i * 10);
    std::copy_n(h.values.begin(), 65, h.values.begin() + i * 65);
  }
  const picks got = kmeans_pp(cpu{1}, factored_rows{a, h}, {.picks = 40}, 1);
  ASSERT_EQ(got.size(), 40u);
  for (std::size_t p = 1; p < 40; ++p) EXPECT_EQ(got[p], (candidate{index_t(p), 0.0f}));
}

// 30 orders of magnitude between weights: rounding must not hand a draw to a row without weight.
TEST(KMeansPlusPlus, RoundingNeverPicksARowWithoutWeight) {
  matrix pool{2100, 1, std::vector<float>(2100, 0.0f)};
  for (const index_t i : {3, 1023, 1500, 2099})
    pool.values[std::size_t(i)] = std::pow(10.0f, float(i % 31) - 15);
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const picks got = kmeans_pp(cpu{1}, pool, {.picks = 4}, seed);
    ASSERT_EQ(got.size(), 4u);
    for (std::size_t p = 1; p < 4; ++p) ASSERT_GT(got[p].score, 0.0f) << "seed " << seed;
    expect_distinct(got);
  }
}

// Scores of a whole pool's picks are distances to the nearest earlier pick. With g = k u / (1 - k u),
// k = ceil(n/16) + 4 roundings of a canonical dot of n terms, |fl(x.y) - x.y| <= g |x||y|. So every one of the
// three products of dots is within e = (1 + g_a)(1 + g_h) - 1 of |a_i||a_j||h_i||h_j| and alike, and the sum
// within e (N_i + N_j + 2 sqrt(N_i N_j)) <= 2 e (N_i + N_j), N = |a|^2 |h|^2. The last rounding to fp32 adds
// u d; additions in double are far below. A minimum over picks errs by no more than the largest of them.
TEST(KMeansPlusPlus, FactoredDistancesAreThoseOfTheOuterProducts) {
  for (const auto& [classes, features] : std::vector<std::pair<index_t, index_t>>{{2, 1}, {10, 65}, {17, 33}}) {
    const index_t rows = 120;
    const matrix a = normal_matrix(rows, classes, 5), h = normal_matrix(rows, features, 6);
    const picks got = kmeans_pp(cpu{1}, factored_rows{a, h}, {.picks = rows}, 9);
    ASSERT_EQ(got.size(), std::size_t(rows));
    const auto growth = [](index_t n) {
      const long double ku = static_cast<long double>((n + 15) / 16 + 4) * 0x1p-24L;
      return ku / (1 - ku);
    };
    const long double e = (1 + growth(classes)) * (1 + growth(features)) - 1;
    const auto distance = [&, c = classes, f = features](index_t i, index_t j) {
      return reference::outer_squared_distance(a.values.data() + i * c, h.values.data() + i * f,
                                               a.values.data() + j * c, h.values.data() + j * f, std::size_t(c),
                                               std::size_t(f));
    };
    const std::vector<float> origin_a(std::size_t(classes), 0.0f), origin_h(std::size_t(features), 0.0f);
    const auto norm2 = [&, c = classes, f = features](index_t i) {
      return reference::outer_squared_distance(a.values.data() + i * c, h.values.data() + i * f,
                                               origin_a.data(), origin_h.data(), std::size_t(c),
                                               std::size_t(f));
    };
    long double largest = 0;
    for (index_t i = 0; i < rows; ++i) largest = std::max(largest, norm2(i));
    for (std::size_t p = 1; p < got.size(); ++p) {
      long double exact = std::numeric_limits<long double>::infinity();
      for (std::size_t q = 0; q < p; ++q) exact = std::min(exact, distance(got[p].row, got[q].row));
      const long double tolerance = 2 * e * (norm2(got[p].row) + largest) + 0x1p-23L * exact;
      ASSERT_NEAR(double(got[p].score), double(exact), double(tolerance)) << "pick " << p;
    }
  }
}

TEST(KMeansPlusPlus, ABiasIsOneMoreFeatureOfOne) {
  std::mt19937 next(31);
  // Small integers: every dot product is exact, so that both forms have the same bits.
  const matrix a = integer_matrix(40, 3, 4, next), h = integer_matrix(40, 5, 4, next);
  matrix h1{40, 6, {}};
  for (index_t i = 0; i < 40; ++i) {
    h1.values.insert(h1.values.end(), h.values.begin() + i * 5, h.values.begin() + (i + 1) * 5);
    h1.values.push_back(1);
  }
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    EXPECT_EQ(kmeans_pp(cpu{}, factored_rows{a, h, true}, {.picks = 20}, seed),
              kmeans_pp(cpu{}, factored_rows{a, h1}, {.picks = 20}, seed));
}

TEST(Diverse, SameBitsForAnyThreadCountAndTarget) {
  const matrix x = normal_matrix(5000, 33, 7), a = normal_matrix(5000, 10, 8);
  std::vector<float> weights(5000);
  for (std::size_t i = 0; i < 5000; ++i) weights[i] = std::fabs(x.values[i]);
  const picks centers = kcenter(cpu{1}, x, {.picks = 40}, {}, {weights.data(), 5000});
  const picks plain = kmeans_pp(cpu{1}, x, {.picks = 40}, 3);
  const picks factored = kmeans_pp(cpu{1}, factored_rows{a, x}, {.picks = 40}, 3);
  EXPECT_EQ(centers.size(), 40u);
  reference::for_each_cpu_target([&] {
    for (const int threads : {1, 2, 5}) {
      EXPECT_EQ(kcenter(cpu{threads}, x, {.picks = 40}, {}, {weights.data(), 5000}), centers);
      EXPECT_EQ(kmeans_pp(cpu{threads}, x, {.picks = 40}, 3), plain);
      EXPECT_EQ(kmeans_pp(cpu{threads}, factored_rows{a, x}, {.picks = 40}, 3), factored);
    }
  });
  EXPECT_NE(kmeans_pp(cpu{1}, x, {.picks = 40}, 4), plain);
}

TEST(Diverse, PaddedRowsPickAsDenseOnes) {
  const matrix dense = normal_matrix(300, 20, 9);
  std::vector<float> padded(300 * 23 + 1, nan);
  for (index_t i = 0; i < 300; ++i) std::copy_n(dense.values.begin() + i * 20, 20, padded.begin() + 1 + i * 23);
  const matrix_view<const float> view{padded.data() + 1, 300, 20, 23};
  EXPECT_EQ(kcenter(cpu{2}, view, {.picks = 300}), kcenter(cpu{2}, dense, {.picks = 300}));
  EXPECT_EQ(kmeans_pp(cpu{2}, view, {.picks = 300}, 1), kmeans_pp(cpu{2}, dense, {.picks = 300}, 1));
  EXPECT_EQ(kmeans_pp(cpu{2}, factored_rows{view, view}, {.picks = 300}, 1),
            kmeans_pp(cpu{2}, factored_rows{dense, dense}, {.picks = 300}, 1));
}

// The first picks of a larger batch are the smaller batch.
TEST(Diverse, BatchesNest) {
  const matrix pool = normal_matrix(400, 9, 10);
  for (const auto& select : std::vector<std::function<picks(index_t)>>{
           [&](index_t k) { return kcenter(cpu{1}, pool, {.picks = k}); },
           [&](index_t k) { return kmeans_pp(cpu{1}, pool, {.picks = k}, 5); }}) {
    const picks small = select(13), large = select(60);
    EXPECT_TRUE(std::equal(small.begin(), small.end(), large.begin()));
  }
}

TEST(Diverse, WrongUsesAreRefused) {
  const matrix pool{2, 2, {0, 1, 2, 3}}, bad{2, 2, {0, 1, nan, 3}};
  const std::vector<float> three(3, 1.0f), negative{1.0f, -1.0f}, broken{nan, 1.0f}, endless{1.0f, infinity};
  const std::vector<std::int64_t> debt{0, -4}, short_cost{1};
  const auto weighted = [&](const std::vector<float>& w) {
    return message_of<error>([&] { kcenter(cpu{}, pool, {.picks = 1}, {}, {w.data(), index_t(w.size())}); });
  };
  const auto covering = [&](const std::vector<float>& c) {
    return message_of<error>([&] { kcenter(cpu{}, pool, {.picks = 1}, {c.data(), index_t(c.size())}); });
  };
  EXPECT_EQ(weighted(three),
            "kcenter: weights has 3 places but there are 2 rows; pass one for each row, or none");
  EXPECT_EQ(weighted(negative), "kcenter: weights of row 1 is -1.000000; it needs a finite number, 0 or more");
  EXPECT_EQ(weighted(broken), "kcenter: weights of row 0 is nan; it needs a finite number, 0 or more");
  EXPECT_EQ(weighted(endless), "kcenter: weights of row 1 is inf; it needs a finite number, 0 or more");
  EXPECT_EQ(covering(three),
            "kcenter: covered has 3 places but there are 2 rows; pass one for each row, or none");
  EXPECT_EQ(covering(negative), "kcenter: covered of row 1 is -1.000000; it needs 0 or more");
  EXPECT_EQ(covering(broken), "kcenter: covered of row 0 is nan; it needs 0 or more");
  EXPECT_NO_THROW(kcenter(cpu{}, pool, {.picks = 1}, {endless.data(), 2}));

  const auto limited = [&](const allowance& limit) {
    return message_of<error>([&] { kmeans_pp(cpu{}, pool, limit, 1); });
  };
  EXPECT_EQ(limited({.picks = -1}), "kmeans_pp: the number of picks is -1; it must be 0 or more");
  EXPECT_EQ(limited({.picks = 1, .budget = -1}), "kmeans_pp: the budget is -1; it must be 0 or more");
  EXPECT_EQ(limited({.picks = 1, .cost = {debt.data(), 2}}),
            "kmeans_pp: the cost of row 1 is -4; it must be 0 or more");
  EXPECT_EQ(limited({.picks = 1, .cost = {short_cost.data(), 1}}),
            "kmeans_pp: cost has 1 entries but there are 2 rows; pass one for each row, or none");

  const std::string nonfinite = " holds a NaN or an infinity in row 1 (1 such rows); leave these rows out";
  EXPECT_EQ(message_of<value_error>([&] { kcenter(cpu{}, bad, {.picks = 1}); }), "kcenter: points" + nonfinite);
  EXPECT_EQ(message_of<value_error>([&] { kmeans_pp(cpu{}, bad, {.picks = 1}, 1); }),
            "kmeans_pp: points" + nonfinite);
  EXPECT_EQ(message_of<value_error>([&] {
              kmeans_pp(cpu{}, factored_rows{bad, pool}, {.picks = 1}, 1);
            }),
            "kmeans_pp: a" + nonfinite);
  EXPECT_EQ(message_of<value_error>([&] {
              kmeans_pp(cpu{}, factored_rows{pool, bad}, {.picks = 1}, 1);
            }),
            "kmeans_pp: h" + nonfinite);
  EXPECT_EQ(message_of<shape_error>([&] {
              kmeans_pp(cpu{}, factored_rows{pool, normal_matrix(3, 2, 1)}, {.picks = 1}, 1);
            }),
            "kmeans_pp: a has 2 rows but h has 3; pass both factors of the same rows");
  const matrix huge{2, 1, {2e19f, -2e19f}}, one{2, 1, {1, 1}};
  EXPECT_EQ(message_of<value_error>([&] {
              kmeans_pp(cpu{}, factored_rows{huge, one}, {.picks = 2}, 1);
            }),
            "kmeans_pp: the squared norm of row 0 leaves the range of fp32; scale the rows down");
  if (!built_with_cuda) {
    EXPECT_THROW(kcenter(cuda{}, pool, {.picks = 1}), no_cuda_error);
    EXPECT_THROW(kmeans_pp(cuda{}, pool, {.picks = 1}, 1), no_cuda_error);
    EXPECT_THROW(kmeans_pp(cuda{}, factored_rows{pool, pool}, {.picks = 1}, 1), no_cuda_error);
  }
}

// A row that was judged is not read again: a NaN that the caller answers for passes.
TEST(FiniteRows, AreNotJudgedTwice) {
  const matrix bad{2, 2, {0, 0, std::numeric_limits<float>::quiet_NaN(), 0}};
  const auto judged = finite_rows::judged(bad);
  EXPECT_NO_THROW(kcenter(cpu{}, judged, {.picks = 0}));
  EXPECT_NO_THROW(kmeans_pp(cpu{}, judged, {.picks = 0}, 1));
  EXPECT_NO_THROW(kmeans_pp(cpu{}, factored_points{judged, judged}, {.picks = 0}, 1));
  EXPECT_THROW(kcenter(cpu{}, judged, {.picks = -1}), value_error);  // all else is
}

TEST(FiniteRows, GiveTheSamePicks) {
  const matrix x = normal_matrix(500, 7, 1), h = normal_matrix(500, 5, 2);
  const finite_rows points = require_finite(cpu{}, "test", "x", x), features = finite_rows::judged(h);
  const allowance limit{.picks = 60};
  EXPECT_EQ(kcenter(cpu{}, points, limit), kcenter(cpu{}, x, limit));
  EXPECT_EQ(kmeans_pp(cpu{}, points, limit, 3), kmeans_pp(cpu{}, x, limit, 3));
  EXPECT_EQ(kmeans_pp(cpu{}, factored_points{points, features, true}, limit, 3),
            kmeans_pp(cpu{}, factored_rows{x, h, true}, limit, 3));
}

TEST(Badge, IsKMeansPlusPlusOnTheGradientsOfTheOutputs) {
  matrix logits = normal_matrix(300, 4, 1);
  const matrix h = normal_matrix(300, 5, 2);
  const real_matrix x = matrix_view<const float>(logits);
  matrix a{300, 4, std::vector<float>(1200)};
  output_gradient(cpu{}, x, outputs::logits, {a.values.data(), 300, 4});
  const allowance limit{.picks = 40};
  for (const bool bias : {false, true}) {
    const picks expected = kmeans_pp(cpu{}, factored_rows{a, h, bias}, limit, 3);
    EXPECT_EQ(badge(cpu{}, x, outputs::logits, h, limit, 3, bias), expected);
    EXPECT_EQ(badge(cpu{}, x, outputs::logits, finite_rows::judged(h), limit, 3, bias), expected);
  }
  logits.values[8] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(badge(cpu{}, x, outputs::logits, h, limit, 3), value_error);
}

}  // namespace
}  // namespace poolwise
