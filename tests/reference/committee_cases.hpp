// The cases of the committee scorers, once for every backend, as score_cases.hpp has those of the row scorers.
// Scorers are given as functions: scores_of(cube, kind, which), and streamed(...), which feeds member by
// member.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "reference/committee.hpp"
#include "reference/outputs.hpp"
#include "reference/score_cases.hpp"

namespace poolwise::reference {

inline const std::vector<disagreement> all_at_once = [] {
  std::vector<disagreement> all;
  for (const disagreement_entry& d : disagreements()) all.push_back(d.id);
  return all;
}();
inline const std::vector<disagreement> all_streaming = [] {
  std::vector<disagreement> all;
  for (const disagreement_entry& d : disagreements())
    if (d.streams) all.push_back(d.id);
  return all;
}();

template <class T>
struct cube {
  index_t members, rows, cols;
  std::vector<T> data;

  T& operator()(index_t k, index_t i, index_t c) { return data[std::size_t((k * rows + i) * cols + c)]; }
  cube_view<const T> view() const { return {data.data(), members, rows, cols}; }
  committee committee_of(outputs kind, index_t i) const {
    committee all;
    for (index_t k = 0; k < members; ++k) {
      const T* x = view().member(k).row(i);
      row values;
      for (index_t c = 0; c < cols; ++c) values.push_back(real(to_float(x[c])));
      all.members.push_back(distribution_of(kind, values));
    }
    return all;
  }
};

template <class T>
cube<T> random_cube(outputs kind, index_t members, index_t rows, index_t cols, unsigned seed) {
  return {members, rows, cols, random_outputs<T>(kind, members * rows, cols, seed).data};
}

inline real exact(const committee& all, disagreement which) {
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

/// How far a score may lie from the exact one where the entropy of a distribution is off by `entropies` (1 +
/// H). A member's probability is off by 140 units of rounding (8.4e-6) of itself at the worst, see
/// kernels/score.cpp. An error of d in every term of an entropy moves it by d (1 + H). KL is a cross-entropy,
/// KL + H[p^e], less an entropy; H[p^e] <= ln cols. A standard deviation moves by no more than the largest
/// error of a probability. Votes are exact, and their entropy is a handful of roundings.
inline real tolerance(const committee& all, disagreement which, real want, real entropies) {
  const real scale = 1 + all.consensus_entropy();
  switch (which) {
    case disagreement::bald:
    case disagreement::consensus_entropy:
      return entropies * scale;
    case disagreement::max_kl:
      return entropies * (1 + want + std::log(real(all.classes())));
    case disagreement::mean_std:
      return 8.4e-6L;
    case disagreement::vote_entropy:
      return 1e-6L * scale;
    case disagreement::variation_ratio:
      return unit;
  }
  return 0;
}

/// Compares a row's scores with those of its committee.
inline void expect_exact(const committee& all, const std::vector<disagreement>& which, const float* got,
                         real entropies) {
  for (std::size_t d = 0; d < which.size(); ++d) {
    const real want = exact(all, which[d]);
    ASSERT_NEAR(got[d], want, tolerance(all, which[d], want, entropies)) << "score " << d;
    ASSERT_GE(got[d], 0.0f);
  }
}
template <class T>
void expect_exact(const cube<T>& x, outputs kind, const std::vector<float>& got, real entropies) {
  ASSERT_EQ(got.size(), std::size_t(x.rows) * all_at_once.size());
  for (index_t i = 0; i < x.rows; ++i) {
    SCOPED_TRACE("row " + std::to_string(i));
    expect_exact(x.committee_of(kind, i), all_at_once, &got[std::size_t(i) * all_at_once.size()], entropies);
  }
}

/// Seven members that say the same. Their mean is off by 7 units of rounding, so are the deviations: `units` of
/// them with a rounded reciprocal. `bald` and `max_kl` may be off by so much.
template <class Scores>
void expect_agreement(index_t cols, real bald, real max_kl, int units, Scores scores_of) {
  cube<float> x{7, 20, cols, {}};
  const auto one = random_outputs<float>(outputs::logits, 20, cols, 2);
  for (int k = 0; k < 7; ++k) x.data.insert(x.data.end(), one.data.begin(), one.data.end());
  const auto got = scores_of(x, outputs::logits, all_at_once);
  for (std::size_t i = 0; i < 20; ++i) {
    const float* s = &got[i * all_at_once.size()];
    EXPECT_NEAR(s[0], 0, bald);
    EXPECT_EQ(s[2], 0);  // votes
    EXPECT_EQ(s[3], 0);
    EXPECT_NEAR(s[4], 0, max_kl);
    EXPECT_NEAR(s[5], 0, units * unit);
  }
}

/// Three members, each sure of a class of its own: entropy of the mean ln 3, of each member 0. Three classes
/// deviate by sqrt(2)/3, one by 0. Scores may be off by `relative` of themselves.
template <class Scores>
void expect_each_swears_by_its_own(real relative, Scores scores_of) {
  cube<float> x{3, 1, 4, std::vector<float>(12, -inf)};
  for (index_t k = 0; k < 3; ++k) x(k, 0, k) = 1.0f;
  const auto got = scores_of(x, outputs::logits, all_at_once);
  const real ln3 = std::log(3.0L);
  for (std::size_t d : {0u, 1u, 2u, 4u}) EXPECT_NEAR(got[d], ln3, relative * ln3) << d;
  EXPECT_FLOAT_EQ(got[3], 2.0f / 3);
  const real spread = std::sqrt(2.0L) / 4;
  EXPECT_NEAR(got[5], spread, relative * spread);
}

template <class Scores>
void expect_votes_for_the_lowest_of_equals(Scores scores_of) {
  // Members vote 1, 1 and 2: by the tie rule the first member's vote is for class 1, not 2.
  const cube<float> x{3, 1, 3, {0, 5, 5, 0, 5, 4, 0, 4, 5}};
  EXPECT_FLOAT_EQ(scores_of(x, outputs::logits, std::vector{disagreement::variation_ratio})[0], 1.0f / 3);
  const cube<float> p{2, 1, 3, {0.5f, 0.5f, 0, 1, 0, 0}};
  EXPECT_EQ(scores_of(p, outputs::probabilities, std::vector{disagreement::vote_entropy})[0], 0.0f);
}

template <class T, class Scores, class Streamed>
void expect_one_bad_member_spoils_its_row_alone(Scores scores_of, Streamed streamed) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (float bad : {nan, inf})
      for (index_t cols : {3, 300}) {
        auto x = random_cube<T>(kind, 4, 33, cols, 9);
        const auto clean = scores_of(x, kind, all_at_once);
        x(2, 16, 1) = narrow<T>(bad);
        const auto got = scores_of(x, kind, all_at_once);
        const auto stream = streamed(x, kind, all_streaming);
        for (std::size_t i = 0; i < got.size(); ++i) {
          if (i / all_at_once.size() == 16)
            EXPECT_TRUE(std::isnan(got[i])) << i;
          else
            EXPECT_EQ(got[i], clean[i]) << i;
        }
        for (std::size_t d = 0; d < all_streaming.size(); ++d)
          EXPECT_TRUE(std::isnan(stream[16 * all_streaming.size() + d]));
      }
}

template <class T, class Scores>
void expect_each_alone_as_among_others(Scores scores_of) {
  const auto x = random_cube<T>(outputs::logits, 5, 21, 12, 8);
  const auto together = scores_of(x, outputs::logits, all_at_once);
  for (std::size_t d = 0; d < all_at_once.size(); ++d) {
    const auto alone = scores_of(x, outputs::logits, std::vector{all_at_once[d]});
    for (std::size_t i = 0; i < 21; ++i) EXPECT_EQ(alone[i], together[i * all_at_once.size() + d]);
  }
}

/// Members whose probabilities are rounded: each counts by its shares of its sum.
template <class Scores>
void expect_rounded_members_to_be_divided(real entropies, Scores scores_of) {
  for (index_t cols : {3, 10, 70, 300}) {
    cube<float> x{6, 20, cols, {}};
    x.data = rounded_rows(6 * 20, cols).data;
    expect_exact(x, outputs::probabilities, scores_of(x, outputs::probabilities, all_at_once), entropies);
  }
}

/// The population variance over members, averaged over outputs, of row `i`: by two passes.
inline real variance_of(const cube_view<const float>& f, index_t i) {
  real total = 0;
  for (index_t c = 0; c < f.cols; ++c) {
    real mean = 0, squares = 0;
    for (index_t k = 0; k < f.members; ++k) mean += f.member(k)(i, c) / real(f.members);
    for (index_t k = 0; k < f.members; ++k) squares += (f.member(k)(i, c) - mean) * (f.member(k)(i, c) - mean);
    total += squares / real(f.members * f.cols);
  }
  return total;
}

/// variance_of_rows(view) gives the variances. One prediction that is not finite, in row 1, of each of three
/// members.
template <class Variance>
void expect_a_bad_prediction_spoils_its_row_alone(Variance variance_of_rows) {
  for (float bad : {nan, inf, -inf})
    for (std::size_t at : {3u, 11u, 19u}) {
      std::vector<float> f(24, 2.0f);
      f[at] = bad;
      const std::vector<float> v = variance_of_rows(cube_view<const float>{f.data(), 3, 4, 2});
      EXPECT_TRUE(std::isnan(v[1]));
      EXPECT_EQ(v[0] + v[2] + v[3], 0.0f);
    }
}

}  // namespace poolwise::reference
