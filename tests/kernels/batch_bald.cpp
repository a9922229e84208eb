// BatchBALD: gains against joint entropies in long double; lazy picks against a loop that computes all gains.
#include "poolwise/diverse/batch_bald.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/diverse/detail/models.hpp"
#include "reference/batch_bald.hpp"
#include "reference/batches.hpp"
#include "reference/cpu_targets.hpp"
#include "reference/errors.hpp"
#include "reference/narrow.hpp"

namespace poolwise {
namespace {

using reference::message_of;
using reference::picks;
using reference::rows_of;
using reference::view;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// A committee's outputs.
struct cube {
  index_t members, rows, classes;
  std::vector<float> values;

  real_cube view() const { return cube_view<const float>{values.data(), members, rows, classes}; }
  float& at(index_t e, index_t i, index_t c) { return values[std::size_t((e * rows + i) * classes + c)]; }
  float at(index_t e, index_t i, index_t c) const { return values[std::size_t((e * rows + i) * classes + c)]; }
};

/// Logits around a centre of the row's, the farther off the more members disagree; some classes ruled out.
cube random_logits(index_t members, index_t rows, index_t classes, std::uint32_t seed) {
  std::mt19937 next(seed);
  std::normal_distribution<float> normal;
  cube x{members, rows, classes, std::vector<float>(std::size_t(members * rows * classes))};
  for (index_t i = 0; i < rows; ++i) {
    const float apart = float(next() % 5) / 2;
    for (index_t c = 0; c < classes; ++c) {
      const float centre = 2 * normal(next);
      const bool out = classes > 2 && next() % 16 == 0;
      for (index_t e = 0; e < members; ++e)
        x.at(e, i, c) = out && c > 0 ? -std::numeric_limits<float>::infinity() : centre + apart * normal(next);
    }
  }
  return x;
}

/// Few distinct rows: ties and duplicates abound.
cube repeated_logits(index_t members, index_t rows, index_t classes, index_t distinct, std::uint32_t seed) {
  const cube few = random_logits(members, distinct, classes, seed);
  cube x{members, rows, classes, std::vector<float>(std::size_t(members * rows * classes))};
  for (index_t e = 0; e < members; ++e)
    for (index_t i = 0; i < rows; ++i)
      for (index_t c = 0; c < classes; ++c) x.at(e, i, c) = few.at(e, i * 7 % distinct, c);
  return x;
}

reference::committee_table probabilities(const cube& x) {
  reference::committee_table p;
  for (index_t e = 0; e < x.members; ++e) {
    p.emplace_back();
    for (index_t i = 0; i < x.rows; ++i) {
      p.back().emplace_back();
      long double largest = x.at(e, i, 0), sum = 0;
      for (index_t c = 1; c < x.classes; ++c) largest = std::max<long double>(largest, x.at(e, i, c));
      for (index_t c = 0; c < x.classes; ++c) {
        p.back().back().push_back(std::exp(static_cast<long double>(x.at(e, i, c)) - largest));
        sum += p.back().back().back();
      }
      for (long double& value : p.back().back()) value /= sum;
    }
  }
  return p;
}

void expect_distinct(const picks& picked) {
  reference::expect_distinct(picked);
  for (const candidate& c : picked) EXPECT_TRUE(std::isfinite(c.score) && c.score >= 0) << c.score;
}

// A probability errs by d = 2.5e-7 + 1.4e-8 |z| + 2^-24 |z| relatively for exp and the difference of logits,
// |z| < 20 here, and its scaling by as much: r = 2 d < 4e-6. A joint probability of n rows errs by n r, its
// term of an entropy by n r (q |ln q| + q), and an entropy of n rows by n r (1 + n ln C). A gain differs two of
// n and n - 1 rows, and one entropy of a row. What double adds is far below; fp32 rounds once.
TEST(BatchBald, GainsAreThoseOfJointEntropies) {
  for (const auto& [members, classes, count] :
       std::vector<std::array<index_t, 3>>{{1, 3, 3}, {2, 2, 8}, {5, 3, 6}, {10, 4, 4}, {3, 1, 3}}) {
    SCOPED_TRACE(members);
    const cube x = random_logits(members, 25, classes, 1);
    const auto p = probabilities(x);
    batch_run counts;
    const picks got = batch_bald(cpu{1}, x.view(), outputs::logits, {.picks = count}, {}, &counts);
    ASSERT_EQ(got.size(), std::size_t(count));
    EXPECT_EQ(counts.exact, count);
    expect_distinct(got);
    std::vector<index_t> before;
    for (const candidate& pick : got) {
      const double n = double(before.size() + 1), spread = std::log(double(classes));
      const double tolerance = 3 * n * 4e-6 * (1 + n * spread) + 0x1p-24;
      const long double known = reference::joint_information(p, before);
      const auto gain = [&](index_t i) {
        auto with = before;
        with.push_back(i);
        return double(reference::joint_information(p, with) - known);
      };
      ASSERT_NEAR(double(pick.score), gain(pick.row), tolerance);
      for (index_t i = 0; i < x.rows; ++i) {
        if (std::count(before.begin(), before.end(), i) == 0) {
          ASSERT_LE(gain(i), gain(pick.row) + 2 * tolerance);
        }
      }
      before.push_back(pick.row);
    }
  }
}

TEST(BatchBald, TheFirstPickIsTheRowOfTheLargestBald) {
  const cube x = random_logits(7, 300, 5, 2);
  const disagreement which[] = {disagreement::bald};
  std::vector<float> bald(300);
  score_committee(cpu{1}, x.view(), outputs::logits, which, {bald.data(), 300, 1});
  const picks got = batch_bald(cpu{1}, x.view(), outputs::logits, {.picks = 1});
  ASSERT_EQ(got.size(), 1u);
  EXPECT_NEAR(got[0].score, *std::max_element(bald.begin(), bald.end()), 4e-6 * (1 + std::log(5)));
}

/// A shortlist of one row: every gain is computed after every pick.
picks plain(const cube& x, const allowance& limit, joint_configurations configurations, index_t width = 1) {
  const auto pool = batch_bald_model(cpu{1}, x.view(), outputs::logits, configurations, gain_factors(limit));
  reference::narrow shortlists(*pool, {width, width});
  return threshold_batches(shortlists, limit);
}

TEST(BatchBald, PickForPickAsALoopThatComputesEveryGain) {
  std::mt19937 next(3);
  for (int trial = 0; trial < 48; ++trial) {
    SCOPED_TRACE(trial);
    const auto members = index_t(1 + next() % 6), rows = index_t(1 + next() % 150);
    const auto classes = index_t(1 + next() % 4);
    const cube x = trial % 2 ? random_logits(members, rows, classes, next())
                             : repeated_logits(members, rows, classes, 1 + index_t(next() % 12), next());
    std::vector<std::int64_t> cost;
    std::vector<index_t> group;
    std::vector<std::uint8_t> barred;
    const std::vector<index_t> quota{2, 3, 0, 4};
    for (index_t i = 0; i < rows; ++i) {
      cost.push_back(std::int64_t(next() % 6));
      group.push_back(index_t(next() % 4));
      barred.push_back(next() % 3 == 0);
    }
    allowance limit{.picks = index_t(next() % 9)};
    if (trial & 4) limit.cost = view(cost), limit.budget = std::int64_t(next() % 20);
    limit.per_cost = trial >= 32 && (trial & 4) != 0;
    if (trial & 8) limit.group = view(group), limit.quota = view(quota);
    if (trial & 16) limit.barred = view(barred);
    const joint_configurations some{
        .most = index_t(1 + next() % 300), .samples = index_t(1 + next() % 40), .seed = 5};
    for (const joint_configurations& configurations : {joint_configurations{}, some}) {
      const picks expected = plain(x, limit, configurations);
      expect_distinct(expected);
      EXPECT_EQ(batch_bald(cpu{1}, x.view(), outputs::logits, limit, configurations), expected);
      for (const index_t width : {2, 7, 1000}) EXPECT_EQ(plain(x, limit, configurations, width), expected);
    }
  }
}

TEST(BatchBald, SameBitsForAnyThreadCountAndTarget) {
  const cube x = random_logits(4, 500, 3, 6);
  const joint_configurations few{.most = 500, .samples = 60, .seed = 1};
  const picks exact = batch_bald(cpu{1}, x.view(), outputs::logits, {.picks = 7});
  const picks drawn = batch_bald(cpu{1}, x.view(), outputs::logits, {.picks = 12}, few);
  EXPECT_EQ(exact.size(), 7u);
  EXPECT_EQ(drawn.size(), 12u);
  reference::for_each_cpu_target([&] {
    for (const int threads : {1, 2, 5}) {
      EXPECT_EQ(batch_bald(cpu{threads}, x.view(), outputs::logits, {.picks = 7}), exact);
      EXPECT_EQ(batch_bald(cpu{threads}, x.view(), outputs::logits, {.picks = 12}, few), drawn);
    }
  });
}

TEST(BatchBald, GoesOnFromWhereItStoodAndPicksLieApart) {
  const cube x = random_logits(4, 90, 3, 12);
  std::vector<float> line;
  std::vector<index_t> group;
  const std::vector<index_t> quota{9, 2, 9};
  for (index_t i = 0; i < 90; ++i) {
    line.push_back(float(i));
    group.push_back(i % 3);
  }
  const joint_configurations few{.most = 200, .samples = 15, .seed = 4};
  for (const bool limited : {false, true}) {
    allowance limit{.picks = 14};
    if (limited) {
      limit.group = view(group);
      limit.quota = view(quota);
      limit.apart = spacing{{line.data(), 90, 1}, 2.0f};
    }
    batch_run whole;
    const picks expected = batch_bald(cpu{1}, x.view(), outputs::logits, limit, few, &whole);
    EXPECT_EQ(expected, plain(x, limit, few));
    EXPECT_EQ(expected.size(), 14u);
    expect_distinct(expected);
    for (std::size_t at = 0; at <= expected.size(); ++at) {
      batch_run resumed{.begin = {{expected.begin(), expected.begin() + index_t(at)}}};
      EXPECT_EQ(batch_bald(cpu{2}, x.view(), outputs::logits, limit, few, &resumed), expected) << at;
      EXPECT_EQ(resumed.exact, whole.exact) << at;
    }
    if (!limited) continue;
    for (std::size_t p = 0; p < expected.size(); ++p)
      for (std::size_t q = 0; q < p; ++q) EXPECT_GT(std::abs(expected[p].row - expected[q].row), 2);
  }
}

TEST(BatchBald, ComputesFewGainsAgain) {
  batch_run counts;
  batch_bald(cpu{2}, random_logits(5, 5000, 4, 7).view(), outputs::logits, {.picks = 6}, {}, &counts);
  EXPECT_EQ(counts.sweeps, 0);
  EXPECT_EQ(counts.exact, 6);
  EXPECT_GT(counts.gains, 5000);
  EXPECT_LT(counts.gains, 5000 + 5 * 2500);
}

// 27 configurations of three picks fit and 81 of four do not: the fifth pick is the first to be estimated.
TEST(BatchBald, SaysWhereDrawsBegin) {
  const cube x = random_logits(4, 60, 3, 8);
  for (const auto& configuration : x.values) ASSERT_FALSE(std::isnan(configuration));
  batch_run counts;
  const joint_configurations few{.most = 90, .samples = 20, .seed = 3};
  const picks got = batch_bald(cpu{1}, x.view(), outputs::logits, {.picks = 9}, few, &counts);
  EXPECT_EQ(got.size(), 9u);
  EXPECT_GE(counts.exact, 4);  // more where configurations are impossible
  EXPECT_LT(counts.exact, 9);
  EXPECT_GE(counts.sweeps, 1);
  const picks exact = batch_bald(cpu{1}, x.view(), outputs::logits, {.picks = 9});
  EXPECT_TRUE(std::equal(got.begin(), got.begin() + counts.exact, exact.begin()));
}

// The mean over seeds of the gain that the fifth pick of `few` is estimated at, by its definition, is the exact
// gain of that row. Estimates lie between 0 and ln 2; 400 of them have a mean within 4 * 0.35 / 20 of their
// own, were they as far apart as they can be, and far closer as they are.
TEST(BatchBald, EstimatesAreRightOnAverage) {
  const cube x = random_logits(4, 6, 2, 9);
  const auto p = probabilities(x);
  const std::vector<std::uint8_t> barred(6, 0);
  double off = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const picks got =
        batch_bald(cpu{1}, x.view(), outputs::logits, {.picks = 4}, {.most = 8, .samples = 2, .seed = seed});
    auto rows = rows_of(got);
    const double with = double(reference::joint_information(p, rows));
    rows.pop_back();
    off += double(got[3].score) - (with - double(reference::joint_information(p, rows)));
  }
  EXPECT_LT(std::fabs(off / 400), 0.02);
}

TEST(BatchBald, RowsWithoutInformationFollowInOrder) {
  cube x{3, 5, 2, std::vector<float>(30, 0.0f)};
  EXPECT_EQ(batch_bald(cpu{}, x.view(), outputs::logits, {.picks = 9}),
            (picks{{0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}}));
  for (index_t e = 0; e < 3; ++e) x.at(e, 3, 0) = float(e * 9);
  const picks got = batch_bald(cpu{}, x.view(), outputs::logits, {.picks = 3});
  EXPECT_EQ(rows_of(got), (std::vector<index_t>{3, 0, 1}));
  EXPECT_GT(got[0].score, 0.1f);
}

std::size_t peak_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::size_t(usage.ru_maxrss) * 1024;
}

// 16 rows fill the configurations to a half, and the others, whose labels are certain, add none.
TEST(BatchBald, PicksWhoseLabelsAreCertainTakeNoMemory) {
  std::mt19937 next(13);
  std::uniform_real_distribution<float> unsure(0.1f, 0.9f);
  cube x{2, 60, 2, std::vector<float>(240)};
  for (index_t e = 0; e < 2; ++e)
    for (index_t i = 0; i < 60; ++i) {
      x.at(e, i, 0) = i < 16 ? unsure(next) : 1.0f;
      x.at(e, i, 1) = 1 - x.at(e, i, 0);
    }
  const joint_configurations most{.most = 1 << 17};
  [[maybe_unused]] const std::size_t before = peak_bytes();
  batch_run counts;
  const picks got = batch_bald(cpu{1}, x.view(), outputs::probabilities, {.picks = 60}, most, &counts);
  EXPECT_EQ(got.size(), 60u);
  EXPECT_EQ(counts.exact, 60);
  expect_distinct(got);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)  // sanitizers hold back what is freed, and more
  // What is promised is 5 MB; a list for each of the picks would be 70.
  EXPECT_LT(peak_bytes() - before, 40u << 20);
#endif
}

TEST(BatchBald, ProbabilitiesAndShortFormats) {
  const cube x = random_logits(3, 40, 4, 10);
  const auto p = probabilities(x);
  cube given = x;
  std::vector<bfloat16> narrow;
  for (index_t e = 0; e < 3; ++e)
    for (index_t i = 0; i < 40; ++i)
      for (index_t c = 0; c < 4; ++c) {
        given.at(e, i, c) = float(p[std::size_t(e)][std::size_t(i)][std::size_t(c)]);
        narrow.push_back({std::uint16_t(
            std::bit_cast<std::uint32_t>(float(std::lround(given.at(e, i, c) * 64)) / 64) >> 16)});
      }
  const picks logits = batch_bald(cpu{}, x.view(), outputs::logits, {.picks = 5});
  const picks same = batch_bald(cpu{}, given.view(), outputs::probabilities, {.picks = 5});
  EXPECT_EQ(rows_of(same), rows_of(logits));
  cube wide = x;
  for (std::size_t j = 0; j < narrow.size(); ++j) wide.values[j] = to_float(narrow[j]);
  EXPECT_EQ(
      batch_bald(cpu{}, cube_view<const bfloat16>{narrow.data(), 3, 40, 4}, outputs::logits, {.picks = 5}),
      batch_bald(cpu{}, wide.view(), outputs::logits, {.picks = 5}));
}

// As in `score`: rounding leaves noise about 0.
TEST(BatchBald, AProbabilityBelowZeroCountsByItsSize) {
  std::vector<float> sizes{0.5f, 0.499f, 0.001f, 0.75f, 0.25f, 0,
                           0.9f, 0.1f,   0,      0.2f,  0.3f,  0.5f};  // [2, 2, 3]
  const cube_view<const float> view{sizes.data(), 2, 2, 3};
  const picks expected = batch_bald(cpu{1}, view, outputs::probabilities, {.picks = 2});
  sizes[2] = -sizes[2];
  EXPECT_EQ(batch_bald(cpu{1}, view, outputs::probabilities, {.picks = 2}), expected);
}

TEST(BatchBald, EmptyPoolsAndNoPicks) {
  EXPECT_TRUE(batch_bald(cpu{}, cube{2, 0, 3, {}}.view(), outputs::logits, {.picks = 3}).empty());
  EXPECT_TRUE(batch_bald(cpu{}, random_logits(2, 4, 3, 1).view(), outputs::logits, {.picks = 0}).empty());
}

TEST(BatchBald, WrongUsesAreRefused) {
  cube x = random_logits(2, 4, 2, 11);
  const auto with = [&](const cube& of, const allowance& limit, joint_configurations configurations) {
    return message_of<error>([&] { batch_bald(cpu{}, of.view(), outputs::logits, limit, configurations); });
  };
  EXPECT_EQ(with(x, {.picks = 1}, {.most = 0}), "batch_bald: got 0 configurations; pass at least 1");
  EXPECT_EQ(with(x, {.picks = 1}, {.samples = -2}), "batch_bald: got -2 samples; pass at least 1");
  EXPECT_EQ(with(x, {.picks = -1}, {}), "batch_bald: the number of picks is -1; it must be 0 or more");
  EXPECT_EQ(with({0, 4, 2, {}}, {.picks = 1}, {}),
            "batch_bald: x has 0 members; pass the outputs of at least one");
  EXPECT_EQ(with({2, 4, 0, {}}, {.picks = 1}, {}), "batch_bald: x has 0 classes; pass at least one");
  x.at(1, 2, 1) = nan;
  x.at(0, 3, 0) = nan;
  EXPECT_EQ(with(x, {.picks = 1}, {}),
            "batch_bald: row 2 of member 1 holds NaN in column 1 (2 such rows); leave these rows out");
  EXPECT_THROW(batch_bald(cuda{}, x.view(), outputs::logits, {.picks = 1}), no_cuda_error);
}

}  // namespace
}  // namespace poolwise
