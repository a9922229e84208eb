// The committee scorers against their definitions in long double, and the two ways to feed them.
#include "poolwise/committee/committee.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/committee.hpp"
#include "reference/outputs.hpp"

namespace poolwise {
namespace {

using reference::inf;
using reference::real;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

const std::vector<disagreement> all_at_once{disagreement::bald,         disagreement::consensus_entropy,
                                            disagreement::vote_entropy, disagreement::variation_ratio,
                                            disagreement::max_kl,       disagreement::mean_std};
const std::vector<disagreement> all_streaming{disagreement::bald, disagreement::consensus_entropy,
                                              disagreement::vote_entropy, disagreement::variation_ratio,
                                              disagreement::mean_std};

template <class T>
struct cube {
  index_t members, rows, cols;
  std::vector<T> data;

  T& operator()(index_t k, index_t i, index_t c) { return data[std::size_t((k * rows + i) * cols + c)]; }
  cube_view<const T> view() const { return {data.data(), members, rows, cols}; }
  reference::committee committee_of(outputs kind, index_t i) const {
    reference::committee all;
    for (index_t k = 0; k < members; ++k) {
      const T* x = view().member(k).row(i);
      reference::row values;
      for (index_t c = 0; c < cols; ++c) values.push_back(real(to_float(x[c])));
      all.members.push_back(reference::distribution_of(kind, values));
    }
    return all;
  }
};

template <class T>
cube<T> random_cube(outputs kind, index_t members, index_t rows, index_t cols, unsigned seed) {
  return {members, rows, cols, reference::random_outputs<T>(kind, members * rows, cols, seed).data};
}

template <class T>
std::vector<float> scores_of(const cube<T>& x, outputs kind, const std::vector<disagreement>& which,
                             cpu on = {}) {
  std::vector<float> scores(std::size_t(x.rows) * which.size(), -7.0f);
  score_committee(on, x.view(), kind, which, {scores.data(), x.rows, index_t(which.size())});
  return scores;
}

template <class T>
std::vector<float> streamed(const cube<T>& x, outputs kind, const std::vector<disagreement>& which,
                            cpu on = {}) {
  committee_accumulator gathered(x.rows, x.cols, which);
  for (index_t k = 0; k < x.members; ++k) gathered.add(on, x.view().member(k), kind);
  EXPECT_EQ(gathered.members(), x.members);
  std::vector<float> scores(std::size_t(x.rows) * which.size(), -7.0f);
  gathered.finish(on, {scores.data(), x.rows, index_t(which.size())});
  return scores;
}

real exact(const reference::committee& all, disagreement which) {
  switch (which) {
    case disagreement::bald:
      return all.bald();
    case disagreement::consensus_entropy:
      return all.consensus_entropy();
    case disagreement::vote_entropy:
      return all.vote_entropy();
    case disagreement::variation_ratio:
      return all.variation_ratio();
    case disagreement::max_kl:
      return all.max_kl();
    case disagreement::mean_std:
      return all.mean_std();
  }
  return nan;
}

// A member's probability is off by 140 units of rounding (8.4e-6) of itself at the worst, see score.cpp, and
// its entropy by 4e-6 (1 + H). An error of d in every term of an entropy moves it by d (1 + H), so that BALD
// and the entropy of the mean stay within 12.4e-6 (1 + H). KL is a cross-entropy, KL + H[p^e], less an
// entropy; H[p^e] <= ln cols. A standard deviation moves by no more than the largest error of a probability.
// Votes are exact, and their entropy is a handful of roundings.
real tolerance(const reference::committee& all, disagreement which, real want) {
  const real scale = 1 + all.consensus_entropy();
  switch (which) {
    case disagreement::bald:
    case disagreement::consensus_entropy:
      return 12.4e-6L * scale;
    case disagreement::max_kl:
      return 12.4e-6L * (1 + want + std::log(real(all.classes())));
    case disagreement::mean_std:
      return 8.4e-6L;
    case disagreement::vote_entropy:
      return 1e-6L * scale;
    case disagreement::variation_ratio:
      return 0x1p-24L;
  }
  return 0;
}

template <class T>
class Committee : public testing::Test {};
using element_types = testing::Types<float, float16, bfloat16>;
TYPED_TEST_SUITE(Committee, element_types);

TYPED_TEST(Committee, EveryDisagreementMatchesItsDefinitionAtEveryShape) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t members : {1, 2, 3, 10})
      for (index_t cols : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33, 65, 256, 257, 600})
        for (index_t rows : {1, 15, 17, 33}) {
          if (rows * cols * members > 20000 && rows > 1) continue;
          SCOPED_TRACE("members " + std::to_string(members) + " rows " + std::to_string(rows) + " cols " +
                       std::to_string(cols));
          const auto x = random_cube<TypeParam>(kind, members, rows, cols, unsigned(cols + 31 * rows));
          const auto got = scores_of(x, kind, all_at_once);
          for (index_t i = 0; i < rows; ++i) {
            const auto all = x.committee_of(kind, i);
            for (std::size_t d = 0; d < all_at_once.size(); ++d) {
              const real want = exact(all, all_at_once[d]);
              const float is = got[std::size_t(i) * all_at_once.size() + d];
              ASSERT_NEAR(is, want, tolerance(all, all_at_once[d], want)) << "row " << i << " score " << d;
              ASSERT_GE(is, 0.0f);
            }
          }
        }
}

TYPED_TEST(Committee, StreamingGivesTheBitsOfTheCubeForAnyThreadCountAndTarget) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (auto [rows, cols] : {std::pair<index_t, index_t>{1, 1}, {37, 3}, {7000, 10}, {500, 259}}) {
      SCOPED_TRACE(cols);
      const auto x = random_cube<TypeParam>(kind, 4, rows, cols, 5);
      const auto want = scores_of(x, kind, all_streaming, cpu{1});
      const auto with_kl = scores_of(x, kind, all_at_once, cpu{1});
      reference::on_every_target([&] {
        for (int threads : {1, 2, 5}) {
          EXPECT_TRUE(reference::same_bits(scores_of(x, kind, all_streaming, cpu{threads}), want)) << threads;
          EXPECT_TRUE(reference::same_bits(scores_of(x, kind, all_at_once, cpu{threads}), with_kl)) << threads;
          EXPECT_TRUE(reference::same_bits(streamed(x, kind, all_streaming, cpu{threads}), want)) << threads;
        }
      });
    }
}

TYPED_TEST(Committee, OneDisagreementAloneHasTheBitsItHasAmongOthers) {
  const auto x = random_cube<TypeParam>(outputs::logits, 5, 21, 12, 8);
  const auto together = scores_of(x, outputs::logits, all_at_once);
  for (std::size_t d = 0; d < all_at_once.size(); ++d) {
    const auto alone = scores_of(x, outputs::logits, {all_at_once[d]});
    for (std::size_t i = 0; i < 21; ++i) EXPECT_EQ(alone[i], together[i * all_at_once.size() + d]);
  }
}

// BALD is the mean divergence from the consensus is the Jensen-Shannon divergence: the definitions agree to
// long double, and the kernel's BALD is the difference of the entropies that the row scorer gives.
TEST(CommitteeIdentity, BaldIsTheMeanDivergenceAndTheEntropyDifference) {
  for (outputs kind : {outputs::logits, outputs::probabilities}) {
    const auto x = random_cube<float>(kind, 6, 40, 10, 77);
    const auto got = scores_of(x, kind, {disagreement::bald, disagreement::consensus_entropy});
    std::vector<float> member_entropy(6 * 40);
    score(cpu{}, matrix_view<const float>{x.data.data(), 6 * 40, 10}, kind, acquisition::entropy,
          {member_entropy.data(), 6 * 40});
    for (index_t i = 0; i < 40; ++i) {
      const auto all = x.committee_of(kind, i);
      const real slack = kind == outputs::logits ? 1e-15L : 1e-6L;  // given probabilities sum to 1 in fp32 only
      EXPECT_NEAR(all.bald(), all.mean_kl(), slack);
      const float bald = got[std::size_t(2 * i)], consensus = got[std::size_t(2 * i + 1)];
      EXPECT_NEAR(bald, all.mean_kl(), 12.4e-6L * (1 + all.consensus_entropy()));
      float sum = 0;
      for (index_t k = 0; k < 6; ++k) sum += member_entropy[std::size_t(k * 40 + i)];
      EXPECT_NEAR(bald, std::max(0.0f, consensus - sum / 6), 1e-6f);
    }
  }
}

TEST(CommitteeIdentity, MembersThatAgreeDoNotDisagree) {
  cube<float> x{7, 20, 9, {}};
  const auto one = reference::random_outputs<float>(outputs::logits, 20, 9, 2);
  for (int k = 0; k < 7; ++k) x.data.insert(x.data.end(), one.data.begin(), one.data.end());
  const auto got = scores_of(x, outputs::logits, all_at_once);
  for (std::size_t i = 0; i < 20; ++i) {
    const float* s = &got[i * all_at_once.size()];
    EXPECT_NEAR(s[0], 0, 1e-6);  // BALD
    EXPECT_EQ(s[2], 0);          // votes
    EXPECT_EQ(s[3], 0);
    EXPECT_NEAR(s[4], 0, 2e-6);  // max KL
    // Seven equal terms: the mean is off by no more than 7 units of rounding, and so are the deviations.
    EXPECT_NEAR(s[5], 0, 7 * 0x1p-24);
  }
}

TEST(CommitteeIdentity, MembersThatSwearByDifferentClasses) {
  // Three members, each sure of a class of its own: entropy of the mean ln 3, of each member 0.
  cube<float> x{3, 1, 4, std::vector<float>(12, -inf)};
  for (index_t k = 0; k < 3; ++k) x(k, 0, k) = 1.0f;
  const auto got = scores_of(x, outputs::logits, all_at_once);
  const float ln3 = std::log(3.0f);
  EXPECT_FLOAT_EQ(got[0], ln3);
  EXPECT_FLOAT_EQ(got[1], ln3);
  EXPECT_FLOAT_EQ(got[2], ln3);
  EXPECT_FLOAT_EQ(got[3], 2.0f / 3);
  EXPECT_FLOAT_EQ(got[4], ln3);
  EXPECT_FLOAT_EQ(got[5], 3 * std::sqrt(2.0f) / 3 / 4);  // three classes at sqrt(2)/3, one at 0
}

// Probabilities may sum to a little more than 1, and ln of a mean above 1 is above 0.
TEST(Committee, NoEntropyOfTheMeanIsBelowZero) {
  const cube<float> x{2, 1, 2, {1.0009f, 0, 1.0009f, 0}};
  for (const float s : scores_of(x, outputs::probabilities, all_at_once)) EXPECT_GE(s, 0.0f);
}

TEST(Committee, AVoteGoesToTheLowestOfEqualClasses) {
  // Members vote 1, 1 and 2: by the tie rule the first member's vote is for class 1, not 2.
  cube<float> x{3, 1, 3, {0, 5, 5, 0, 5, 4, 0, 4, 5}};
  EXPECT_FLOAT_EQ(scores_of(x, outputs::logits, {disagreement::variation_ratio})[0], 1.0f / 3);
  cube<float> p{2, 1, 3, {0.5f, 0.5f, 0, 1, 0, 0}};
  EXPECT_EQ(scores_of(p, outputs::probabilities, {disagreement::vote_entropy})[0], 0.0f);
}

TYPED_TEST(Committee, OneBadMemberMakesTheRowNaNAndNoOther) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (float bad : {nan, inf})
      for (index_t cols : {3, 300}) {
        auto x = random_cube<TypeParam>(kind, 4, 33, cols, 9);
        const auto clean = scores_of(x, kind, all_at_once);
        x(2, 16, 1) = reference::narrow<TypeParam>(bad);
        const auto got = scores_of(x, kind, all_at_once);
        const auto stream = streamed(x, kind, all_streaming);
        for (std::size_t i = 0; i < 33; ++i)
          for (std::size_t d = 0; d < all_at_once.size(); ++d) {
            const float s = got[i * all_at_once.size() + d];
            if (i == 16)
              EXPECT_TRUE(std::isnan(s)) << d;
            else
              EXPECT_EQ(s, clean[i * all_at_once.size() + d]);
          }
        for (std::size_t d = 0; d < all_streaming.size(); ++d)
          EXPECT_TRUE(std::isnan(stream[16 * all_streaming.size() + d]));
      }
}

TEST(CommitteeAccumulator, MoreMembersMayFollowAFinish) {
  const auto x = random_cube<float>(outputs::logits, 5, 50, 6, 4);
  committee_accumulator gathered(50, 6, all_streaming);
  for (index_t k = 0; k < 5; ++k) {
    gathered.add(cpu{}, x.view().member(k), outputs::logits);
    std::vector<float> scores(50 * all_streaming.size());
    gathered.finish(cpu{}, {scores.data(), 50, index_t(all_streaming.size())});
    const cube<float> so_far{k + 1, 50, 6, {x.data.begin(), x.data.begin() + (k + 1) * 300}};
    EXPECT_EQ(scores, scores_of(so_far, outputs::logits, all_streaming));
  }
  committee_accumulator moved = std::move(gathered);
  EXPECT_EQ(moved.members(), 5);
}

TEST(CommitteeAccumulator, MembersMayHoldLogitsOrProbabilities) {
  const std::vector<float> z{0.0f, 1.0f}, p{0.25f, 0.75f};
  committee_accumulator gathered(1, 2, std::vector{disagreement::bald});
  gathered.add(cpu{}, matrix_view<const float>{z.data(), 1, 2}, outputs::logits);
  gathered.add(cpu{}, matrix_view<const float>{p.data(), 1, 2}, outputs::probabilities);
  float s = -7;
  gathered.finish(cpu{}, {&s, 1, 1});
  const reference::committee both{{reference::softmax({0, 1}), reference::as_given({0.25L, 0.75L})}};
  EXPECT_NEAR(s, both.bald(), 1e-6);
}

TEST(Committee, NoRows) {
  score_committee(cpu{}, cube_view<const float>{nullptr, 2, 0, 3}, outputs::logits, all_at_once,
                  {nullptr, 0, 6});
  committee_accumulator gathered(0, 3, all_streaming);
  gathered.add(cpu{}, matrix_view<const float>{nullptr, 0, 3}, outputs::logits);
  gathered.finish(cpu{}, {nullptr, 0, 5});
  predictive_variance(cpu{}, {nullptr, 2, 0, 3}, {nullptr, 0});
}

TEST(Committee, WrongUsesAreRefused) {
  const auto x = random_cube<float>(outputs::logits, 2, 3, 4, 1);
  std::vector<float> s(18);
  const std::vector<disagreement> two{disagreement::bald, disagreement::mean_std};
  using reference::message_of;
  EXPECT_EQ(
      message_of<shape_error>([&] {
        score_committee(cpu{}, x.view(), outputs::logits, two, {s.data(), 3, 1});
      }),
      "score_committee: scores is [3, 1] but 3 rows and 2 disagreements need [3, 2]; pass one row per row "
      "and one column per disagreement");
  EXPECT_EQ(message_of<shape_error>([&] {
              score_committee(cpu{}, cube_view<const float>{s.data(), 0, 3, 4}, outputs::logits, two,
                              {s.data(), 3, 2});
            }),
            "score_committee: x has 0 members; pass the outputs of at least one");
  EXPECT_EQ(message_of<shape_error>([&] {
              score_committee(cpu{}, cube_view<const float>{s.data(), 2, 3, 0}, outputs::logits, two,
                              {s.data(), 3, 2});
            }),
            "score_committee: got 0 columns; pass from 1 to 2^31 - 1 classes");
  EXPECT_EQ(message_of<value_error>([&] { committee_accumulator(3, 4, all_at_once); }),
            "committee_accumulator: asked for max_kl, which needs all members at once; call score_committee");
  EXPECT_EQ(message_of<shape_error>([&] { committee_accumulator(3, 0, two); }),
            "committee_accumulator: got 0 columns; pass from 1 to 2^31 - 1 classes");
  EXPECT_EQ(message_of<shape_error>([&] { committee_accumulator(-1, 4, two); }),
            "committee_accumulator: got -1 rows; pass 0 or more");
  committee_accumulator gathered(3, 4, two);
  EXPECT_EQ(message_of<value_error>([&] {
              gathered.finish(cpu{}, {s.data(), 3, 2});
            }),
            "committee_accumulator::finish: no member has come; add at least one first");
  EXPECT_EQ(
      message_of<shape_error>([&] {
        gathered.add(cpu{}, matrix_view<const float>{s.data(), 4, 3}, outputs::logits);
      }),
      "committee_accumulator::add: member is [4, 3] but the committee is [3, 4]; pass outputs of that shape");
  if (!built_with_cuda) {
    EXPECT_THROW(score_committee(cuda{}, x.view(), outputs::logits, two, {s.data(), 3, 2}), no_cuda_error);
    EXPECT_THROW(gathered.add(cuda{}, x.view().member(0), outputs::logits), no_cuda_error);
  }
  EXPECT_EQ(gathered.members(), 0);
}

// The variance of fp32 numbers by two passes in long double. Welford in double is off by some 1e-16 of the
// squared size of the numbers, and the result is rounded to fp32 once.
TEST(PredictiveVariance, MatchesTheDefinition) {
  std::mt19937_64 engine(12);
  std::normal_distribution<float> normal;
  for (index_t members : {1, 2, 3, 50})
    for (index_t outs : {1, 2, 7, 5000})
      for (float offset : {0.0f, 1e4f}) {
        const index_t rows = outs > 1000 ? 3 : 33;
        std::vector<float> f(std::size_t(members * rows * outs));
        for (float& x : f) x = offset + normal(engine);
        const cube_view<const float> view{f.data(), members, rows, outs};
        std::vector<float> got(std::size_t(rows), -7.0f), again(got);
        predictive_variance(cpu{1}, view, {got.data(), rows});
        for (int threads : {2, 5}) {
          predictive_variance(cpu{threads}, view, {again.data(), rows});
          EXPECT_EQ(again, got);
        }
        for (index_t i = 0; i < rows; ++i) {
          real want = 0;
          for (index_t c = 0; c < outs; ++c) {
            real mean = 0, squares = 0;
            for (index_t k = 0; k < members; ++k) mean += view.member(k)(i, c) / real(members);
            for (index_t k = 0; k < members; ++k)
              squares += (view.member(k)(i, c) - mean) * (view.member(k)(i, c) - mean);
            want += squares / real(members * outs);
          }
          ASSERT_NEAR(got[std::size_t(i)], want, 0x1p-24L * want + 1e-14L * offset * offset);
        }
      }
}

TEST(PredictiveVariance, APredictionThatIsNotFiniteMakesItsRowNaN) {
  for (float bad : {nan, inf, -inf})
    for (std::size_t at : {3u, 11u, 19u}) {  // row 1, output 1, of each of three members
      std::vector<float> f(24, 2.0f), v(4);
      f[at] = bad;
      predictive_variance(cpu{}, {f.data(), 3, 4, 2}, {v.data(), 4});
      EXPECT_TRUE(std::isnan(v[1]));
      EXPECT_EQ(v[0] + v[2] + v[3], 0.0f);
    }
}

TEST(PredictiveVariance, WrongUsesAreRefused) {
  std::vector<float> f(24), v(4);
  using reference::message_of;
  EXPECT_EQ(message_of<shape_error>([&] {
              predictive_variance(cpu{}, {f.data(), 3, 4, 2}, {v.data(), 3});
            }),
            "predictive_variance: variance has 3 places but predictions has 4 rows; pass one place per row");
  EXPECT_EQ(message_of<shape_error>([&] {
              predictive_variance(cpu{}, {f.data(), 0, 4, 2}, {v.data(), 4});
            }),
            "predictive_variance: predictions is [0, 4, 2]; pass at least one member and one output");
  if (!built_with_cuda) {
    EXPECT_THROW(predictive_variance(cuda{}, {f.data(), 3, 4, 2}, {v.data(), 4}), no_cuda_error);
  }
}

}  // namespace
}  // namespace poolwise
