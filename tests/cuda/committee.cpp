// The committee scorers on a device against their definitions in long double, and the two ways to feed them.
#include "poolwise/committee/committee.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/topk/topk.hpp"
#include "reference/committee.hpp"
#include "reference/committee_cases.hpp"
#include "reference/on_device.hpp"
#include "reference/outputs.hpp"

namespace poolwise {
namespace {

using reference::all_at_once;
using reference::all_streaming;
using reference::cube;
using reference::inf;
using reference::nan;
using ::reference::on_device;
using reference::random_cube;
using reference::real;

template <class T>
std::vector<float> scores_of(const cube<T>& x, outputs kind, const std::vector<disagreement>& which,
                             std::size_t offset = 0, cuda on = {}) {
  const on_device<T> data(x.data, offset);
  const index_t wanted = index_t(which.size());
  const auto scores = on_device<float>::room(x.rows * wanted);
  score_committee(on, cube_view<const T>{data.data(), x.members, x.rows, x.cols}, kind, which,
                  {scores.data(), x.rows, wanted});
  return scores.to_host();
}

template <class T>
std::vector<float> streamed(const cube<T>& x, outputs kind, const std::vector<disagreement>& which,
                            cuda on = {}) {
  const on_device<T> data(x.data);
  const cube_view<const T> view{data.data(), x.members, x.rows, x.cols};
  const index_t wanted = index_t(which.size());
  const auto scores = on_device<float>::room(x.rows * wanted);
  committee_accumulator all(x.rows, x.cols, which, on);
  for (index_t k = 0; k < x.members; ++k) all.add(on, view.member(k), kind);
  all.finish(on, {scores.data(), x.rows, wanted});
  return scores.to_host();
}

/// A member's entropy is off by less than its probabilities are.
constexpr real entropies = 8.4e-6L;

const auto at_once = [](const auto& x, outputs kind, const auto& which) { return scores_of(x, kind, which); };
const auto one_by_one = [](const auto& x, outputs kind, const auto& which) { return streamed(x, kind, which); };

template <class T>
void expect_exact(const cube<T>& x, outputs kind, const std::vector<float>& got) {
  reference::expect_exact(x, kind, got, entropies);
}

template <class T>
class CudaCommittee : public testing::Test {};
TYPED_TEST_SUITE(CudaCommittee, reference::element_types);

TYPED_TEST(CudaCommittee, EveryDisagreementMatchesItsDefinitionAtEveryShape) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t members : {1, 3, 10})
      for (index_t cols : {1, 2, 3, 4, 10, 31, 32, 33, 128, 129, 600, 2049}) {
        const index_t rows = cols < 20 ? 37 : cols < 200 ? 9 : 1;
        if (cols > 500 && members == 10) continue;
        SCOPED_TRACE("members " + std::to_string(members) + " cols " + std::to_string(cols));
        const auto x = random_cube<TypeParam>(kind, members, rows, cols, unsigned(cols + 31 * rows));
        expect_exact(x, kind, scores_of(x, kind, all_at_once));
      }
}

// Around the columns that a thread, a warp and a block have, and where rows get too long for them.
TYPED_TEST(CudaCommittee, EveryWayToShareARow) {
  for (index_t cols : {5, 8, 9, 16, 17, 64, 65, 100, 256, 512, 513, 1000, 1025, 4097, 8192, 8193})
    for (outputs kind : {outputs::logits, outputs::probabilities}) {
      const index_t rows = cols < 100 ? 67 : cols < 1000 ? 5 : 1;
      SCOPED_TRACE("cols " + std::to_string(cols));
      const auto x = random_cube<TypeParam>(kind, 2, rows, cols, unsigned(cols));
      const auto got = scores_of(x, kind, all_at_once);
      expect_exact(x, kind, got);
      // Nothing is allocated up to 8192 columns.
      const cuda ceiling{0, nullptr, cols <= 8192 ? std::size_t{1} : 0};
      EXPECT_TRUE(reference::same_bits(scores_of(x, kind, all_at_once, 3, ceiling), got));
    }
}

// All of a row is its largest element, or all but one, or all of the columns of some threads.
TYPED_TEST(CudaCommittee, MassiveTiesForTheLargest) {
  for (index_t cols : {2, 10, 33, 100, 700, 1500, 8300}) {
    const index_t rows = 6;
    cube<TypeParam> x{2, rows, cols, {}};
    for (index_t at = 0; at < 2 * rows * cols; ++at) {
      const index_t row = at / cols % rows, c = at % cols;
      const bool low = (row == 1 && c == 0) || (row == 2 && c == cols - 1) || (row == 3 && c % 2 == 0) ||
                       (row == 4 && c >= cols / 2) || (row == 5 && c > 0);
      x.data.push_back(reference::narrow<TypeParam>(low ? -17.0f : 3.0f));
    }
    SCOPED_TRACE("cols " + std::to_string(cols));
    const auto got = scores_of(x, outputs::logits, all_at_once);
    expect_exact(x, outputs::logits, got);
    for (std::size_t i = 0; i < std::size_t(rows); ++i) EXPECT_EQ(got[i * all_at_once.size() + 3], 0.0f);
  }
}

// The state of a row that is too long, that a block has, that a warp has, and that a few threads have, with
// padding between rows and another type.
TEST(CudaCommitteeAccumulator, MembersOfAnyTypeAndStrideMakeOneState) {
  for (index_t cols : {3, 20, 130, 1100, 8200}) {
    const index_t rows = cols < 100 ? 300 : 3, stride = cols + 5;
    const auto a = reference::random_outputs<float>(outputs::logits, rows, stride, 1);
    const auto b = reference::random_outputs<float16>(outputs::probabilities, rows, cols, 2);
    const on_device<float> first(a.data);
    const on_device<float16> second(b.data, 1);
    committee_accumulator gathered(rows, cols, all_streaming, cuda{});
    gathered.add(cuda{}, matrix_view<const float>{first.data(), rows, cols, stride}, outputs::logits);
    gathered.add(cuda{}, second.rows(rows, cols), outputs::probabilities);
    const auto room = on_device<float>::room(rows * index_t(all_streaming.size()));
    gathered.finish(cuda{}, {room.data(), rows, index_t(all_streaming.size())});
    const auto got = room.to_host();
    for (index_t i = 0; i < rows; ++i) {
      reference::row z, p;
      for (index_t c = 0; c < cols; ++c) {
        z.push_back(real(a.data[std::size_t(i * stride + c)]));
        p.push_back(real(to_float(b.data[std::size_t(i * cols + c)])));
      }
      const reference::committee all{{reference::distribution_of(outputs::logits, z),
                                      reference::distribution_of(outputs::probabilities, p)}};
      SCOPED_TRACE(std::to_string(cols) + " columns, row " + std::to_string(i));
      reference::expect_exact(all, all_streaming, &got[std::size_t(i) * all_streaming.size()], entropies);
    }
  }
}

TYPED_TEST(CudaCommittee, LongRows) {
  const auto x = random_cube<TypeParam>(outputs::logits, 2, 2, 34000, 3);
  const auto got = scores_of(x, outputs::logits, all_at_once);
  expect_exact(x, outputs::logits, got);
  EXPECT_TRUE(reference::same_bits(scores_of(x, outputs::logits, all_at_once, 0, {0, nullptr, 300000}), got));
}

TYPED_TEST(CudaCommittee, StreamingGivesTheBitsOfTheCubeInAnyTileAndPlace) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (auto [rows, cols] : {std::pair<index_t, index_t>{1, 1}, {37, 3}, {300, 10}, {9, 259}, {2, 2100}}) {
      SCOPED_TRACE(cols);
      const auto x = random_cube<TypeParam>(kind, 4, rows, cols, 5);
      const auto want = scores_of(x, kind, all_streaming);
      const auto with_kl = scores_of(x, kind, all_at_once);
      EXPECT_TRUE(reference::same_bits(streamed(x, kind, all_streaming), want));
      EXPECT_TRUE(reference::same_bits(scores_of(x, kind, all_at_once, 1), with_kl));
      // A row or a few at a time: 80 bytes a row and, for the largest divergence, its logarithms.
      const std::size_t ceiling = std::size_t(3 * (80 + 4 * cols));
      EXPECT_TRUE(reference::same_bits(scores_of(x, kind, all_at_once, 0, {0, nullptr, ceiling}), with_kl));
      // The last row alone.
      cube<TypeParam> last{4, 1, cols, {}};
      for (index_t k = 0; k < 4; ++k) {
        const auto* row = x.view().member(k).row(rows - 1);
        last.data.insert(last.data.end(), row, row + cols);
      }
      const std::vector<float> tail(with_kl.end() - index_t(all_at_once.size()), with_kl.end());
      EXPECT_TRUE(reference::same_bits(scores_of(last, kind, all_at_once), tail));
    }
}

TEST(CudaCommittee, OneDisagreementAloneHasTheBitsItHasAmongOthers) {
  reference::expect_each_alone_as_among_others<float>(at_once);
  // More columns than one launch writes.
  const auto x = random_cube<float>(outputs::logits, 5, 21, 12, 8);
  const std::size_t n = all_streaming.size();
  std::vector<disagreement> many;
  for (std::size_t d = 0; d < 20; ++d) many.push_back(all_streaming[d % n]);
  const auto few = scores_of(x, outputs::logits, all_streaming);
  for (const auto& got : {scores_of(x, outputs::logits, many), streamed(x, outputs::logits, many)})
    for (std::size_t i = 0; i < 21; ++i)
      for (std::size_t d = 0; d < 20; ++d) EXPECT_EQ(got[i * 20 + d], few[i * n + d % n]);
}

TEST(CudaCommitteeIdentity, BaldIsTheMeanDivergence) {
  const auto x = random_cube<float>(outputs::logits, 6, 40, 10, 77);
  const auto got = scores_of(x, outputs::logits, {disagreement::bald});
  for (index_t i = 0; i < 40; ++i) {
    const auto all = x.committee_of(outputs::logits, i);
    EXPECT_NEAR(got[std::size_t(i)], all.mean_kl(), 8.4e-6L * (1 + all.consensus_entropy()));
  }
}

TEST(CudaCommitteeIdentity, MembersThatAgreeDoNotDisagree) {
  for (index_t cols : {9, 70}) reference::expect_agreement(cols, 2e-6L, 4e-6L, 9, at_once);
}

TEST(CudaCommitteeIdentity, MembersThatSwearByDifferentClasses) {
  reference::expect_each_swears_by_its_own(9e-7L, at_once);
}

TEST(CudaCommittee, AVoteGoesToTheLowestOfEqualClasses) {
  reference::expect_votes_for_the_lowest_of_equals(at_once);
}

TYPED_TEST(CudaCommittee, OneBadMemberMakesTheRowNaNAndNoOther) {
  reference::expect_one_bad_member_spoils_its_row_alone<TypeParam>(at_once, one_by_one);
}

TEST(CudaCommittee, PicksAreTheCpusOnSeparatedScoresAndOnMassiveTies) {
  // Two members, the more apart the higher the row; then the same 5 rows again and again.
  for (index_t different : {199, 5}) {
    cube<float> x{2, 400, 10, std::vector<float>(8000, 0.0f)};
    for (index_t i = 0; i < 400; ++i) {
      x(0, i, 2) = float(i * 37 % different) / 32;
      x(1, i, 7) = float(i * 37 % different) / 32;
    }
    std::vector<float> host(400);
    score_committee(cpu{}, x.view(), outputs::logits, std::vector{disagreement::bald}, {host.data(), 400, 1});
    const auto device = scores_of(x, outputs::logits, {disagreement::bald});
    const auto want = top_k(cpu{}, {host.data(), 400}, 100), got = top_k(cpu{}, {device.data(), 400}, 100);
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].row, want[i].row) << i;
  }
}

TEST(CudaCommitteeAccumulator, MoreMembersMayFollowAFinish) {
  const auto x = random_cube<float>(outputs::logits, 5, 50, 6, 4);
  const on_device<float> data(x.data);
  const cube_view<const float> view{data.data(), 5, 50, 6};
  committee_accumulator gathered(50, 6, all_streaming, cuda{});
  const auto scores = on_device<float>::room(50 * index_t(all_streaming.size()));
  for (index_t k = 0; k < 5; ++k) {
    gathered.add(cuda{}, view.member(k), outputs::logits);
    gathered.finish(cuda{}, {scores.data(), 50, index_t(all_streaming.size())});
    const cube<float> so_far{k + 1, 50, 6, {x.data.begin(), x.data.begin() + (k + 1) * 300}};
    EXPECT_EQ(scores.to_host(), scores_of(so_far, outputs::logits, all_streaming));
  }
  committee_accumulator moved = std::move(gathered);
  EXPECT_EQ(moved.members(), 5);
}

TEST(CudaCommitteeAccumulator, MembersMayHoldAnythingAndLieAnywhere) {
  const on_device<float> z(std::vector<float>{0.0f, 1.0f, 9, 2.0f, 1.0f});  // padded: stride 3
  const on_device<float16> p(std::vector<float16>{{0x3400}, {0x3a00}, {0x3800}, {0x3800}}, 1);  // .25 .75 .5 .5
  committee_accumulator gathered(2, 2, std::vector{disagreement::bald}, cuda{});
  gathered.add(cuda{}, matrix_view<const float>{z.data(), 2, 2, 3}, outputs::logits);
  gathered.add(cuda{}, p.rows(2, 2), outputs::probabilities);
  const auto room = on_device<float>::room(2);
  gathered.finish(cuda{}, {room.data(), 2, 1});
  const auto got = room.to_host();
  const reference::committee first{{reference::softmax({0, 1}), reference::as_given({0.25L, 0.75L})}};
  const reference::committee second{{reference::softmax({2, 1}), reference::as_given({0.5L, 0.5L})}};
  EXPECT_NEAR(got[0], first.bald(), 1e-6);
  EXPECT_NEAR(got[1], second.bald(), 1e-6);
}

TEST(CudaCommitteeAccumulator, AnotherPlaceIsRefused) {
  const on_device<float> x(std::vector<float>(6, 1.0f));
  const auto scores = on_device<float>::room(3);
  const matrix_view<const float> member = x.rows(3, 2);
  const std::vector<disagreement> bald{disagreement::bald};
  committee_accumulator there(3, 2, bald, cuda{}), here(3, 2, bald);
  using reference::message_of;
  EXPECT_EQ(message_of<value_error>([&] { there.add(cpu{}, member, outputs::logits); }),
            "committee_accumulator::add: asked of the CPU, but the members so far are on CUDA device 0 and its "
            "stream; pass where the accumulator was made");
  EXPECT_THROW(there.add(cuda{1}, member, outputs::logits), value_error);
  EXPECT_THROW(here.add(cuda{}, member, outputs::logits), value_error);
  EXPECT_THROW(here.finish(cuda{}, {scores.data(), 3, 1}), value_error);
  EXPECT_THROW(there.finish(cuda{}, {scores.data(), 3, 1}), value_error);  // no member has come
  EXPECT_THROW(committee_accumulator(1000, 10, bald, cuda{0, nullptr, 5000}), memory_error);
}

TEST(CudaCommittee, NoRows) {
  score_committee(cuda{}, cube_view<const float>{nullptr, 2, 0, 3}, outputs::logits, all_at_once,
                  {nullptr, 0, index_t(all_at_once.size())});
  committee_accumulator gathered(0, 3, all_streaming, cuda{});
  gathered.add(cuda{}, matrix_view<const float>{nullptr, 0, 3}, outputs::logits);
  gathered.finish(cuda{}, {nullptr, 0, index_t(all_streaming.size())});
  predictive_variance(cuda{}, {nullptr, 2, 0, 3}, {nullptr, 0});
}

TEST(CudaCommittee, WrongUsesAreRefused) {
  const auto x = on_device<float>::room(24);
  const auto s = on_device<float>::room(18);
  const std::vector<disagreement> two{disagreement::bald, disagreement::mean_std};
  const cube_view<const float> view{x.data(), 2, 3, 4};
  EXPECT_THROW(score_committee(cuda{}, view, outputs::logits, two, {s.data(), 3, 1}), shape_error);
  EXPECT_THROW(committee_accumulator(3, 4, all_at_once, cuda{}), value_error);
  EXPECT_THROW(predictive_variance(cuda{}, view, {s.data(), 2}), shape_error);
}

// As on the CPU: Welford in double, rounded to fp32 once.
TEST(CudaPredictiveVariance, MatchesTheDefinition) {
  std::mt19937_64 engine(12);
  std::normal_distribution<float> normal;
  for (index_t members : {1, 3, 20})
    for (index_t outs : {1, 2, 7, 33, 500})
      for (float offset : {0.0f, 1e4f}) {
        const index_t rows = outs > 100 ? 3 : 33;
        std::vector<float> f(std::size_t(members * rows * outs));
        for (float& x : f) x = offset + normal(engine);
        const cube_view<const float> view{f.data(), members, rows, outs};
        const on_device<float> data(f);
        const auto room = on_device<float>::room(rows);
        predictive_variance(cuda{}, {data.data(), members, rows, outs}, room.view());
        const auto got = room.to_host();
        for (index_t i = 0; i < rows; ++i) {
          const real want = reference::variance_of(view, i);
          ASSERT_NEAR(got[std::size_t(i)], want, 0x1p-24L * want + 1e-14L * offset * offset);
        }
      }
}

TEST(CudaPredictiveVariance, APredictionThatIsNotFiniteMakesItsRowNaN) {
  reference::expect_a_bad_prediction_spoils_its_row_alone([](const cube_view<const float>& f) {
    const on_device<float> data({f.data, f.data + f.members * f.rows * f.cols});
    const auto room = on_device<float>::room(f.rows);
    predictive_variance(cuda{}, {data.data(), f.members, f.rows, f.cols}, room.view());
    return room.to_host();
  });
}

}  // namespace
}  // namespace poolwise
