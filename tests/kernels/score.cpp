// The row scorers against their definitions in long double.
#include "poolwise/score/score.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/reduce/reduce.hpp"
#include "poolwise/score/label_scores.hpp"
#include "reference/outputs.hpp"
#include "reference/score.hpp"
#include "reference/score_cases.hpp"

namespace poolwise {
namespace {

using reference::all_of;
using reference::all_of_logits;
using reference::exact;
using reference::inf;
using reference::matrix;
using reference::nan;
using reference::real;
using reference::unit;

std::vector<float> scores_of(const real_matrix& x, outputs kind, const std::vector<acquisition>& which,
                             cpu on = {}) {
  std::vector<float> scores(std::size_t(rows_of(x)) * which.size(), -7.0f);
  score(on, x, kind, which, {scores.data(), rows_of(x), index_t(which.size())});
  return scores;
}

float score_of(const std::vector<float>& row, outputs kind, acquisition which) {
  float s = -7;
  score(cpu{1}, matrix_view<const float>{row.data(), 1, index_t(row.size())}, kind, which, {&s, 1});
  return s;
}

// How far a score may lie from the exact one. A term e^d is off by |d| units (the rounding of d = z - max) and
// 3 more (exp). Only terms with d > -30 weigh anything here. S' passes at most 64 additions within a partial
// sum, 5 to join these, and 3 to join the chunks: 105 units relative to S'; a quotient adds 4.
// For probabilities every score but entropy is one or two roundings of numbers up to 2 away.
real tolerance(real want, outputs kind, acquisition which) {
  const real sum = 109 * unit;
  switch (which) {
    case acquisition::entropy:
      return 4e-6L * (1 + want);  // the promise of the header
    case acquisition::energy:
      return sum + 2 * unit * std::abs(want);
    case acquisition::ratio:
      return kind == outputs::logits ? (33 * want + 1e-12L) * unit : unit;
    default:
      return kind == outputs::logits ? sum * want : 2 * unit;
  }
}

template <class T>
class Score : public testing::Test {};
TYPED_TEST_SUITE(Score, reference::element_types);

TYPED_TEST(Score, EveryAcquisitionMatchesItsDefinitionAtEveryShape) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : {1,  2,  3,  4,  5,   7,   8,   9,   10,  15,   16,   17,   31,   32,  33,
                         63, 64, 65, 79, 255, 256, 257, 259, 513, 1000, 2047, 2048, 2049, 4100})
      for (index_t rows : {1, 7, 16, 17, 40, 64, 131}) {
        if (rows * cols > 40'000) continue;
        SCOPED_TRACE("rows " + std::to_string(rows) + " cols " + std::to_string(cols));
        const auto x = reference::random_outputs<TypeParam>(kind, rows, cols, unsigned(rows * 1000 + cols));
        reference::expect_exact(x, kind, scores_of(x.view(), kind, all_of(kind)), tolerance);
      }
}

TYPED_TEST(Score, TheSameBitsForAnyThreadCountTargetStrideAndAlignment) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : {1, 2, 3, 4, 10, 17, 64, 79, 300, 2050}) {
      SCOPED_TRACE(cols);
      const index_t rows = 65536 / cols + 37;  // several blocks of work
      const auto x = reference::random_outputs<TypeParam>(kind, rows, cols, 11);
      const auto& which = all_of(kind);
      const auto want = scores_of(x.view(), kind, which, cpu{1});
      for (int threads : {2, 5})
        EXPECT_TRUE(reference::same_bits(scores_of(x.view(), kind, which, cpu{threads}), want)) << threads;

      // Padding of NaN between the rows must not be seen; an odd offset makes them unaligned.
      std::vector<TypeParam> padded(std::size_t(rows * (cols + 3) + 1), reference::narrow<TypeParam>(nan));
      const matrix_view<TypeParam> spread{padded.data() + 1, rows, cols, cols + 3};
      for (index_t i = 0; i < rows; ++i)
        for (index_t c = 0; c < cols; ++c) spread(i, c) = x(i, c);
      const matrix_view<const TypeParam> strided = spread;
      EXPECT_TRUE(reference::same_bits(scores_of(strided, kind, which), want));

      reference::on_every_target([&] {
        EXPECT_TRUE(reference::same_bits(scores_of(x.view(), kind, which), want));
        EXPECT_TRUE(reference::same_bits(scores_of(strided, kind, which), want));
      });
    }
}

// So many that they are written past the caches.
TEST(Score, MillionsOfScoresAreThoseOfThePieces) {
  for (std::size_t acquisitions : {1, 3}) {
    const index_t rows = (1 << 20) / index_t(acquisitions) + 70, piece = 10'000;
    const std::vector<acquisition> which(all_of_logits.begin() + 2, all_of_logits.begin() + 2 + acquisitions);
    const auto x = reference::random_outputs<float>(outputs::logits, rows, 2, 5);
    const auto whole = scores_of(x.view(), outputs::logits, which);
    for (index_t first = 0; first < rows; first += piece) {
      const matrix_view<const float> part{x.data.data() + 2 * first, std::min(piece, rows - first), 2};
      const auto got = scores_of(part, outputs::logits, which);
      ASSERT_TRUE(std::equal(got.begin(), got.end(), whole.begin() + first * index_t(acquisitions))) << first;
    }
  }
}

TYPED_TEST(Score, OneAcquisitionAloneHasTheBitsItHasAmongOthers) {
  for (outputs kind : {outputs::logits, outputs::probabilities}) {
    const auto x = reference::random_outputs<TypeParam>(kind, 53, 10, 3);
    const auto& which = all_of(kind);
    const auto together = scores_of(x.view(), kind, which);
    for (std::size_t a = 0; a < which.size(); ++a) {
      std::vector<float> alone(53);
      score(cpu{}, x.view(), kind, which[a], {alone.data(), 53});
      for (std::size_t i = 0; i < 53; ++i) EXPECT_EQ(alone[i], together[i * which.size() + a]);
    }
  }
}

// The two places where the block of rows ends at an unmapped page, so that one byte too many is a fault.
TYPED_TEST(Score, NothingPastTheLastElementIsRead) {
  const auto page = std::size_t(sysconf(_SC_PAGESIZE));
  const std::size_t room = 4 * page;
  auto* base = static_cast<char*>(
      mmap(nullptr, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(base, MAP_FAILED);
  ASSERT_EQ(mprotect(base + room, page, PROT_NONE), 0);
  for (index_t cols = 1; cols <= 20; ++cols)
    for (index_t rows : {1, 2, 15, 16, 17, 33}) {
      const auto x = reference::random_outputs<TypeParam>(outputs::logits, rows, cols, 5);
      auto* data = reinterpret_cast<TypeParam*>(base + room) - rows * cols;
      std::copy(x.data.begin(), x.data.end(), data);
      const matrix_view<const TypeParam> at_the_edge{data, rows, cols};
      const auto want = scores_of(x.view(), outputs::logits, {acquisition::entropy});
      reference::on_every_target([&] {
        EXPECT_EQ(scores_of(at_the_edge, outputs::logits, {acquisition::entropy}), want);
        std::vector<float> gradient(std::size_t(rows * cols));
        output_gradient(cpu{}, at_the_edge, outputs::logits, {gradient.data(), rows, cols});
      });
    }
  munmap(base, room + page);
}

// 999 classes about `gap` below the largest: entropy is (1 + gap) * 999 e^-gap there, far below the unit of
// rounding of 1, and only a form without cancellation keeps it. Random logits round in d = z - max by up to
// |d| units each, independently, so that 999 of them average to a tenth of that.
TEST(Entropy, ConfidentRowsAreExactRelativelyToTheirEntropy) {
  std::mt19937_64 engine(17);
  std::uniform_real_distribution<float> around(-0.5f, 0.5f), anywhere(-20.0f, 20.0f);
  for (float gap : {15.0f, 20.0f, 25.0f}) {
    std::vector<float> flat(1000, 0.0f);
    flat[123] = gap;
    const real want = exact({flat.begin(), flat.end()}, outputs::logits, acquisition::entropy);
    EXPECT_NEAR(score_of(flat, outputs::logits, acquisition::entropy), want, 2e-6L * want) << gap;
    for (int repeat = 0; repeat < 50; ++repeat) {
      const float offset = anywhere(engine);
      std::vector<float> z(1000);
      for (float& x : z) x = offset + around(engine);
      z[std::size_t(engine() % 1000)] = offset + gap;
      const real exactly = exact({z.begin(), z.end()}, outputs::logits, acquisition::entropy);
      EXPECT_NEAR(score_of(z, outputs::logits, acquisition::entropy), exactly, 2e-6L * exactly) << gap;
    }
  }
}

// With few classes nothing averages what the difference of logits rounds away, 2^-19 at most at gaps below 64,
// and exp errs by 2.5e-7 + 1.4e-8 * 40 there: 2.8e-6 in all, and a rounding or two for T.
TEST(Entropy, ConfidentRowsOfFewClassesToo) {
  std::mt19937_64 engine(18);
  std::uniform_real_distribution<float> gap(0.0f, 40.0f), offset(-1.0f, 1.0f);
  for (index_t cols : {2, 3}) {
    matrix<float> z(20'000, cols);
    for (index_t i = 0; i < z.rows; ++i) {
      for (index_t c = 0; c < cols; ++c) z(i, c) = offset(engine);
      z(i, index_t(engine() % std::uint64_t(cols))) += gap(engine);
    }
    const auto got = scores_of(z.view(), outputs::logits, {acquisition::entropy});
    for (index_t i = 0; i < z.rows; ++i) {
      const real want = exact(z.values(i), outputs::logits, acquisition::entropy);
      ASSERT_NEAR(got[std::size_t(i)], want, 3e-6L * want) << i;
    }
  }
}

TEST(Entropy, SmallEntropiesStayPositiveAndFallWithTheGap) {
  const auto z = reference::growing_gaps();
  const auto got = scores_of(z.view(), outputs::logits, {acquisition::entropy});
  float before = inf;
  for (index_t gap = 0; gap < z.rows; ++gap) {
    const float h = got[std::size_t(gap)];
    const real want = exact(z.values(gap), outputs::logits, acquisition::entropy);
    EXPECT_NEAR(h, want, 2e-6L * want) << gap;  // gaps of integers are exact, so this is exp and log1p alone
    EXPECT_LT(h, before);
    EXPECT_GT(h, 0);
    before = h;
  }
}

// log2 is within 4e-7 of itself, however close to 1; a product, a sum and ln 2 add a few units of rounding.
TEST(Entropy, ProbabilitiesNearZeroAndOneAreExactRelatively) {
  matrix<float> p(64 * 24, 2);
  for (index_t i = 0; i < p.rows; ++i) {
    p(i, 1) = std::ldexp(1 + float(i % 64) / 64, -2 - int(i / 64));
    p(i, 0) = 1 - p(i, 1);
  }
  const auto got = scores_of(p.view(), outputs::probabilities, {acquisition::entropy});
  for (index_t i = 0; i < p.rows; ++i) {
    const real want = exact(p.values(i), outputs::probabilities, acquisition::entropy);
    ASSERT_NEAR(got[std::size_t(i)], want, (4e-7L + 4 * unit) * want) << i;
  }
}

TEST(Entropy, WideRows) {
  for (outputs kind : {outputs::logits, outputs::probabilities}) {
    const auto x = reference::wide_rows(kind);
    const auto got = scores_of(x.view(), kind, {acquisition::entropy});
    for (index_t i = 0; i < x.rows; ++i) {
      const real want = exact(x.values(i), kind, acquisition::entropy);
      EXPECT_NEAR(got[std::size_t(i)], want, 4e-6L * (1 + want));
    }
  }
}

TEST(Score, RowsThatNeedCare) {
  const auto all_scores = [](const std::vector<float>& z) {
    return scores_of(matrix_view<const float>{z.data(), 1, index_t(z.size())}, outputs::logits, all_of_logits);
  };
  for (const auto& row : reference::rows_that_need_care<float>()) {
    ASSERT_EQ(row.want.size(), reference::all_of_probabilities.size());
    for (std::size_t cols : {row.first.size(), std::size_t{4}, std::size_t{600}}) {
      auto z = row.first;
      z.resize(cols, -inf);
      const auto got = all_scores(z);
      for (std::size_t a = 0; a < row.want.size(); ++a)
        EXPECT_FLOAT_EQ(got[a], row.want[a]) << z[0] << ' ' << a;
    }
  }
  // One class: nothing to doubt. Every other class ruled out: the same.
  EXPECT_EQ(all_scores({3.5f}), (std::vector<float>{0, 0, 0, 0, -3.5f}));
  EXPECT_EQ(all_scores({-inf, 2.0f, -inf, -inf}), (std::vector<float>{0, 0, 0, 0, -2.0f}));
  // All equal, across several chunks: ln(cols).
  EXPECT_FLOAT_EQ(all_scores(std::vector<float>(1000, -4.25f))[3], std::log(1000.0f));
  // A first chunk with nothing in it, then a largest far below and far above.
  std::vector<float> late(600, -inf);
  late[400] = -std::numeric_limits<float>::max();
  EXPECT_EQ(all_scores(late)[3], 0.0f);
  late[599] = 5.0f;
  EXPECT_EQ(all_scores(late)[3], 0.0f);
  // The largest again in a later chunk is a tie, not a new largest.
  std::vector<float> twice(600, -inf);
  twice[10] = twice[500] = 1.0f;
  EXPECT_FLOAT_EQ(all_scores(twice)[1], 1.0f);
  EXPECT_FLOAT_EQ(all_scores(twice)[3], std::log(2.0f));
}

TEST(Score, ProbabilitiesCountByTheirShareOfTheSum) {
  for (const auto& row : reference::rows_as_given)
    EXPECT_EQ(score_of(row.p, outputs::probabilities, row.which), row.want) << row.p[0];
  EXPECT_NEAR(score_of({1e-45f, 1}, outputs::probabilities, acquisition::entropy), 0.0f, 2e-36f);
  for (index_t cols : {2, 10, 70, 300}) {
    const auto x = reference::rounded_rows(70, cols);
    const auto kind = outputs::probabilities;
    reference::on_every_target(
        [&] { reference::expect_exact(x, kind, scores_of(x.view(), kind, all_of(kind)), tolerance); });
  }
}

// Every way to have no distribution, in the middle of good rows, at several widths.
TYPED_TEST(Score, ARowWithoutADistributionScoresNaNAloneAndSaysWhy) {
  for (index_t cols : {3, 20, 300})
    for (const auto& b : reference::bad_rows) {
      SCOPED_TRACE(b.why);
      auto x = reference::random_outputs<TypeParam>(b.kind, 35, cols, 23);
      const auto& which = all_of(b.kind);
      const auto clean = scores_of(x.view(), b.kind, which);
      reference::plant(b, x, 17, 0);
      reference::on_every_target([&] {
        const auto got = scores_of(x.view(), b.kind, which);
        for (std::size_t i = 0; i < got.size(); ++i) {
          if (i / which.size() == 17)
            EXPECT_TRUE(std::isnan(got[i])) << i;
          else
            EXPECT_EQ(got[i], clean[i]) << i;
        }
      });
      EXPECT_EQ(why_invalid(x.view(), b.kind, 17).substr(0, b.why.size()), b.why);
      for (index_t i = 0; i < 35; ++i) EXPECT_EQ(why_invalid(x.view(), b.kind, i).empty(), i != 17) << i;
    }
}

// At the edge of the tolerance the sum's last bits decide; the reason must exist exactly where the score is
// NaN.
TEST(WhyInvalid, AgreesWithTheScoreAtTheEdgeOfTheTolerance) {
  std::mt19937_64 engine(31);
  std::uniform_real_distribution<float> part(0.0f, 1.0f);
  int invalid = 0;
  const index_t rows = 400, cols = 50;
  matrix<float> p(rows, cols);
  for (index_t i = 0; i < rows; ++i) {
    float sum = 0;
    for (index_t c = 0; c < cols; ++c) sum += p(i, c) = part(engine);
    const float target = i % 2 ? 1.05f : 0.95f;
    for (index_t c = 0; c < cols; ++c) p(i, c) *= target / sum;
  }
  const auto scores = scores_of(p.view(), outputs::probabilities, {acquisition::entropy});
  for (index_t i = 0; i < rows; ++i) {
    invalid += std::isnan(scores[std::size_t(i)]);
    EXPECT_EQ(why_invalid(p.view(), outputs::probabilities, i).empty(), !std::isnan(scores[std::size_t(i)]))
        << i;
  }
  EXPECT_GT(invalid, rows / 20);
  EXPECT_LT(invalid, rows - rows / 20);
}

TEST(WhyInvalid, SaysHowFarTheSumIsOffAndSuspectsLogits) {
  const std::vector<float> p{1.0f, 0.7f};
  EXPECT_EQ(why_invalid(matrix_view<const float>{p.data(), 1, 2}, outputs::probabilities, 0),
            "sums to 1.7, not 1 within 0.05 (are these logits?)");
  EXPECT_EQ(why_invalid(matrix_view<const float>{p.data(), 1, 2}, outputs::logits, 0), "");
}

// p - onehot(argmax): an entry of p is off by S''s 100 units and its own rounding; the predicted class's is the
// least confidence with its sign turned.
TYPED_TEST(Score, TheOutputGradientMatchesItsDefinition) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : {1, 2, 3, 4, 9, 16, 33, 257, 1000}) {
      SCOPED_TRACE(cols);
      const index_t rows = 37;
      const auto x = reference::random_outputs<TypeParam>(kind, rows, cols, unsigned(cols));
      std::vector<float> wide(std::size_t(rows * (cols + 2)), 9.0f);
      const matrix_view<float> a{wide.data(), rows, cols, cols + 2};
      output_gradient(cpu{}, x.view(), kind, a);
      const auto confidence = scores_of(x.view(), kind, {acquisition::least_confidence});
      for (index_t i = 0; i < rows; ++i) {
        const auto d = reference::distribution_of(kind, x.values(i));
        for (index_t c = 0; c < cols; ++c) {
          const real missing = confidence[std::size_t(i)];
          if (std::size_t(c) == d.argmax)  // the sums of `score`, perhaps in another order
            EXPECT_NEAR(a(i, c), -missing, 2 * tolerance(missing, kind, acquisition::least_confidence));
          else
            ASSERT_NEAR(a(i, c), d.p[std::size_t(c)], 140 * unit * d.p[std::size_t(c)] + 2e-38L)
                << i << ' ' << c;
        }
        EXPECT_EQ(wide[std::size_t(i * (cols + 2) + cols)], 9.0f);
      }
      const std::vector<float> once = wide;
      reference::on_every_target([&] {
        for (int threads : {1, 2, 5}) {
          output_gradient(cpu{threads}, x.view(), kind, a);
          EXPECT_TRUE(reference::same_bits(wide, once));
        }
      });
    }
}

TEST(OutputGradient, TiesGoToTheLowestClassAndABadRowIsNaN) {
  const auto z = reference::tied_rows();
  std::vector<float> a(12);
  output_gradient(cpu{}, z.view(), outputs::logits, {a.data(), 3, 4});
  EXPECT_LT(a[1], 0);
  EXPECT_GT(a[2], 0);
  for (std::size_t c = 4; c < 8; ++c) EXPECT_TRUE(std::isnan(a[c]));
  EXPECT_EQ((std::vector<float>(a.begin() + 8, a.end())), (std::vector<float>{-0.75f, 0.25f, 0.25f, 0.25f}));
}

// ---- Labels that are independent of each other

std::vector<label_acquisition> all_of_labels() {
  std::vector<label_acquisition> all;
  for (const label_acquisition_entry& a : label_acquisitions()) all.push_back(a.id);
  return all;
}

std::vector<float> label_scores_of(const real_matrix& x, outputs kind, cpu on = {}) {
  const auto which = all_of_labels();
  std::vector<float> scores(std::size_t(rows_of(x)) * which.size(), -7.0f);
  score_labels(on, x, kind, which, {scores.data(), rows_of(x), index_t(which.size())});
  return scores;
}

/// By the definitions, in the order of the table.
std::vector<real> exact_label_scores(const reference::row& x, outputs kind) {
  real entropies = 0, misses = 0, most_entropy = 0, most_miss = 0, least_margin = 1;
  for (const real value : x) {
    const real miss =
        kind == outputs::logits ? 1 / (1 + std::exp(std::abs(value))) : std::min(value, 1 - value);
    const real hit = kind == outputs::logits ? 1 / (1 + std::exp(-std::abs(value))) : 1 - miss;
    const real log_hit = std::log1p(-miss),
               log_miss = kind == outputs::logits ? log_hit - std::abs(value) : std::log(miss);
    const real entropy = reference::surprise(miss, log_miss) + reference::surprise(hit, log_hit);
    entropies += entropy, misses += miss;
    most_entropy = std::max(most_entropy, entropy), most_miss = std::max(most_miss, miss);
    least_margin = std::min(least_margin, hit - miss);
  }
  const real labels = real(x.size());
  return {entropies, entropies / labels, most_entropy, misses, misses / labels, most_miss, 1 - least_margin};
}

// A label's entropy is off by 3 units (exp) and by |z| of the rounding of z; the sum of up to 4,100 of them by
// at most 109 units, as above.
TYPED_TEST(Score, LabelsMatchTheirDefinitionsOnEveryTarget) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : {1, 2, 3, 8, 9, 65, 257, 1000, 4100}) {
      SCOPED_TRACE(cols);
      matrix<TypeParam> x(37, cols);
      std::mt19937_64 engine{std::uint64_t(cols)};
      std::normal_distribution<float> normal;
      for (TypeParam& value : x.data) {
        const float z = 6 * normal(engine);
        value = reference::narrow<TypeParam>(kind == outputs::logits ? z : 1 / (1 + std::exp(-z)));
      }
      const auto got = label_scores_of(x.view(), kind, cpu{1});
      const std::size_t columns = label_acquisitions().size();
      for (index_t i = 0; i < x.rows; ++i) {
        const auto want = exact_label_scores(x.values(i), kind);
        for (std::size_t a = 0; a < columns; ++a)
          ASSERT_NEAR(got[std::size_t(i) * columns + a], want[a], 4e-6L * (want[a] + 1e-30L))
              << i << " " << label_acquisitions()[a].name;
      }
      reference::on_every_target(
          [&] { EXPECT_TRUE(reference::same_bits(label_scores_of(x.view(), kind, cpu{3}), got)); });
    }
}

TEST(LabelScores, TwoClassesBySoftmaxAreOneLabelBySigmoid) {
  for (const float z : {-40.0f, -3.0f, 0.0f, 0.5f, 20.0f}) {
    const auto labels = label_scores_of(matrix_view<const float>{&z, 1, 1}, outputs::logits);
    const float entropy = score_of({0, z}, outputs::logits, acquisition::entropy),
                confidence = score_of({0, z}, outputs::logits, acquisition::least_confidence),
                margin = score_of({0, z}, outputs::logits, acquisition::margin);
    for (const int a : {0, 1, 2}) EXPECT_NEAR(labels[std::size_t(a)], entropy, 4e-6f * entropy);
    for (const int a : {3, 4, 5}) EXPECT_NEAR(labels[std::size_t(a)], confidence, 4e-6f * confidence);
    EXPECT_NEAR(labels[6], margin, 4e-6f * margin);
  }
}

TEST(LabelScores, ARowWithoutProbabilitiesIsNaNAndSaysWhy) {
  const auto reason = [](std::vector<float> row, outputs kind) {
    row.insert(row.end(), {0.5f, 0.5f});
    const matrix_view<const float> x{row.data(), 1, index_t(row.size())};
    const std::string why = why_no_labels(x, kind, 0);
    for (const float score : label_scores_of(x, kind)) EXPECT_EQ(std::isnan(score), !why.empty());
    return why;
  };
  EXPECT_EQ(reason({0, nan}, outputs::logits), "holds NaN in column 1");
  EXPECT_EQ(reason({inf}, outputs::logits), "holds +Inf in column 0");
  EXPECT_EQ(reason({-inf, 500, -1e30f}, outputs::logits), "");
  EXPECT_EQ(reason({0, 1, -1e-7f, 1 + 1e-6f}, outputs::probabilities), "");
  EXPECT_EQ(reason({1, 1.01f}, outputs::probabilities),
            "holds 1.01 in column 1, which is no probability from 0 to 1 (are these logits?)");
  EXPECT_EQ(reason({-0.01f}, outputs::probabilities),
            "holds -0.01 in column 0, which is no probability from 0 to 1 (are these logits?)");
  EXPECT_EQ(reason({-inf}, outputs::probabilities),
            "holds -inf in column 0, which is no probability from 0 to 1 (are these logits?)");
  const float z = 0;
  float s = 0;
  const auto asked = [&](index_t rows, index_t cols, index_t places) {
    return reference::message_of<shape_error>([&] {
      score_labels(cpu{}, matrix_view<const float>{&z, rows, cols}, outputs::logits, label_acquisition::binmin,
                   vector_view<float>{&s, places});
    });
  };
  EXPECT_EQ(asked(1, 0, 1), "score_labels: x has 0 columns; pass at least one label");
  EXPECT_EQ(asked(1, 1, 0),
            "score_labels: scores is [0, 1] but x has 1 rows and 1 acquisitions were asked for; "
            "pass one place for each");
  EXPECT_EQ(reference::message_of<value_error>([&] {
              why_no_labels(matrix_view<const float>{&z, 1, 1}, outputs::logits, 1);
            }),
            "why_no_labels: asked for row 1 of 1; pass a row of x");
}

// ---- Items of several parts

TEST(Reduce, ItemsAreMadeOfTheirPartsInOrder) {
  std::mt19937_64 engine{9};
  std::vector<float> values;
  std::vector<index_t> offsets = {0};
  for (index_t items = 0; items < 700; ++items) {
    for (index_t n = index_t(engine() % 9); n > 0; --n) values.push_back(float(engine() % 1000) / 7 - 50);
    offsets.push_back(index_t(values.size()));
  }
  values[std::size_t(offsets[33])] = nan;
  const index_t items = index_t(offsets.size()) - 1;
  for (const char* word : {"sum", "mean", "max", "top1", "top3", "top1000"}) {
    const reduction how = parse_reduction(word);
    EXPECT_EQ(name_of(how), word);
    std::vector<float> got(static_cast<std::size_t>(items)), again = got;
    const auto reduce = [&](int threads, std::vector<float>& into) {
      reduce_parts(cpu{threads}, {values.data(), index_t(values.size())}, {offsets.data(), items + 1}, how,
                   {into.data(), items});
    };
    reduce(1, got);
    reduce(3, again);
    EXPECT_TRUE(reference::same_bits(got, again));
    for (index_t i = 0; i < items; ++i) {
      std::vector<float> parts(values.begin() + offsets[std::size_t(i)],
                               values.begin() + offsets[std::size_t(i) + 1]);
      const auto spoilt = std::any_of(parts.begin(), parts.end(), [](float x) { return std::isnan(x); });
      std::sort(parts.rbegin(), parts.rend());
      std::size_t counted = parts.size();
      if (word == std::string("max") || how.most == 1) counted = 1;
      if (how.most == 3) counted = 3;
      parts.resize(std::min(parts.size(), counted));
      real sum = 0;
      for (const float x : parts) sum += real(x);
      if (spoilt || (parts.empty() && word != std::string("sum"))) {
        EXPECT_TRUE(std::isnan(got[std::size_t(i)])) << word << i;
      } else {
        EXPECT_NEAR(got[std::size_t(i)], word == std::string("sum") ? sum : sum / real(parts.size()),
                    1e-5 * (1 + std::abs(double(sum))));
      }
    }
  }
  float item = 7;
  reduce_parts(cpu{}, {}, vector_view<const index_t>{offsets.data(), 1}, {}, {});
  reference::message_of<shape_error>([&] { reduce_parts(cpu{}, {}, {offsets.data(), 1}, {}, {&item, 1}); });
  const std::vector<index_t> falls = {0, 2, 1, 3};
  std::vector<float> three(3);
  const auto refused = [&](std::vector<index_t> at) {
    return reference::message_of<value_error>([&] {
      reduce_parts(cpu{}, {values.data(), 3}, {at.data(), 4}, {}, {three.data(), 3});
    });
  };
  EXPECT_EQ(refused(falls),
            "reduce_parts: offset 2 is 1, less than the one before it, 2; sort the parts by their items");
  EXPECT_EQ(refused({0, 1, 2, 4}),
            "reduce_parts: the offsets go from 0 to 4, and there are 3 parts; they are to "
            "begin at 0 and to end at the number of parts");
  for (const char* word : {"", "median", "top", "top0", "top-1", "top2.5", "TOP2"})
    EXPECT_THROW(parse_reduction(word), usage_error) << word;
}

TEST(Score, NoRows) {
  score(cpu{}, matrix_view<const float>{nullptr, 0, 5}, outputs::logits, all_of_logits,
        {nullptr, 0, index_t(all_of_logits.size())});
  output_gradient(cpu{}, matrix_view<const float>{nullptr, 0, 5}, outputs::logits, {nullptr, 0, 5});
}

TEST(Score, WrongUsesAreRefused) {
  const std::vector<float> x(6, 0.5f);
  const matrix_view<const float> m{x.data(), 3, 2};
  std::vector<float> s(6);
  const std::vector<acquisition> two{acquisition::entropy, acquisition::margin};
  using reference::message_of;
  EXPECT_EQ(message_of<shape_error>([&] {
              score(cpu{}, m, outputs::logits, two, {s.data(), 2, 2});
            }),
            "score: scores has 2 rows but x has 3; pass one row of scores per row of x");
  EXPECT_EQ(message_of<shape_error>([&] {
              score(cpu{}, m, outputs::logits, two, {s.data(), 3, 1});
            }),
            "score: scores has 1 column but 2 acquisitions were asked for; pass one column per acquisition");
  EXPECT_EQ(message_of<shape_error>([&] {
              score(cpu{}, m, outputs::logits, acquisition::entropy, {s.data(), 2});
            }),
            "score: scores has 2 places but x has 3 rows; pass one place per row");
  EXPECT_EQ(message_of<shape_error>([&] {
              score(cpu{}, matrix_view<const float>{x.data(), 3, 0}, outputs::logits, two, {s.data(), 3, 2});
            }),
            "score: x has 0 columns; pass at least one class");
  EXPECT_EQ(message_of<value_error>([&] {
              score(cpu{}, m, outputs::probabilities, acquisition::energy, {s.data(), 3});
            }),
            "score: energy was asked of probabilities, which do not have it; pass logits, or ask for another "
            "acquisition");
  EXPECT_EQ(message_of<shape_error>([&] {
              output_gradient(cpu{}, m, outputs::logits, {s.data(), 2, 3});
            }),
            "output_gradient: a is [2, 3] but x is [3, 2]; pass an array of the shape of x");
  EXPECT_EQ(message_of<value_error>([&] { why_invalid(m, outputs::logits, 3); }),
            "why_invalid: asked for row 3 of 3; pass a row of x");
  if (!built_with_cuda) {
    EXPECT_THROW(score(cuda{}, m, outputs::logits, two, {s.data(), 3, 2}), no_cuda_error);
    EXPECT_THROW(output_gradient(cuda{}, m, outputs::logits, {s.data(), 3, 2}), no_cuda_error);
  }
}

}  // namespace
}  // namespace poolwise
