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
#include "reference/committee_cases.hpp"
#include "reference/outputs.hpp"

namespace poolwise {
namespace {

using reference::all_at_once;
using reference::all_streaming;
using reference::cube;
using reference::inf;
using reference::nan;
using reference::random_cube;
using reference::real;

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

/// 8.4e-6 of a member's probabilities and 4e-6 of its entropy.
constexpr real entropies = 12.4e-6L;

const auto at_once = [](const auto& x, outputs kind, const auto& which) { return scores_of(x, kind, which); };
const auto one_by_one = [](const auto& x, outputs kind, const auto& which) { return streamed(x, kind, which); };

template <class T>
void expect_exact(const cube<T>& x, outputs kind, const std::vector<float>& got) {
  reference::expect_exact(x, kind, got, entropies);
}

template <class T>
class Committee : public testing::Test {};
TYPED_TEST_SUITE(Committee, reference::element_types);

TYPED_TEST(Committee, EveryDisagreementMatchesItsDefinitionAtEveryShape) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t members : {1, 2, 3, 10})
      for (index_t cols : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 33, 65, 256, 257, 600})
        for (index_t rows : {1, 15, 17, 33}) {
          if (rows * cols * members > 20000 && rows > 1) continue;
          SCOPED_TRACE("members " + std::to_string(members) + " rows " + std::to_string(rows) + " cols " +
                       std::to_string(cols));
          const auto x = random_cube<TypeParam>(kind, members, rows, cols, unsigned(cols + 31 * rows));
          expect_exact(x, kind, scores_of(x, kind, all_at_once));
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
        for (int threads : {2, 5}) {
          EXPECT_TRUE(reference::same_bits(scores_of(x, kind, all_streaming, cpu{threads}), want)) << threads;
          EXPECT_TRUE(reference::same_bits(scores_of(x, kind, all_at_once, cpu{threads}), with_kl)) << threads;
          EXPECT_TRUE(reference::same_bits(streamed(x, kind, all_streaming, cpu{threads}), want)) << threads;
        }
      });
    }
}

TYPED_TEST(Committee, OneDisagreementAloneHasTheBitsItHasAmongOthers) {
  reference::expect_each_alone_as_among_others<TypeParam>(at_once);
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
  reference::expect_agreement(9, 1e-6L, 2e-6L, 7, at_once);
}

TEST(CommitteeIdentity, HoweverManyMembersAgreeTheyDoNotDisagree) {
  const cube<float> one = random_cube<float>(outputs::logits, 1, 4, 9, 5),
                    even{1, 1, 10, std::vector<float>(10, 0.0f)};
  for (const index_t members : {65, 1000, 100000})
    for (const auto* x : {&one, &even}) {
      SCOPED_TRACE(members);
      cube<float> all{members, x->rows, x->cols, {}};
      for (index_t k = 0; k < members; ++k) all.data.insert(all.data.end(), x->data.begin(), x->data.end());
      const std::vector<float> scores = scores_of(all, outputs::logits, all_at_once),
                               alone = scores_of(*x, outputs::logits, all_at_once);
      for (std::size_t i = 0; i < scores.size(); i += all_at_once.size()) {
        EXPECT_NEAR(scores[i], 0, 3e-6);
        EXPECT_NEAR(scores[i + 1], alone[i + 1], 5e-6);
        EXPECT_EQ(scores[i + 2], 0);  // votes
        EXPECT_EQ(scores[i + 3], 0);
        EXPECT_NEAR(scores[i + 4], 0, 5e-6);
        EXPECT_NEAR(scores[i + 5], 0, 2e-6);
      }
    }
}

TEST(CommitteeAccumulator, BlocksOfMembersHaveTheBitsOfTheCubeWheneverItFinishes) {
  for (const outputs kind : {outputs::logits, outputs::probabilities})
    for (const index_t members : {63, 64, 65, 128, 129, 200}) {
      SCOPED_TRACE(members);
      const auto x = random_cube<float>(kind, members, 37, 5, 8);
      expect_exact(x, kind, scores_of(x, kind, all_at_once));
      const auto want = scores_of(x, kind, all_streaming, cpu{1});
      EXPECT_TRUE(reference::same_bits(streamed(x, kind, all_streaming, cpu{3}), want));
      committee_accumulator gathered(x.rows, x.cols, all_streaming);
      std::vector<float> scores(want.size());
      for (index_t k = 0; k < members; ++k) {
        gathered.add(cpu{}, x.view().member(k), kind);
        gathered.finish(cpu{}, {scores.data(), x.rows, index_t(all_streaming.size())});
      }
      EXPECT_TRUE(reference::same_bits(scores, want));
    }
}

TEST(CommitteeIdentity, MembersThatSwearByDifferentClasses) {
  reference::expect_each_swears_by_its_own(4 * reference::unit, at_once);
}

// Probabilities may sum to a little more than 1, and ln of a mean above 1 is above 0.
TEST(Committee, NoEntropyOfTheMeanIsBelowZero) {
  const cube<float> x{2, 1, 2, {1.0009f, 0, 1.0009f, 0}};
  for (const float s : scores_of(x, outputs::probabilities, all_at_once)) EXPECT_GE(s, 0.0f);
}

TEST(Committee, RoundedProbabilitiesAreDividedByTheirSum) {
  reference::on_every_target([&] { reference::expect_rounded_members_to_be_divided(entropies, at_once); });
  const auto x = random_cube<bfloat16>(outputs::probabilities, 9, 40, 10, 3),
             y = random_cube<bfloat16>(outputs::probabilities, 9, 40, 300, 3);
  for (const auto& members : {x, y})
    EXPECT_TRUE(reference::same_bits(streamed(members, outputs::probabilities, all_streaming),
                                     scores_of(members, outputs::probabilities, all_streaming)));
}

TEST(Committee, AVoteGoesToTheLowestOfEqualClasses) {
  reference::expect_votes_for_the_lowest_of_equals(at_once);
}

TYPED_TEST(Committee, OneBadMemberMakesTheRowNaNAndNoOther) {
  reference::expect_one_bad_member_spoils_its_row_alone<TypeParam>(at_once, one_by_one);
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
                  {nullptr, 0, index_t(all_at_once.size())});
  committee_accumulator gathered(0, 3, all_streaming);
  gathered.add(cpu{}, matrix_view<const float>{nullptr, 0, 3}, outputs::logits);
  gathered.finish(cpu{}, {nullptr, 0, index_t(all_streaming.size())});
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
          const real want = reference::variance_of(view, i);
          ASSERT_NEAR(got[std::size_t(i)], want, 0x1p-24L * want + 1e-14L * offset * offset);
        }
      }
}

TEST(PredictiveVariance, APredictionThatIsNotFiniteMakesItsRowNaN) {
  reference::expect_a_bad_prediction_spoils_its_row_alone([](const cube_view<const float>& f) {
    std::vector<float> v(std::size_t(f.rows));
    predictive_variance(cpu{}, f, {v.data(), f.rows});
    return v;
  });
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
