// Top-k against a stable sort, whole, in parts, and in any order.
#include "poolwise/topk/topk.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/topk/best_rows.hpp"
#include "poolwise/topk/detail/guess.hpp"
#include "reference/cpu_targets.hpp"
#include "reference/errors.hpp"
#include "reference/top_k.hpp"

namespace poolwise {
namespace {

using reference::message_of;
using floats = std::vector<float>;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

vector_view<const float> view(const floats& x) { return {x.data(), index_t(x.size())}; }

floats random_scores(std::size_t size, std::uint32_t seed) {
  std::mt19937 next(seed);
  floats scores(size);
  for (float& s : scores) s = float(next()) * 0x1p-32f;
  return scores;
}

/// Orders and values that a threshold could trip over.
std::map<std::string, floats> awkward_scores(std::size_t size) {
  std::map<std::string, floats> all;
  all["random"] = random_scores(size, 1);
  all["ascending"] = random_scores(size, 2);
  std::sort(all["ascending"].begin(), all["ascending"].end());
  all["descending"] = floats(all["ascending"].rbegin(), all["ascending"].rend());
  all["all equal"] = floats(size, 0.25f);
  all["all -inf"] = floats(size, -infinity);
  all["all +inf"] = floats(size, infinity);
  std::mt19937 next(3);
  const auto choose = [&](floats from) {
    floats scores(size);
    for (float& s : scores) s = from[next() % from.size()];
    return scores;
  };
  all["few values"] = choose({0.5f, 1.0f, 1.5f});
  all["signed zeros"] = choose({0.0f, -0.0f});
  all["denormals"] = choose({0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1.8p-127f, 0x1p-126f});
  all["infinities"] = choose({-infinity, infinity, 0.0f, std::numeric_limits<float>::max()});
  return all;
}

void expect_best(const std::vector<candidate>& got, const floats& scores, index_t k) {
  const auto rows = reference::top_k(scores, std::size_t(k));
  ASSERT_EQ(got.size(), rows.size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    ASSERT_EQ(got[r].row, index_t(rows[r])) << "rank " << r;
    ASSERT_EQ(got[r].score, scores[rows[r]]) << "rank " << r;
  }
}

TEST(TopK, IsTheHeadOfAStableSortOnEveryTarget) {
  reference::for_each_cpu_target([] {
    for (const std::size_t size : {0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1000, 5000, 70000})
      for (const auto& [name, scores] : awkward_scores(size))
        for (const std::size_t k :
             {std::size_t(0), std::size_t(1), std::size_t(2), std::size_t(10), size / 3, size, size + 5}) {
          SCOPED_TRACE(name + ", size " + std::to_string(size) + ", k " + std::to_string(k));
          expect_best(top_k(cpu{1}, view(scores), index_t(k)), scores, index_t(k));
        }
  });
}

TEST(TopK, SameForAnyThreadCount) {
  for (const auto& [name, scores] : awkward_scores(200'001))
    for (const index_t k : {1, 100, 30'000})
      for (const int threads : {1, 2, 5}) {
        SCOPED_TRACE(name + ", k " + std::to_string(k) + ", threads " + std::to_string(threads));
        expect_best(top_k(cpu{threads}, view(scores), k), scores, k);
      }
}

TEST(TopK, UnalignedScores) {
  const floats padded = random_scores(10'001, 4);
  const floats scores(padded.begin() + 1, padded.end());
  expect_best(top_k(cpu{1}, {padded.data() + 1, 10'000}, 100), scores, 100);
}

TEST(TopK, TheLargestK) {
  const floats scores = random_scores(100, 5);
  expect_best(top_k(cpu{1}, view(scores), std::numeric_limits<index_t>::max()), scores, 100);
}

TEST(TopK, NanIsRefusedByNameAndNumber) {
  floats scores = random_scores(100'000, 6);
  for (const std::size_t row : {99'999, 70'000, 40'003}) scores[row] = nan;
  for (const int threads : {1, 2, 5}) {
    EXPECT_EQ(message_of<value_error>([&] { top_k(cpu{threads}, view(scores), 10); }),
              "top_k: the score of row 40003 is NaN (3 such rows); leave these rows out");
    const nan_rows found = find_nan(cpu{threads}, view(scores));
    EXPECT_EQ(found.first, 40'003);
    EXPECT_EQ(found.count, 3);
  }
  const nan_rows none = find_nan(cpu{}, {scores.data(), 40'003});
  EXPECT_EQ(none.first, -1);
  EXPECT_EQ(none.count, 0);
}

TEST(TopK, WrongUsesAreRefused) {
  EXPECT_EQ(message_of<value_error>([] { top_k(cpu{}, {}, -1); }), "top_k: k is -1; ask for 0 rows or more");
  EXPECT_EQ(message_of<value_error>([] { top_k_state(3).merge(top_k_state(5)); }),
            "top_k_state::merge: got the best 5 for a state that keeps 3; give every part the same k");
  const std::uint8_t bar = 0;
  EXPECT_EQ(message_of<shape_error>([&] {
              find_nan(cpu{}, {}, {&bar, 1});
            }),
            "find_nan: barred has 1 entries but there are 0 rows; pass one entry per row, or none");
  if (built_with_cuda) return;
  EXPECT_THROW(top_k(cuda{}, {}, 1), no_cuda_error);
  EXPECT_THROW(find_nan(cuda{}, {}), no_cuda_error);
  EXPECT_THROW(top_k_state(1).add(offload{}, vector_view<const float>{}), no_cuda_error);
  EXPECT_THROW(best_rows(cuda{}, {}, outputs::logits, acquisition::entropy, 1), no_cuda_error);
}

/// Scores whose every sampled row is among the best, or among the worst.
floats deceiving_scores(std::size_t size, index_t k, bool high) {
  floats scores = random_scores(size, 11);
  const top_k_guess guess = guess_top_k(index_t(size), k);
  for (std::size_t i = 0; i < size; i += std::size_t(guess.step)) scores[i] += high ? 1 : -1;
  return scores;
}

TEST(TopK, ADeceivedSampleCostsTimeAlone) {
  for (const std::size_t size : {20'000, 200'000})
    for (const index_t k : {10, 2'000})
      for (const bool high : {false, true}) {
        ASSERT_GT(guess_top_k(index_t(size), k).step, 0);
        const floats scores = deceiving_scores(size, k, high);
        for (const int threads : {1, 3}) expect_best(top_k(cpu{threads}, view(scores), k), scores, k);
      }
}

TEST(TopK, GuessesAreRightAlmostAlways) {
  for (const index_t k : {1, 30, 1'000, 20'000}) {
    const floats scores = random_scores(300'000, 12);
    const top_k_guess guess = guess_top_k(300'000, k);
    ASSERT_GT(guess.step, 0);
    floats sample;
    for (std::size_t i = 0; i < scores.size(); i += std::size_t(guess.step)) sample.push_back(scores[i]);
    std::sort(sample.rbegin(), sample.rend());
    const float threshold = sample[std::size_t(guess.rank) - 1];
    const auto above = std::count_if(scores.begin(), scores.end(), [&](float s) { return s > threshold; });
    EXPECT_GE(above, k);
    EXPECT_LE(above, guess.most);
  }
  EXPECT_EQ(guess_top_k(100, 1).step, 0);
  EXPECT_EQ(guess_top_k(300'000, 0).step, 0);
  EXPECT_EQ(guess_top_k(300'000, 200'000).step, 0);
}

TEST(TopKState, ChunksInAnyOrder) {
  for (const auto& [name, scores] : awkward_scores(20'000))
    for (const index_t k : {1, 50, 4'000})
      for (const index_t chunk : {1'000, 4'095, 7'777}) {
        SCOPED_TRACE(name + ", k " + std::to_string(k) + ", chunk " + std::to_string(chunk));
        std::vector<index_t> begins;
        for (index_t b = 0; b < 20'000; b += chunk) begins.push_back(b);
        std::shuffle(begins.begin(), begins.end(), std::mt19937(7));
        top_k_state state(k);
        for (const index_t b : begins) state.add(cpu{2}, {scores.data() + b, std::min(chunk, 20'000 - b)}, b);
        expect_best(state.best(), scores, k);
      }
}

TEST(TopKState, ManyThreadsAddToAStateThatIsFull) {
  const floats scores = random_scores(300'000, 8);
  top_k_state state(100);
  state.add(cpu{1}, {scores.data() + 100'000, 200'000}, 100'000);
  state.add(cpu{5}, {scores.data(), 100'000}, 0);
  expect_best(state.best(), scores, 100);
}

TEST(TopKState, MergesInAnyGrouping) {
  for (const auto& [name, scores] : awkward_scores(9'000)) {
    SCOPED_TRACE(name);
    for (const index_t k : {1, 500, 4'000}) {
      std::vector<top_k_state> parts(3, top_k_state(k));
      for (index_t p = 0; p < 3; ++p)
        parts[std::size_t(p)].add(cpu{1}, {scores.data() + 3'000 * p, 3'000}, 3'000 * p);
      top_k_state left = parts[0];
      left.merge(parts[1]);
      left.merge(parts[2]);
      top_k_state right = parts[2];
      right.merge(parts[1]);
      top_k_state outer = right;
      outer.merge(parts[0]);
      expect_best(left.best(), scores, k);
      expect_best(outer.best(), scores, k);
    }
  }
}

TEST(TopKState, OneByOneInRandomOrder) {
  for (const auto& [name, scores] : awkward_scores(3'000)) {
    SCOPED_TRACE(name);
    std::vector<index_t> order(scores.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = index_t(i);
    std::shuffle(order.begin(), order.end(), std::mt19937(9));
    top_k_state state(40);
    for (const index_t row : order) state.add({row, scores[std::size_t(row)]});
    expect_best(state.best(), scores, 40);
  }
}

TEST(TopKState, KeepsNoNan) {
  top_k_state state(10);
  state.add({0, nan});
  state.add(cpu{1}, view({nan, 1.0f, nan, -infinity}), 1);
  EXPECT_EQ(state.best(), (std::vector<candidate>{{2, 1.0f}, {4, -infinity}}));
}

TEST(TopKState, BarredRowsArePassedOver) {
  for (const auto& [name, scores] : awkward_scores(70'000)) {
    SCOPED_TRACE(name);
    std::vector<std::uint8_t> barred(scores.size());
    floats left = scores;
    for (std::size_t i = 0; i < barred.size(); i += 3) {
      barred[i] = std::uint8_t(1 + i % 2);
      left[i] = -infinity;
    }
    left[5] = nan;  // not kept either
    for (const int threads : {1, 3}) {
      top_k_state state(500), expected(500);
      state.add(cpu{threads}, view(left), 7, {barred.data(), index_t(barred.size())});
      for (std::size_t i = 0; i < left.size(); ++i)
        if (barred[i] == 0) expected.add({index_t(i) + 7, left[i]});
      EXPECT_EQ(state.best(), expected.best());
    }
    left[6] = nan;
    barred[6] = 1;
    EXPECT_EQ(find_nan(cpu{2}, view(left), {barred.data(), index_t(barred.size())}), (nan_rows{5, 1}));
  }
}

TEST(TopKState, KeepsOnlyWhatComesBefore) {
  top_k_state state(3);
  EXPECT_FALSE(state.threshold());
  state.keep_only_before({5, 1.0f});
  state.keep_only_before({9, 0.5f});  // says less
  EXPECT_EQ(*state.threshold(), (candidate{5, 1.0f}));
  state.add(cpu{1}, view({2.0f, 1.0f, 0.9f, nan, 1.0f, 1.0f, 1.0f}));
  EXPECT_EQ(state.best(), (std::vector<candidate>{{0, 2.0f}, {1, 1.0f}, {4, 1.0f}}));
}

TEST(TopKState, BytesBringItBack) {
  for (const auto& [name, scores] : awkward_scores(3'000))
    for (const index_t k : {0, 1, 100, 5'000}) {
      SCOPED_TRACE(name + ", k " + std::to_string(k));
      top_k_state whole(k), half(k);
      whole.add(cpu{1}, view(scores));
      half.add(cpu{1}, {scores.data(), 1'500});
      top_k_state back = top_k_state::from_bytes(half.to_bytes());
      EXPECT_EQ(back.best(), half.best());
      EXPECT_EQ(back.to_bytes(), half.to_bytes());
      back.add(cpu{1}, {scores.data() + 1'500, 1'500}, 1'500);
      EXPECT_EQ(back.best(), whole.best());
      EXPECT_EQ(back.to_bytes(), whole.to_bytes());
    }
}

TEST(TopKState, ForeignBytesAreRefused) {
  top_k_state state(3);
  for (const candidate& c : {candidate{1, 0.5f}, candidate{2, 0.25f}}) state.add(c);
  const auto bytes = state.to_bytes();
  const auto refused = [](const std::vector<std::byte>& from) {
    return message_of<format_error>([&] { top_k_state::from_bytes(from); });
  };
  EXPECT_EQ(refused({}),
            "top_k_state::from_bytes: got 0 bytes that are not a top_k_state; pass what to_bytes wrote");
  auto newer = bytes;
  newer[7] = std::byte(2);
  EXPECT_EQ(refused(newer),
            "top_k_state::from_bytes: got version 2 of the bytes but this build reads version 1; pass what "
            "to_bytes wrote");
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_NE(refused({bytes.begin(), bytes.begin() + index_t(size)}), "");
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (const int bit : {0, 7}) {
      auto wrong = bytes;
      wrong[i] ^= std::byte(1 << bit);
      EXPECT_NE(refused(wrong), "") << "byte " << i;
    }
}

TEST(TopKState, BestMayBeAskedAnyTime) {
  const floats scores = random_scores(5'000, 10);
  top_k_state state(7);
  EXPECT_TRUE(state.best().empty());
  for (index_t shown = 0; shown < 5'000; ++shown) {
    state.add({shown, scores[std::size_t(shown)]});
    if (shown % 99 == 0) expect_best(state.best(), floats(scores.begin(), scores.begin() + shown + 1), 7);
  }
}

}  // namespace
}  // namespace poolwise
