// The row folds that `output_gradient` and the committee share: they read rows of model outputs, one row a
// lane, columns in ascending order, and leave the states of row_state-inl.hpp behind. Short and wide rows share
// its parts.
#if defined(POOLWISE_SCORE_FOLD_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef POOLWISE_SCORE_FOLD_INL_HPP
#undef POOLWISE_SCORE_FOLD_INL_HPP
#else
#define POOLWISE_SCORE_FOLD_INL_HPP
#endif

#include <algorithm>
#include <limits>
#include <type_traits>
#include <variant>

#include "hwy/cache_control.h"
#include "poolwise/core/simd-inl.hpp"
#include "poolwise/score/row_state-inl.hpp"
#include "poolwise/score/score.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {

// ---- Rows in, columns out

/// Columns are taken in chunks that stay in the L1 cache once transposed. The size is part of the order of
/// summation, so it is the same on every target.
inline constexpr index_t chunk_columns = 256;

/// `lanes` rows of a matrix from `first` on; the last row stands in for those past the end.
template <class T>
class row_window {
 public:
  HWY_INLINE row_window(const matrix_view<const T>& x, index_t first)
      : x_(x),
        first_(first),
        whole_(first + lanes <= x.rows &&
               (x.cols >= 4 || (x.stride == x.cols && (x.rows - first - lanes + 1) * x.cols >= 4))) {}

  HWY_INLINE const T* row(int k) const { return x_.row(first_) + k * x_.stride; }
  HWY_INLINE index_t cols() const { return x_.cols; }

  /// The columns [begin, end), a chunk of them and three at most. Four neighbours may be read even where there
  /// are less.
  HWY_INLINE even_rows<const T> columns(index_t begin, index_t end) {
    return whole_ ? even_rows<const T>(row(0) + begin, x_.stride) : copy(begin, end);
  }

 private:
  HWY_NOINLINE even_rows<const T> copy(index_t begin, index_t end) {
    const index_t stride = std::max<index_t>(end - begin, 4);
    for (int k = 0; k < lanes; ++k) {
      const T* const row = x_.row(std::min(first_ + k, x_.rows - 1));
      T* const to = std::copy(row + begin, row + end, copies_ + k * stride);
      std::fill(to, copies_ + (k + 1) * stride, T{});
    }
    return {copies_, stride};
  }

  matrix_view<const T> x_;
  index_t first_;
  bool whole_;  // four columns of all rows are there
  T copies_[lanes * (chunk_columns + 3)];
};

/// Asks for the chunk that is read next while the one at hand is computed on: rows side by side are more
/// streams than the hardware follows by itself (twice the speed at 100 columns, 1.4 times at 1000).
template <class T>
class prefetcher {
 public:
  /// The next chunk has `columns` columns, `ahead` elements after column 0 of each row of `window`.
  HWY_INLINE prefetcher(const row_window<T>& window, index_t ahead, index_t columns)
      : window_(window), ahead_(ahead), columns_(columns) {}

  /// Called for every fourth column of the chunk at hand; asks for one cache line of each of four rows.
  HWY_INLINE void operator()(index_t c) const {
    if constexpr (lanes >= 4) {
      constexpr index_t line = 64 / index_t(sizeof(T));
      const index_t offset = c / lanes * line;
      if (offset >= columns_) return;
      for (int k = 0; k < 4; ++k) hwy::Prefetch(window_.row(int(c % lanes) + k) + ahead_ + offset);
    }
  }

 private:
  const row_window<T>& window_;
  index_t ahead_, columns_;
};

/// A transposed chunk: a column of `lanes` rows is one vector. Place -1 is for what a first column displaces.
class chunk {
 public:
  HWY_INLINE floats load(index_t place) const {
    return hn::Load(floats_tag(), values_ + (spare + place) * lanes);
  }
  HWY_INLINE void store(index_t place, floats x) {
    hn::Store(x, floats_tag(), values_ + (spare + place) * lanes);
  }

 private:
  static constexpr index_t spare = 1;
  alignas(64) float values_[(spare + chunk_columns) * lanes];
};

struct no_prefetch {
  HWY_INLINE void operator()(index_t) const {}
};

/// Shows the columns [skip, end) of `four` to body.see<0>(c, column) and so on, in order.
template <class Body>
HWY_INLINE void see_some(const four_columns& four, int skip, int end, index_t c, Body& body) {
  const auto see = [&](auto skipped) HWY_ATTR {
    constexpr int first = decltype(skipped)::value;
    body.template see<0>(c, four.column[first]);
    if constexpr (first < 3)
      if (first + 1 < end) body.template see<1>(c + 1, four.column[first + 1]);
    if constexpr (first < 2)
      if (first + 2 < end) body.template see<2>(c + 2, four.column[first + 2]);
  };
  if (skip == 0) see(std::integral_constant<int, 0>());
  if (skip == 1) see(std::integral_constant<int, 1>());
  if (skip == 2) see(std::integral_constant<int, 2>());
  if (skip == 3) see(std::integral_constant<int, 3>());
}

/// Shows the columns [begin, end) of `window` to body.see<(c - begin) % 4>(c, column) in order, or four at a
/// time to body.see_four where it has that; the template argument chooses the partial sum.
template <class Body, class T, class Prefetch = no_prefetch>
HWY_INLINE void read_columns(row_window<T>& window, index_t begin, index_t end, Body& body,
                             const Prefetch& prefetch = {}) {
  // The last columns are read together with up to three before them.
  const index_t last = std::max<index_t>(end - 4, 0), from = std::min(begin, last);
  const even_rows<const T> rows = window.columns(from, end);
  index_t c = begin;
  for (; c + 4 <= end; c += 4) {
    prefetch(c - begin);
    const four_columns four = load_columns(rows, c - from);
    if constexpr (requires { body.see_four(c, four.column); }) {
      body.see_four(c, four.column);
    } else {
      body.template see<0>(c, four.column[0]);
      body.template see<1>(c + 1, four.column[1]);
      body.template see<2>(c + 2, four.column[2]);
      body.template see<3>(c + 3, four.column[3]);
    }
  }
  if (c == end) return;
  prefetch(c - begin);
  const four_columns four = load_columns(rows, last - from);
  see_some(four, int(c - last), int(end - last), c, body);
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

/// Calls body.step<c % 4>(c) for c = 0 .. n-1, or body.step_two<c % 4>(c) for c and c + 1 where it has that;
/// the template argument chooses the partial sum.
template <class Body, class Prefetch = no_prefetch>
HWY_INLINE void each_column(index_t n, Body& body, const Prefetch& prefetch = {}) {
  index_t c = 0;
  for (; c + 4 <= n; c += 4) {
    prefetch(c);
    if constexpr (requires { body.template step_two<0>(c); }) {
      body.template step_two<0>(c);
      body.template step_two<2>(c + 2);
    } else {
      body.template step<0>(c);
      body.template step<1>(c + 1);
      body.template step<2>(c + 2);
      body.template step<3>(c + 3);
    }
  }
  if (c < n) body.template step<0>(c);
  if (c + 1 < n) body.template step<1>(c + 1);
  if (c + 2 < n) body.template step<2>(c + 2);
}

/// sum + -p log2 p, with 0 log2 0 = 0. Below the normal floats it is worth less than 2e-36.
template <int N>
HWY_INLINE void add_entropies(const vectors<N>& p, vectors<N>& sum) {
  vectors<N> log;
  log2_normal<N>(p, log);
  for (int i = 0; i < N; ++i) sum[i] = fnma(p[i], log[i], sum[i]);
}

HWY_INLINE floats add_entropy(floats sum, floats p) {
  const vectors<1> in{p};
  vectors<1> out{sum};
  add_entropies<1>(in, out);
  return out[0];
}

// ---- Folds

/// A fold always finds out whether a row has a distribution. It notes more where it is told to.
struct tracking {
  bool entropy = false;  ///< the entropy of probabilities; logits give it always, and their largest value
  bool second = false;   ///< the two largest values: for margin and ratio, by the readers of `score` alone
  bool argmax = false;   ///< the lowest class with the largest value, which is part: for votes and gradients
  bool terms = false;    ///< leave e^(z - max) of logits in the chunk: for the committee, rows of one chunk
};

/// Refers S' and T to a largest element that has risen by -shift.
HWY_INLINE void rescale(floats shift, chunk_sum& rest, chunk_sum& weighted) {
  const floats shrink = exp_clamped(shift);
  weighted.value = hn::Mul(shrink, fma(shift, rest.value, weighted.value));
  weighted.lost = hn::Mul(shrink, weighted.lost);
  rest.value = hn::Mul(shrink, rest.value);
  rest.lost = hn::Mul(shrink, rest.lost);
}

/// Logits.
///
/// The largest element so far stays out of the chunk and takes the place of the one that displaces it: what
/// the chunk holds when it is full is all elements but the largest. No sum has to leave that one out, and ties
/// need no count.
template <tracking Track>
struct logit_fold : logit_state<floats> {
  ints argmax;

  HWY_INLINE explicit logit_fold(chunk& room) : argmax(hn::Zero(ints_tag())), room_(room) {
    largest = second = all(-infinity);
  }

  /// The columns from `begin` on follow, a chunk of them at most.
  HWY_INLINE void open(index_t begin) {
    before_ = largest;
    // Column 0 displaces nothing.
    begin_ = begin == 0 && !Track.terms ? 1 : begin;
  }

  template <int>
  HWY_INLINE void see(index_t c, floats x) {
    if constexpr (Track.argmax) {
      const auto leads = hn::RebindMask(ints_tag(), hn::Gt(x, largest));
      argmax = hn::IfThenElse(leads, hn::Set(ints_tag(), std::int32_t(c)), argmax);
    }
    const floats displaced = lesser(largest, x);
    largest = hn::Max(largest, x);
    room_.store(c - begin_, Track.terms ? x : displaced);
  }

  /// Adds what has been seen, up to column `end`.
  template <class Prefetch>
  HWY_INLINE void close(index_t end, const Prefetch& prefetch) {
    // Where all is -Inf so far any finite reference makes every e^d 0.
    const floats reference = hn::Max(largest, all(std::numeric_limits<float>::lowest()));
    sums s(room_, reference);
    each_column(end - begin_, s, prefetch);
    if (begin_ > 1) rescale(clamp_exponent(hn::Sub(before_, reference)), rest_, weighted_);
    if (begin_ == 1) {  // place -1 holds -Inf, or the NaN of column 0
      const floats clamped = clamp_exponent(room_.load(-1));
      rest_.add(hn::Sub(clamped, clamped));
    }
    weighted_.add(s.weighted.total());
    rest_.add(s.rest.total());
  }

  /// The rows have been seen whole.
  HWY_INLINE void finish() {
    rest = rest_.value;
    weighted = weighted_.value;
    logit_state<floats>::finish();
  }

 private:
  struct sums {
    chunk& x;
    floats reference;
    column_sum rest, weighted;
    floats leader = all(0);  // where terms stay: the largest so far, which the sum of the rest leaves out

    HWY_INLINE sums(chunk& columns, floats r) : x(columns), reference(r) {}

    template <int Part>
    HWY_INLINE void step(index_t c) {
      add<Part, 1>(c);
    }
    template <int Part>
    HWY_INLINE void step_two(index_t c) {
      add<Part, 2>(c);
    }

   private:
    template <int Part, int N>
    HWY_INLINE void add(index_t c) {
      vectors<N> exponent, term;
      for (int i = 0; i < N; ++i) exponent[i] = clamp_exponent(hn::Sub(x.load(c + i), reference));
      exp_clamped<N>(exponent, term);
      for (int i = 0; i < N; ++i) weighted.part[Part + i] = fma(exponent[i], term[i], weighted.part[Part + i]);
      for (int i = 0; i < N; ++i) {
        floats joins = term[i];
        if constexpr (Track.terms) {
          x.store(c + i, term[i]);
          joins = lesser(leader, term[i]);
          leader = hn::Max(leader, term[i]);
        }
        rest.part[Part + i] = hn::Add(rest.part[Part + i], joins);
      }
    }
  };

  chunk& room_;
  index_t begin_ = 0;
  floats before_;
  chunk_sum rest_, weighted_;
};

/// Probabilities.
template <tracking Track>
struct probability_fold : probability_state<floats> {
  ints argmax;

  HWY_INLINE explicit probability_fold(chunk&) : argmax(hn::Zero(ints_tag())) { largest = second = all(0); }

  HWY_INLINE void open(index_t) { chunk_total_ = chunk_bits_ = column_sum(); }

  template <int Part>
  HWY_INLINE void see(index_t c, floats given) {
    const floats p = note<Part>(c, given);
    if constexpr (Track.entropy) chunk_bits_.part[Part] = add_entropy(chunk_bits_.part[Part], p);
  }

  HWY_INLINE void see_four(index_t c, const floats (&given)[4]) {
    const vectors<4> p{note<0>(c, given[0]), note<1>(c + 1, given[1]), note<2>(c + 2, given[2]),
                       note<3>(c + 3, given[3])};
    if constexpr (Track.entropy) add_entropies<4>(p, chunk_bits_.part);
  }

  template <class Prefetch>
  HWY_INLINE void close(index_t, const Prefetch&) {
    total_.add(chunk_total_.total());
    if constexpr (Track.entropy) bits_.add(chunk_bits_.total());
  }

  HWY_INLINE void finish() {
    total = total_.value;
    bits = bits_.value;
  }

 private:
  /// Gives p as it counts.
  template <int Part>
  HWY_INLINE floats note(index_t c, floats given) {
    const floats p = hn::Abs(given);
    if constexpr (Track.argmax) {
      const auto leads = hn::RebindMask(ints_tag(), hn::Gt(p, largest));
      argmax = hn::IfThenElse(leads, hn::Set(ints_tag(), std::int32_t(c)), argmax);
    }
    if constexpr (Track.argmax) largest = hn::Max(largest, p);
    chunk_total_.part[Part] = hn::Add(chunk_total_.part[Part], p);
    return p;
  }

  column_sum chunk_total_, chunk_bits_;
  chunk_sum total_, bits_;
};

template <outputs Kind, tracking Track>
using fold_of = std::conditional_t<Kind == outputs::logits, logit_fold<Track>, probability_fold<Track>>;

/// Shows the whole rows of `window` to `fold`. The rows read next lie `to_next` elements after these; 0 if
/// there are none.
template <outputs Kind, class Fold, class T>
HWY_INLINE void fold_rows(row_window<T>& window, index_t to_next, Fold& fold) {
  for (index_t begin = 0; begin < window.cols(); begin += chunk_columns) {
    const index_t end = std::min(window.cols(), begin + chunk_columns);
    const bool last = end == window.cols();
    const index_t next_columns = std::min(chunk_columns, window.cols() - (last ? 0 : end));
    const prefetcher<T> prefetch(window, last ? to_next : end, next_columns);
    fold.open(begin);
    if constexpr (Kind == outputs::logits) {  // the work is in closing the chunk
      read_columns(window, begin, end, fold);
      fold.close(end, prefetch);
    } else {
      read_columns(window, begin, end, fold, prefetch);
      fold.close(end, no_prefetch());
    }
  }
  fold.finish();
}

/// Calls f<Kind>(view) with the kind of the outputs and their element type as types.
template <class Outputs, class F>
HWY_INLINE void visit_by_kind(const Outputs& x, outputs kind, const F& f) {
  std::visit(
      [&](const auto& view) HWY_ATTR {
        if (kind == outputs::logits)
          f.template operator()<outputs::logits>(view);
        else
          f.template operator()<outputs::probabilities>(view);
      },
      x);
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
