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
#include "reference/outputs.hpp"
#include "reference/score.hpp"

namespace poolwise {
namespace {

using reference::inf;
using reference::matrix;
using reference::real;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr real unit = 0x1p-24L;  // of rounding

const std::vector<acquisition> all_of_logits{acquisition::least_confidence, acquisition::margin,
                                             acquisition::ratio, acquisition::entropy, acquisition::energy};
const std::vector<acquisition> all_of_probabilities{acquisition::least_confidence, acquisition::margin,
                                                    acquisition::ratio, acquisition::entropy};

const std::vector<acquisition>& all_of(outputs kind) {
  return kind == outputs::logits ? all_of_logits : all_of_probabilities;
}

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

real exact(const reference::row& x, outputs kind, acquisition which) {
  const auto d = reference::distribution_of(kind, x);
  switch (which) {
    case acquisition::least_confidence:
      return kind == outputs::logits ? d.others() : 1 - d.p[d.argmax];
    case acquisition::margin:
      return (kind == outputs::logits ? d.others() : 1 - d.p[d.argmax]) + d.second();
    case acquisition::ratio:
      return d.second() / d.p[d.argmax];
    case acquisition::entropy:
      return d.entropy();
    case acquisition::energy:
      return reference::energy(x);
  }
  return nan;
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
using element_types = testing::Types<float, float16, bfloat16>;
TYPED_TEST_SUITE(Score, element_types);

TYPED_TEST(Score, EveryAcquisitionMatchesItsDefinitionAtEveryShape) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : {1,  2,  3,  4,  5,   7,   8,   9,   10,  15,   16,   17,   31,   32,  33,
                         63, 64, 65, 79, 255, 256, 257, 259, 513, 1000, 2047, 2048, 2049, 4100})
      for (index_t rows : {1, 7, 16, 17, 40, 64, 131}) {
        if (rows * cols > 40'000) continue;
        SCOPED_TRACE("rows " + std::to_string(rows) + " cols " + std::to_string(cols));
        auto x = reference::random_outputs<TypeParam>(kind, rows, cols, unsigned(rows * 1000 + cols));
        const auto& which = all_of(kind);
        const auto got = scores_of(x.view(), kind, which);
        for (index_t i = 0; i < rows; ++i)
          for (std::size_t a = 0; a < which.size(); ++a) {
            const real want = exact(x.values(i), kind, which[a]);
            const real far = tolerance(want, kind, which[a]);
            ASSERT_NEAR(got[std::size_t(i) * which.size() + a], want, far) << "row " << i << " score " << a;
          }
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
  float before = inf;
  for (int gap = 0; gap <= 80; ++gap) {
    std::vector<float> z(10, 0.0f);
    z[3] = float(gap);
    const float h = score_of(z, outputs::logits, acquisition::entropy);
    const real want = exact({z.begin(), z.end()}, outputs::logits, acquisition::entropy);
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
  std::mt19937_64 engine(3);
  std::normal_distribution<float> normal;
  const index_t cols = 100003;
  matrix<float> z(3, cols), p(2, cols);
  for (index_t c = 0; c < cols; ++c) {
    z(0, c) = normal(engine);
    z(1, c) = c == 77777 ? 12.0f : -0.3f;  // one value again and again: the worst case of summing
    z(2, c) = float(c % 1000) / 100;       // a new largest in many a chunk
    p(0, c) = 1.0f / float(cols);
    p(1, c) = c % 2 ? 2.0f / float(cols) : 0.0f;
  }
  for (index_t i = 0; i < 3; ++i) {
    const real want = exact(z.values(i), outputs::logits, acquisition::entropy);
    EXPECT_NEAR(scores_of(z.view(), outputs::logits, {acquisition::entropy})[std::size_t(i)], want,
                4e-6L * (1 + want));
  }
  for (index_t i = 0; i < 2; ++i) {
    const real want = exact(p.values(i), outputs::probabilities, acquisition::entropy);
    EXPECT_NEAR(scores_of(p.view(), outputs::probabilities, {acquisition::entropy})[std::size_t(i)], want,
                4e-6L * (1 + want));
  }
}

TEST(Score, RowsThatNeedCare) {
  const auto all_scores = [](const std::vector<float>& z) {
    return scores_of(matrix_view<const float>{z.data(), 1, index_t(z.size())}, outputs::logits, all_of_logits);
  };
  // One class: nothing to doubt.
  EXPECT_EQ(all_scores({3.5f}), (std::vector<float>{0, 0, 0, 0, -3.5f}));
  // Every other class ruled out: the same.
  EXPECT_EQ(all_scores({-inf, 2.0f, -inf, -inf}), (std::vector<float>{0, 0, 0, 0, -2.0f}));
  // A tie of two: ln 2. The values beside them weigh nothing.
  const float half = std::log(2.0f);
  for (const auto& z : {std::vector<float>{1, 1, -inf}, {1, -200, 1}, {-3e38f, 3e38f, 3e38f}}) {
    const auto s = all_scores(z);
    EXPECT_FLOAT_EQ(s[0], 0.5f);
    EXPECT_FLOAT_EQ(s[1], 1.0f);
    EXPECT_FLOAT_EQ(s[2], 1.0f);
    EXPECT_FLOAT_EQ(s[3], half);
  }
  // +0 and -0 tie, and denormals differ from them by nothing that counts.
  EXPECT_FLOAT_EQ(all_scores({0.0f, -0.0f})[3], half);
  EXPECT_FLOAT_EQ(all_scores({1e-45f, 0.0f})[3], half);
  EXPECT_FLOAT_EQ(all_scores({-std::numeric_limits<float>::max(), -inf})[3], 0.0f);
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
  EXPECT_FLOAT_EQ(all_scores(twice)[3], half);
}

TEST(Score, ProbabilitiesAreTakenAsTheyAre) {
  EXPECT_EQ(score_of({1.0f}, outputs::probabilities, acquisition::margin), 0.0f);
  EXPECT_EQ(score_of({0, 1, 0}, outputs::probabilities, acquisition::entropy), 0.0f);
  EXPECT_EQ(score_of({-0.0f, 1}, outputs::probabilities, acquisition::entropy), 0.0f);
  EXPECT_NEAR(score_of({1e-45f, 1}, outputs::probabilities, acquisition::entropy), 0.0f, 2e-36f);
  EXPECT_EQ(score_of({0.5f, 0.5f}, outputs::probabilities, acquisition::ratio), 1.0f);
  EXPECT_EQ(score_of({0.25f, 0.75f}, outputs::probabilities, acquisition::margin), 0.5f);
  // Not renormalised: 0.9995 in all keeps its own largest.
  EXPECT_EQ(score_of({0.4995f, 0.5f}, outputs::probabilities, acquisition::least_confidence), 0.5f);
}

template <class T>
struct bad_row {
  outputs kind;
  std::vector<float> values;
  std::string why;
};

// Every way to have no distribution, in the middle of good rows, at several widths.
TYPED_TEST(Score, ARowWithoutADistributionScoresNaNAloneAndSaysWhy) {
  const std::vector<bad_row<TypeParam>> bad{
      {outputs::logits, {0, 1, nan}, "holds NaN in column 2"},
      {outputs::logits, {nan, 0, 1}, "holds NaN in column 0"},
      {outputs::logits, {nan, inf, 0}, "holds NaN in column 0"},
      {outputs::logits, {0, inf, 1}, "holds +Inf in column 1"},
      {outputs::logits, {-inf, -inf, inf}, "holds +Inf in column 2"},
      {outputs::logits, {-inf, -inf, -inf}, "is -Inf in every column"},
      {outputs::probabilities, {0.5f, nan, 0.5f}, "holds NaN in column 1"},
      {outputs::probabilities, {inf, 0, 0}, "holds +Inf in column 0"},
      {outputs::probabilities, {1.25f, -0.25f, 0}, "holds the negative probability -0.25 in column 1"},
      {outputs::probabilities, {1, -inf, 0}, "holds the negative probability -inf in column 1"},
      {outputs::probabilities, {0, 0, 0}, "sums to 0, not 1 within "},
      {outputs::probabilities, {1, 0.5f, 0.25f}, "sums to 1.75, not 1 within "},
  };
  for (index_t cols : {3, 20, 300})
    for (const auto& b : bad) {
      SCOPED_TRACE(b.why);
      auto x = reference::random_outputs<TypeParam>(b.kind, 35, cols, 23);
      const auto& which = all_of(b.kind);
      const auto clean = scores_of(x.view(), b.kind, which);
      for (index_t c = 0; c < cols; ++c)
        x(17, c) = reference::narrow<TypeParam>(c < 3                       ? b.values[std::size_t(c)]
                                                : b.kind == outputs::logits ? -inf
                                                                            : 0.0f);
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
    const float target = i % 2 ? 1.001f : 0.999f;
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
            "sums to 1.7, not 1 within 0.001 (are these logits?)");
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
  const std::vector<float> z{0, 2, 2, 1, 0, nan, 2, 2, -0.0f, 0.0f, 0.0f, -0.0f};
  std::vector<float> a(12);
  output_gradient(cpu{}, matrix_view<const float>{z.data(), 3, 4}, outputs::logits, {a.data(), 3, 4});
  EXPECT_LT(a[1], 0);
  EXPECT_GT(a[2], 0);
  for (std::size_t c = 4; c < 8; ++c) EXPECT_TRUE(std::isnan(a[c]));
  EXPECT_EQ((std::vector<float>(a.begin() + 8, a.end())), (std::vector<float>{-0.75f, 0.25f, 0.25f, 0.25f}));
}

TEST(Score, NoRows) {
  score(cpu{}, matrix_view<const float>{nullptr, 0, 5}, outputs::logits, all_of_logits, {nullptr, 0, 5});
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
