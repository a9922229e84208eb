// The row folds that `score`, `output_gradient` and the committee share: what one read of a row of model
// outputs leaves behind, and every score it gives. One row a lane; columns in ascending order.
#if defined(POOLWISE_SCORE_FOLD_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef POOLWISE_SCORE_FOLD_INL_HPP
#undef POOLWISE_SCORE_FOLD_INL_HPP
#else
#define POOLWISE_SCORE_FOLD_INL_HPP
#endif

#include <algorithm>
#include <limits>
#include <type_traits>

#include "hwy/cache_control.h"
#include "poolwise/core/simd-inl.hpp"
#include "poolwise/score/score.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {

using float_mask = hn::Mask<floats_tag>;

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float smallest_normal = std::numeric_limits<float>::min();

/// x, and NaN in the rows that have no distribution.
HWY_INLINE floats only_where(float_mask valid, floats x) {
  return hn::IfThenElse(valid, x, all(std::numeric_limits<float>::quiet_NaN()));
}

// ---- Rows in, columns out

/// Columns are taken in chunks that stay in the L1 cache once transposed. The size is part of the order of
/// summation, so it is the same on every target.
inline constexpr index_t chunk_columns = 256;

/// `lanes` rows from which four neighbouring columns may be read at any column up to cols - 4; from rows of
/// less than four columns, at column 0.
template <class T>
class row_window {
 public:
  /// The rows from `first` on; the last row stands in for those past the end.
  HWY_INLINE row_window(const matrix_view<const T>& x, index_t first) : cols_(x.cols) {
    const index_t left = x.rows - first;
    const bool fours_stay_inside = x.cols >= 4 || (x.stride == x.cols && (left - lanes + 1) * x.cols >= 4);
    if (!fours_stay_inside) {
      copy(x, first);
    } else if (left >= lanes) {
      const T* row = x.row(first);
      for (int k = 0; k < lanes; ++k, row += x.stride) rows_[std::size_t(k)] = row;
    } else {
      for (int k = 0; k < lanes; ++k) rows_[std::size_t(k)] = x.row(std::min(first + k, x.rows - 1));
    }
  }

  HWY_INLINE const row_pointers<T>& rows() const { return rows_; }
  HWY_INLINE index_t cols() const { return cols_; }

 private:
  void copy(const matrix_view<const T>& x, index_t first) {
    for (int k = 0; k < lanes; ++k) {
      const T* row = x.row(std::min(first + k, x.rows - 1));
      for (index_t c = 0; c < x.cols; ++c) copies_[k][c] = row[c];
      for (index_t c = x.cols; c < 4; ++c) copies_[k][c] = T{};
      rows_[std::size_t(k)] = copies_[k];
    }
  }

  row_pointers<T> rows_;
  index_t cols_;
  T copies_[lanes][4];
};

/// Asks for the chunk that is read next while the one at hand is computed on: rows side by side are more
/// streams than the hardware follows by itself (twice the speed at 100 columns, 1.4 times at 1000).
template <class T>
class prefetcher {
 public:
  /// The next chunk has `columns` columns, `ahead` elements after column 0 of each row of `window`.
  HWY_INLINE prefetcher(const row_window<T>& window, index_t ahead, index_t columns)
      : rows_(window.rows()), ahead_(ahead), columns_(columns) {}

  /// Called for every fourth column of the chunk at hand; asks for one cache line of each of four rows.
  HWY_INLINE void operator()(index_t c) const {
    if constexpr (lanes >= 4) {
      constexpr index_t line = 64 / index_t(sizeof(T));
      const index_t offset = c / lanes * line;
      if (offset >= columns_) return;
      for (int k = 0; k < 4; ++k) hwy::Prefetch(rows_[std::size_t(c % lanes + k)] + ahead_ + offset);
    }
  }

 private:
  const row_pointers<T>& rows_;
  index_t ahead_, columns_;
};

/// A transposed chunk: column c of `lanes` rows is one vector.
class chunk {
 public:
  HWY_INLINE floats load(index_t c) const { return hn::Load(floats_tag(), values_ + (spare + c) * lanes); }
  HWY_INLINE void store(index_t c, floats x) { hn::Store(x, floats_tag(), values_ + (spare + c) * lanes); }

 private:
  // A row's last columns are read together with up to three before them, and those land here.
  static constexpr index_t spare = 3;
  alignas(64) float values_[(spare + chunk_columns) * lanes];
};

/// Reads the columns [begin, end) of `window` into `x` and shows each to `fold.see(c, column)` in order.
template <class Fold, class T>
HWY_INLINE void read_chunk(const row_window<T>& window, index_t begin, index_t end, chunk& x, Fold&& fold) {
  index_t c = begin;
  for (; c + 4 <= end; c += 4) {
    const four_columns four = load_columns(window.rows(), c);
    for (int j = 0; j < 4; ++j) {
      x.store(c - begin + j, four.column[j]);
      fold.see(c + j, four.column[j]);
    }
  }
  if (c == end) return;
  const index_t from = std::max<index_t>(end - 4, 0);
  const four_columns four = load_columns(window.rows(), from);
  for (int j = 0; j < 4; ++j) x.store(from - begin + j, four.column[j]);
  for (; c < end; ++c) fold.see(c, x.load(c - begin));
}

// ---- Scores out

/// Writes column `a` of `scores` for the rows from `first` on, `lanes` of them if there are as many.
HWY_INLINE void write_column(floats values, index_t first, index_t a, const matrix_view<float>& scores) {
  if (scores.stride == 1 && first + lanes <= scores.rows) {
    hn::StoreU(values, floats_tag(), scores.data + first);
    return;
  }
  alignas(64) float lane[lanes];
  hn::Store(values, floats_tag(), lane);
  const index_t n = std::min<index_t>(lanes, scores.rows - first);
  for (index_t k = 0; k < n; ++k) scores(first + k, a) = lane[k];
}

// ---- Sums over columns

/// Four interleaved partial sums: shorter chains of additions, in time and in rounding error.
struct column_sum {
  floats part[4];

  HWY_INLINE column_sum() : part{all(0), all(0), all(0), all(0)} {}

  HWY_INLINE floats total() const { return hn::Add(hn::Add(part[0], part[1]), hn::Add(part[2], part[3])); }
};

/// A sum over chunks that carries along what its additions round away (Kahan 1965): 10^5 columns and more
/// sum as well as one chunk.
struct chunk_sum {
  floats value, lost;

  HWY_INLINE chunk_sum() : value(all(0)), lost(all(0)) {}

  HWY_INLINE void add(floats x) {
    const floats rest = hn::Sub(x, lost);
    const floats sum = hn::Add(value, rest);
    lost = hn::Sub(hn::Sub(sum, value), rest);
    value = sum;
  }
};

struct no_prefetch {
  HWY_INLINE void operator()(index_t) const {}
};

/// Calls body.step<c % 4>(c) for c = 0 .. n-1; the template argument chooses the partial sum.
template <class Body, class Prefetch = no_prefetch>
HWY_INLINE void each_column(index_t n, Body& body, const Prefetch& prefetch = {}) {
  index_t c = 0;
  for (; c + 4 <= n; c += 4) {
    prefetch(c);
    body.template step<0>(c);
    body.template step<1>(c + 1);
    body.template step<2>(c + 2);
    body.template step<3>(c + 3);
  }
  if (c < n) body.template step<0>(c);
  if (c + 1 < n) body.template step<1>(c + 1);
  if (c + 2 < n) body.template step<2>(c + 2);
}

/// sum + -p ln p, with 0 ln 0 = 0. Below the normal floats everything is 0: it is worth less than 2e-36.
HWY_INLINE floats add_entropy(floats sum, floats p) {
  const floats weight = hn::IfThenElseZero(hn::Ge(p, all(smallest_normal)), p);
  return fma(hn::Neg(weight), log_normal(p), sum);
}

// ---- Folds

/// What a fold notes of a row's largest values besides the largest one.
struct tracking {
  bool second = false;  ///< the second largest value: for margin and ratio
  bool argmax = false;  ///< the lowest class with the largest value: for votes and gradients
  bool terms = false;   ///< leave p, but for the row's scale, in the chunk: for the committee
};

template <tracking Track>
struct leaders {
  floats largest, second;
  ints argmax;

  HWY_INLINE leaders() : largest(all(-infinity)), second(largest), argmax(hn::Zero(ints_tag())) {}

  HWY_INLINE void see(index_t c, floats x) {
    if constexpr (Track.argmax) {
      const auto leads = hn::RebindMask(ints_tag(), hn::Gt(x, largest));
      argmax = hn::IfThenElse(leads, hn::Set(ints_tag(), std::int32_t(c)), argmax);
    }
    if constexpr (Track.second) second = hn::Max(second, hn::Min(largest, x));
    largest = hn::Max(largest, x);
  }
};

/// How a row's outputs become its class probabilities. `scale` is NaN for a row without a distribution.
template <outputs Kind>
struct normaliser {
  floats largest, scale;

  HWY_INLINE floats operator()(floats x) const {
    if constexpr (Kind == outputs::probabilities) return hn::Mul(x, scale);
    return hn::Mul(exp_clamped(clamp_exponent(hn::Sub(x, largest))), scale);
  }
};

/// Logits z: with d = z - max z, `rest` S' = sum of e^d without one largest element, `weighted` T = sum d e^d.
/// A NaN or +Inf anywhere makes S' NaN, through d.
template <tracking Track>
struct logit_fold : leaders<Track> {
  chunk_sum rest, weighted;

  HWY_INLINE logit_fold() {}

  /// Adds the n columns of `x`, all of which `see` has seen; `before` is the largest value before
  /// them, if they are not the first.
  template <class Prefetch>
  HWY_INLINE void add(chunk& x, index_t n, bool first, floats before, const Prefetch& prefetch) {
    // Where all is -Inf so far any finite reference makes every e^d 0.
    const floats reference = hn::Max(this->largest, all(std::numeric_limits<float>::lowest()));
    const float_mask risen = hn::Gt(this->largest, before);
    sums s(x, reference, risen);
    each_column(n, s, prefetch);
    if (!first) rescale(clamp_exponent(hn::Sub(before, reference)), risen);
    weighted.add(s.weighted.total());
    rest.add(s.rest.total());
  }

  HWY_INLINE float_mask valid() const {
    return hn::And(hn::Eq(rest.value, rest.value), hn::Gt(this->largest, all(-infinity)));
  }
  HWY_INLINE floats whole() const { return hn::Add(all(1), rest.value); }
  HWY_INLINE floats entropy() const {
    return hn::Sub(log1p_positive(rest.value), hn::Div(weighted.value, whole()));
  }
  HWY_INLINE floats least_confidence() const { return hn::Div(rest.value, whole()); }
  HWY_INLINE floats ratio() const { return exp_clamped(clamp_exponent(hn::Sub(this->second, this->largest))); }
  HWY_INLINE floats margin() const { return hn::Div(hn::Add(rest.value, ratio()), whole()); }
  HWY_INLINE floats energy() const { return hn::Neg(hn::Add(this->largest, log1p_positive(rest.value))); }
  HWY_INLINE normaliser<outputs::logits> to_probabilities() const {
    return {this->largest, only_where(valid(), hn::Div(all(1), whole()))};
  }

 private:
  /// Refers the sums to a largest element that has risen by -shift. The old one re-enters as an ordinary term.
  HWY_INLINE void rescale(floats shift, float_mask risen) {
    const floats shrink = exp_clamped(shift);
    weighted.value = hn::Mul(shrink, fma(shift, whole(), weighted.value));
    weighted.lost = hn::Mul(shrink, weighted.lost);
    rest.value = hn::IfThenElse(risen, hn::Mul(shrink, whole()), rest.value);
    rest.lost = hn::Mul(shrink, rest.lost);
  }

  struct sums {
    chunk& x;
    floats reference;
    column_sum rest, weighted;
    floats leader;  // the largest term so far, which the sum of the rest leaves out

    /// Where the row's largest element is not among these columns, 1 stands for it.
    HWY_INLINE sums(chunk& columns, floats r, float_mask largest_is_here)
        : x(columns), reference(r), leader(hn::IfThenElse(largest_is_here, all(0), all(1))) {}

    template <int Part>
    HWY_INLINE void step(index_t c) {
      const floats exponent = clamp_exponent(hn::Sub(x.load(c), reference));
      const floats term = exp_clamped(exponent);
      if constexpr (Track.terms) x.store(c, term);
      // Of the leader and the newcomer the smaller joins the rest. No comparison, no mask, and ties need no
      // count.
      rest.part[Part] = hn::Add(rest.part[Part], lesser(leader, term));
      leader = hn::Max(leader, term);
      weighted.part[Part] = fma(exponent, term, weighted.part[Part]);
    }
  };
};

/// Probabilities p: their sum, their smallest, and -sum p ln p.
template <class T, tracking Track>
struct probability_fold : leaders<Track> {
  chunk_sum total, uncertainty;
  floats lowest;

  HWY_INLINE probability_fold() : lowest(all(0)) {}

  HWY_INLINE void see(index_t c, floats p) {
    leaders<Track>::see(c, p);
    lowest = hn::Min(lowest, p);
  }

  template <class Prefetch>
  HWY_INLINE void add(chunk& x, index_t n, bool, floats, const Prefetch& prefetch) {
    sums s(x);
    each_column(n, s, prefetch);
    total.add(s.total.total());
    uncertainty.add(s.uncertainty.total());
  }

  /// A NaN or an infinity is in the total, a negative entry is the lowest.
  HWY_INLINE float_mask valid() const {
    constexpr float tolerance = sizeof(T) == 4 ? probability_tolerance_fp32 : probability_tolerance_16bit;
    const floats excess = hn::Abs(hn::Sub(total.value, all(1)));
    return hn::And(hn::Le(excess, all(tolerance)), hn::Ge(lowest, all(0)));
  }
  HWY_INLINE floats entropy() const { return uncertainty.value; }
  HWY_INLINE floats least_confidence() const { return hn::Sub(all(1), this->largest); }
  HWY_INLINE floats ratio() const { return hn::Div(second_probability(), this->largest); }
  HWY_INLINE floats margin() const { return hn::Add(least_confidence(), second_probability()); }
  /// Probabilities do not have it; the callers refuse.
  HWY_INLINE floats energy() const { return all(std::numeric_limits<float>::quiet_NaN()); }
  HWY_INLINE normaliser<outputs::probabilities> to_probabilities() const {
    return {this->largest, only_where(valid(), all(1))};
  }

 private:
  // A row of one class has no second: its probability is 0.
  HWY_INLINE floats second_probability() const { return hn::Max(this->second, all(0)); }

  struct sums {
    const chunk& x;
    column_sum total, uncertainty;

    HWY_INLINE explicit sums(const chunk& columns) : x(columns) {}

    template <int Part>
    HWY_INLINE void step(index_t c) {
      const floats p = x.load(c);
      total.part[Part] = hn::Add(total.part[Part], p);
      uncertainty.part[Part] = add_entropy(uncertainty.part[Part], p);
    }
  };
};

template <outputs Kind, class T, tracking Track>
using fold_of = std::conditional_t<Kind == outputs::logits, logit_fold<Track>, probability_fold<T, Track>>;

/// Folds whole rows; `x` is room to work in and holds the last chunk afterwards. The rows read next lie
/// `to_next` elements after these; 0 if there are none.
template <class Fold, class T>
HWY_INLINE Fold fold_rows(const row_window<T>& window, index_t to_next, chunk& x) {
  Fold fold;
  for (index_t begin = 0; begin < window.cols(); begin += chunk_columns) {
    const index_t end = std::min(window.cols(), begin + chunk_columns);
    const floats before = fold.largest;
    read_chunk(window, begin, end, x, fold);
    const bool last = end == window.cols();
    const index_t next_columns = std::min(chunk_columns, window.cols() - (last ? 0 : end));
    fold.add(x, end - begin, begin == 0, before, prefetcher<T>(window, last ? to_next : end, next_columns));
  }
  return fold;
}

/// How far the next `lanes` rows of the same matrix lie from those at `first`; 0 if there are not as many.
template <class T>
HWY_INLINE index_t next_rows(const matrix_view<const T>& x, index_t first) {
  return first + 2 * lanes <= x.rows ? lanes * x.stride : 0;
}

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#endif  // POOLWISE_SCORE_FOLD_INL_HPP
