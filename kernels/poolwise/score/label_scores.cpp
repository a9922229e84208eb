#include "poolwise/score/label_scores.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <span>
#include <string>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/simd_targets.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/score/detail/blocking.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/score/label_scores.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/score/fold-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {

/// The probability of the answer that is less likely, and the entropy of both in nats.
struct doubts {
  floats miss, entropy;
};

/// Of logits: with e = exp(-|z|) both are made of e / (1 + e), so that sure labels keep their digits.
template <outputs Kind>
HWY_INLINE doubts doubts_of(floats x) {
  if constexpr (Kind == outputs::logits) {
    const floats exponent = clamp_exponent(hn::Neg(hn::Abs(x)));
    const floats rest = exp_clamped(exponent), whole = hn::Add(all(1), rest), inverse = reciprocal(whole);
    const floats miss = hn::Mul(rest, inverse);
    return {miss, fnma(exponent, miss, log1p_positive(rest, whole, inverse))};
  } else {
    const floats p = hn::Min(hn::Max(x, all(0)), all(1));
    const floats miss = hn::Min(p, hn::Sub(all(1), p)), hit = hn::Sub(all(1), miss);
    // -ln(1 - miss) as ln(1 + odds), which small ones are not rounded away from.
    const floats odds = miss / hit, whole = hn::Add(all(1), odds);
    return {miss, fma(hit, log1p_positive(odds, whole, reciprocal(whole)),
                      hn::Mul(all(ln2), add_entropy(all(0), miss)))};
  }
}

/// What one read of a row leaves behind: sums and maxima of both doubts.
template <outputs Kind>
class label_fold {
 public:
  HWY_INLINE label_fold() : most_miss_(all(0)), most_entropy_(all(0)), spoilt_(all(0)) {}

  HWY_INLINE void open(index_t) { chunk_miss_ = chunk_entropy_ = column_sum(); }

  template <int Part>
  HWY_INLINE void see(index_t, floats x) {
    const float_mask is_one_of_them =
        Kind == outputs::logits ? hn::Le(x, all(largest_finite))
                                : hn::And(hn::Ge(x, all(-sum_rounding)), hn::Le(x, all(1 + sum_rounding)));
    spoilt_ = hn::IfThenElse(is_one_of_them, spoilt_, all(not_a_number));
    const doubts of = doubts_of<Kind>(x);
    chunk_miss_.part[Part] = hn::Add(chunk_miss_.part[Part], of.miss);
    chunk_entropy_.part[Part] = hn::Add(chunk_entropy_.part[Part], of.entropy);
    most_miss_ = hn::Max(most_miss_, of.miss);
    most_entropy_ = hn::Max(most_entropy_, of.entropy);
  }

  template <class Prefetch>
  HWY_INLINE void close(index_t, const Prefetch&) {
    miss_.add(chunk_miss_.total());
    entropy_.add(chunk_entropy_.total());
  }
  HWY_INLINE void finish() {}

  HWY_INLINE floats score(label_acquisition which, float labels) const {
    const floats value = [&]() HWY_ATTR {
      switch (which) {
        case label_acquisition::binary_entropy:
          return entropy_.value;
        case label_acquisition::binary_entropy_mean:
          return entropy_.value / all(labels);
        case label_acquisition::binary_entropy_max:
          return most_entropy_;
        case label_acquisition::binary_confidence:
          return miss_.value;
        case label_acquisition::binary_confidence_mean:
          return miss_.value / all(labels);
        case label_acquisition::binary_confidence_max:
          return most_miss_;
        case label_acquisition::binmin:
          break;
      }
      return hn::Add(most_miss_, most_miss_);
    }();
    return hn::Add(value, spoilt_);
  }

 private:
  column_sum chunk_miss_, chunk_entropy_;
  chunk_sum miss_, entropy_;
  floats most_miss_, most_entropy_;
  floats spoilt_;  // NaN once a column was no output
};

/// Scores the rows [begin, end); both are multiples of `lanes`, unless `end` is the end of the matrix.
void score_label_rows(const real_matrix& x, outputs kind, index_t begin, index_t end,
                      std::span<const label_acquisition> which, const matrix_view<float>& scores) {
  visit_by_kind(x, kind, [&]<outputs Kind, class T>(const matrix_view<const T>& view) HWY_ATTR {
    for (index_t first = begin; first < end; first += lanes) {
      row_window<T> window(view, first);
      label_fold<Kind> fold;
      // The work is done while columns are seen, as that of probabilities is.
      fold_rows<outputs::probabilities>(window, next_rows(view, first), fold);
      for (std::size_t a = 0; a < which.size(); ++a)
        write_column(fold.score(which[a], float(view.cols)), first, index_t(a), scores);
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {
namespace {

HWY_EXPORT(score_label_rows);

}  // namespace

void score_labels(cpu on, const real_matrix& x, outputs kind, std::span<const label_acquisition> which,
                  matrix_view<float> scores) {
  if (cols_of(x) < 1) throw shape_error("score_labels: x has 0 columns; pass at least one label");
  if (scores.rows != rows_of(x) || scores.cols != index_t(which.size()))
    throw shape_error("score_labels: scores is [" + std::to_string(scores.rows) + ", " +
                      std::to_string(scores.cols) + "] but x has " + std::to_string(rows_of(x)) + " rows and " +
                      std::to_string(which.size()) + " acquisitions were asked for; pass one place for each");
  if (which.empty()) return;
  const index_t block = rows_per_block(cols_of(x));
  parallel_blocks(holding(on, block * row_bytes(x)), rows_of(x), block,
                  [&](index_t, index_t begin, index_t end) {
                    HWY_DYNAMIC_DISPATCH(score_label_rows)(x, kind, begin, end, which, scores);
                  });
}

void score_labels(cpu on, const real_matrix& x, outputs kind, label_acquisition which,
                  vector_view<float> scores) {
  score_labels(on, x, kind, {&which, 1}, {scores.data, scores.size, 1});
}

std::string why_no_labels(const real_matrix& x, outputs kind, index_t row) {
  if (row < 0 || row >= rows_of(x))
    throw value_error("why_no_labels: asked for row " + std::to_string(row) + " of " +
                      std::to_string(rows_of(x)) + "; pass a row of x");
  return std::visit(
      [&](auto view) -> std::string {
        for (index_t c = 0; c < view.cols; ++c) {
          const float value = to_float(view(row, c));
          const std::string column = " in column " + std::to_string(c);
          if (std::isnan(value)) return "holds NaN" + column;
          if (value == std::numeric_limits<float>::infinity()) return "holds +Inf" + column;
          if (kind == outputs::logits || (value >= -sum_rounding && value <= 1 + sum_rounding)) continue;
          char text[32];
          std::snprintf(text, sizeof text, "%g", double(value));
          return "holds " + std::string(text) + column +
                 ", which is no probability from 0 to 1 (are these logits?)";
        }
        return {};
      },
      x);
}

}  // namespace poolwise
#endif  // HWY_ONCE
