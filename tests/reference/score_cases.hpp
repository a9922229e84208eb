// The cases of the row scorers, once for every backend: tests/kernels/score.cpp and tests/cuda/score.cpp add
// where they compute and how far a score may be off. The lists come from the kernels' table, so that a new
// score is tested by both as soon as `exact` says its definition; until then this does not compile.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/score/score.hpp"
#include "reference/outputs.hpp"
#include "reference/score.hpp"

namespace poolwise::reference {

inline constexpr float nan = std::numeric_limits<float>::quiet_NaN();
inline constexpr real unit = 0x1p-24L;  // of rounding

using element_types = testing::Types<float, float16, bfloat16>;

/// Every acquisition that rows of `kind` have.
inline const std::vector<acquisition>& all_of(outputs kind) {
  static const auto list = [](outputs of) {
    std::vector<acquisition> all;
    for (const acquisition_entry& a : acquisitions())
      if (applies_to(of, a)) all.push_back(a.id);
    return all;
  };
  static const std::vector<acquisition> of_logits = list(outputs::logits),
                                        of_probabilities = list(outputs::probabilities);
  return kind == outputs::logits ? of_logits : of_probabilities;
}
inline const std::vector<acquisition>& all_of_logits = all_of(outputs::logits);
inline const std::vector<acquisition>& all_of_probabilities = all_of(outputs::probabilities);

inline real exact(const row& x, outputs kind, acquisition which) {
  const auto d = distribution_of(kind, x);
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
      return energy(x);
  }
  return nan;
}

/// Compares every score of every row; `tolerance` is asked with the exact score, the kind and which it is. A
/// row that is divided by its sum has the roundings of that in its scores: 72 additions at most.
template <class T, class Tolerance>
void expect_exact(const matrix<T>& x, outputs kind, const std::vector<float>& got, Tolerance tolerance) {
  const auto& which = all_of(kind);
  ASSERT_EQ(got.size(), std::size_t(x.rows) * which.size());
  for (index_t i = 0; i < x.rows; ++i) {
    const bool divided = kind == outputs::probabilities && whole_of(x.values(i)) != 1;
    for (std::size_t a = 0; a < which.size(); ++a) {
      const real want = exact(x.values(i), kind, which[a]);
      ASSERT_NEAR(got[std::size_t(i) * which.size() + a], want,
                  tolerance(want, kind, which[a]) + (divided ? 72 * unit : 0))
          << "row " << i << " score " << a;
    }
  }
}

inline matrix<float> one_row(const std::vector<float>& values) {
  matrix<float> x(1, index_t(values.size()));
  x.data = values;
  return x;
}

/// Logits that need care: the first columns of a row whose others hold -Inf.
struct careful_row {
  std::vector<float> first;
  std::vector<float> want;  ///< of `all_of_probabilities`
};
template <class T>
std::vector<careful_row> rows_that_need_care() {
  const float half = std::log(2.0f), huge = sizeof(T) == 4 ? 3e38f : 65000.0f;
  const std::vector<float> sure{0, 0, 0, 0}, tie{0.5f, 1, 1, half};
  return {{{3.5f}, sure},
          {{-inf, 2.0f}, sure},
          {{-huge}, sure},
          {{huge, -huge}, sure},
          {{1, 1}, tie},
          {{1, -200, 1}, tie},
          {{-huge, huge, huge}, tie},
          {{-huge, -inf, -huge}, tie},
          {{0.0f, -0.0f}, tie},    // +0 and -0 tie
          {{1e-45f, 0.0f}, tie}};  // denormals differ from them by nothing that counts
}

/// Rows of probabilities whose sum is 1 are taken as they are; others are divided by their sum.
struct given_row {
  std::vector<float> p;
  acquisition which;
  float want;
};
inline const std::vector<given_row> rows_as_given{
    {{1.0f}, acquisition::margin, 0.0f},
    {{0, 1, 0}, acquisition::entropy, 0.0f},
    {{-0.0f, 1}, acquisition::entropy, 0.0f},
    {{0.5f, 0.5f}, acquisition::ratio, 1.0f},
    {{0.25f, 0.75f}, acquisition::margin, 0.5f},
    {{0.49999905f, 0.5f}, acquisition::least_confidence, 0.5f},  // but for the rounding of fp32
    {{0.48f, 0.48f}, acquisition::margin, 1.0f},
    {{0.48f, 0.48f}, acquisition::least_confidence, 0.5f},
    {{1.0000001f, 0}, acquisition::least_confidence, 0.0f},  // never below 0
    {{1.0000001f, 0}, acquisition::margin, 0.0f},
    {{1.0000001f, 0}, acquisition::entropy, 0.0f},
    {{1.0000001f, -1e-7f}, acquisition::ratio, 1e-7f / 1.0000001f},  // a size counts
    {{1.02f, 0, 0}, acquisition::least_confidence, 0.0f},
    {{1.02f, 0, 0}, acquisition::margin, 0.0f},
};

/// Probabilities as users have them, of `cols` classes: rounded to bfloat16, to three decimals, with noise
/// below 0. All of them are to be ranked.
inline matrix<float> rounded_rows(index_t rows, index_t cols) {
  auto x = random_outputs<float>(outputs::probabilities, rows, cols, unsigned(cols));
  for (index_t i = 0; i < rows; ++i)
    for (index_t c = 0; c < cols; ++c)
      x(i, c) = i % 3 == 0   ? to_float(narrow<bfloat16>(x(i, c)))
                : i % 3 == 1 ? std::round(1000 * x(i, c)) / 1000
                             : x(i, c) - 1e-6f * float(c % 2);
  return x;
}

/// Every way to have no distribution.
struct bad_row {
  outputs kind;
  std::vector<float> values;
  std::string why;
};
inline const std::vector<bad_row> bad_rows{
    {outputs::logits, {0, 1, nan}, "holds NaN in column 2"},
    {outputs::logits, {nan, 0, 1}, "holds NaN in column 0"},
    {outputs::logits, {nan, inf, 0}, "holds NaN in column 0"},
    {outputs::logits, {0, inf, 1}, "holds +Inf in column 1"},
    {outputs::logits, {inf, 0, inf}, "holds +Inf in column 0"},
    {outputs::logits, {-inf, -inf, inf}, "holds +Inf in column 2"},
    {outputs::logits, {-inf, -inf, nan}, "holds NaN in column 2"},
    {outputs::logits, {-inf, -inf, -inf}, "is -Inf in every column"},
    {outputs::probabilities, {0.5f, nan, 0.5f}, "holds NaN in column 1"},
    {outputs::probabilities, {inf, 0, 0}, "holds +Inf in column 0"},
    {outputs::probabilities, {1.25f, -0.25f, 0}, "holds the negative probability -0.25 in column 1"},
    {outputs::probabilities, {1, -inf, 0}, "holds the negative probability -inf in column 1"},
    {outputs::probabilities, {0, 0, 0}, "sums to 0, not 1 within "},
    {outputs::probabilities, {1, 0.5f, 0.25f}, "sums to 1.75, not 1 within "},
};
/// Puts a bad row into row `i` from column `begin` on, and nothing into its other columns.
template <class T>
void plant(const bad_row& bad, matrix<T>& x, index_t i, index_t begin) {
  for (index_t c = 0; c < x.cols; ++c) x(i, c) = narrow<T>(bad.kind == outputs::logits ? -inf : 0.0f);
  for (std::size_t c = 0; c < bad.values.size(); ++c) x(i, begin + index_t(c)) = narrow<T>(bad.values[c]);
}

/// Row g: one logit g above nine others.
inline matrix<float> growing_gaps() {
  matrix<float> z(81, 10);
  for (index_t gap = 0; gap <= 80; ++gap) z(gap, 3) = float(gap);
  return z;
}

inline matrix<float> wide_rows(outputs kind) {
  const index_t cols = 100003;
  if (kind == outputs::probabilities) {
    matrix<float> p(2, cols);
    for (index_t c = 0; c < cols; ++c) {
      p(0, c) = 1.0f / float(cols);
      p(1, c) = c % 2 ? 2.0f / float(cols) : 0.0f;
    }
    return p;
  }
  std::mt19937_64 engine(3);
  std::normal_distribution<float> normal;
  matrix<float> z(3, cols);
  for (index_t c = 0; c < cols; ++c) {
    z(0, c) = normal(engine);
    z(1, c) = c == 77777 ? 12.0f : -0.3f;  // one value again and again: the worst case of summing
    z(2, c) = float(c % 1000) / 100;       // a new largest in many a chunk
  }
  return z;
}

/// A tie of two logits, a bad row, a tie of all.
inline matrix<float> tied_rows() {
  matrix<float> z(3, 4);
  z.data = {0, 2, 2, 1, 0, nan, 2, 2, -0.0f, 0.0f, 0.0f, -0.0f};
  return z;
}

}  // namespace poolwise::reference
