// The best rows of model outputs against the best of their scores.
#include "poolwise/topk/best_rows.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/outputs.hpp"

namespace poolwise {
namespace {

using floats = std::vector<float>;

vector_view<const float> view(const floats& x) { return {x.data(), index_t(x.size())}; }

const outputs kinds[] = {outputs::logits, outputs::probabilities};

template <class T>
void expect_best_of_scores(index_t rows, index_t cols, acquisition which, index_t k) {
  for (const outputs kind : kinds) {
    auto x = reference::random_outputs<T>(kind, rows, cols, 13);
    for (const index_t row : {index_t(3), rows / 2, rows - 1}) x(row, cols / 2) = reference::narrow<T>(NAN);
    std::vector<std::uint8_t> barred(static_cast<std::size_t>(rows));
    for (std::size_t i = 0; i < barred.size(); i += 7) barred[i] = 1;
    barred[std::size_t(rows / 2)] = 1;
    floats scores(static_cast<std::size_t>(rows));
    score(cpu{}, x.view(), kind, which, {scores.data(), rows});
    const vector_view<const std::uint8_t> bars{barred.data(), rows};
    for (const auto& some : {bars, vector_view<const std::uint8_t>{}}) {
      top_k_state expected(k);
      expected.add(cpu{}, view(scores), 0, some);
      for (const int threads : {1, 3}) {
        const best_of_rows got = best_rows(cpu{threads}, x.view(), kind, which, k, some);
        EXPECT_EQ(got.best, expected.best());
        EXPECT_EQ(got.invalid, find_nan(cpu{}, view(scores), some));
      }
    }
  }
}

TEST(BestRows, AreTheBestOfTheScores) {
  expect_best_of_scores<float>(30'011, 3, acquisition::entropy, 40);
  expect_best_of_scores<float16>(20'000, 2, acquisition::margin, 2'500);
  expect_best_of_scores<bfloat16>(9'000, 33, acquisition::least_confidence, 1);
  expect_best_of_scores<float>(700, 1'000, acquisition::ratio, 20);
  expect_best_of_scores<float>(50, 2, acquisition::entropy, 50);
}

TEST(BestRows, MassiveTies) {
  const index_t rows = 60'000;
  const floats x(std::size_t(rows) * 2, 0.5f);
  const auto got = best_rows(cpu{2}, matrix_view<const float>{x.data(), rows, 2}, outputs::probabilities,
                             acquisition::entropy, 1'000);
  ASSERT_EQ(got.best.size(), 1'000u);
  for (std::size_t i = 0; i < 1'000; ++i) EXPECT_EQ(got.best[i].row, index_t(i));
}

TEST(BestRows, NothingToChooseFrom) {
  const floats x(20, 0.5f);
  const std::vector<std::uint8_t> all(10, 1);
  const matrix_view<const float> view{x.data(), 10, 2};
  const auto best = [&](matrix_view<const float> from, index_t k, vector_view<const std::uint8_t> barred) {
    return best_rows(cpu{}, from, outputs::probabilities, acquisition::entropy, k, barred).best.size();
  };
  EXPECT_EQ(best(view, 5, {all.data(), 10}), 0u);
  EXPECT_EQ(best(view, 0, {}), 0u);
  EXPECT_EQ(best({x.data(), 0, 2}, 5, {}), 0u);
  EXPECT_EQ(best(view, 50, {}), 10u);
  EXPECT_EQ(reference::message_of<shape_error>([&] {
              best(view, 5, {all.data(), 9});
            }),
            "best_rows: barred has 9 entries but x has 10 rows; pass one entry per row, or none");
  EXPECT_THROW(best({x.data(), 10, 0}, 5, {}), shape_error);
  EXPECT_THROW(best(view, -1, {}), value_error);
  EXPECT_THROW(best_rows(cpu{}, view, outputs::probabilities, acquisition::energy, 5), value_error);
}

}  // namespace
}  // namespace poolwise
