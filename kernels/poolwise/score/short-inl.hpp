// Rows of few columns, four neighbours a lane. Leaves the same states behind as the folds.
#if defined(POOLWISE_SCORE_SHORT_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef POOLWISE_SCORE_SHORT_INL_HPP
#undef POOLWISE_SCORE_SHORT_INL_HPP
#else
#define POOLWISE_SCORE_SHORT_INL_HPP
#endif

#include <algorithm>

#include "poolwise/score/fold-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {

/// From here on what a row costs at its end is less than what its transpose costs.
inline constexpr index_t least_wide_columns = 64;

/// Four neighbouring rows a lane: together they are a multiple of four columns, whatever one of them is.
inline constexpr int rows_a_lane = 4;

/// The columns of `rows_a_lane * lanes` rows, column c of row 4 k + r in lane k.
template <class T>
class short_columns {
 public:
  static constexpr int rows_at_once = rows_a_lane * lanes;

  /// Reads the rows from `first` on; the last before `end` stands in for those past it.
  HWY_INLINE void read(const matrix_view<const T>& x, index_t first, index_t end) {
    cols_ = x.cols;
    const bool dense = x.stride == x.cols && first + rows_at_once <= end;
    const index_t ahead = std::max(least_ahead, rows_at_once * x.cols);
    const T* const from = dense ? x.row(first) : copy(x, first, end);
    const even_rows<const T> fours(from, rows_a_lane * x.cols);
    for (index_t c = 0; c < rows_a_lane * x.cols; c += 4) {
      for (index_t i = 0; i < 4 * lanes; i += line) hwy::Prefetch(from + ahead + c * lanes + i);
      const four_columns four = load_columns(fours, c);
      float* const to = values_ + c * lanes;
      hn::Store(four.column[0], floats_tag(), to);
      hn::Store(four.column[1], floats_tag(), to + lanes);
      hn::Store(four.column[2], floats_tag(), to + 2 * lanes);
      hn::Store(four.column[3], floats_tag(), to + 3 * lanes);
    }
  }

  HWY_INLINE index_t cols() const { return cols_; }
  HWY_INLINE floats load(int r, index_t c) const {
    return hn::Load(floats_tag(), values_ + (r * cols_ + c) * lanes);
  }
  HWY_INLINE void store(int r, index_t c, floats x) {
    hn::Store(x, floats_tag(), values_ + (r * cols_ + c) * lanes);
  }

 private:
  // Side by side, sixteen streams are more than the hardware follows: twice the speed at 10 columns.
  static constexpr index_t line = 64 / index_t(sizeof(T)), least_ahead = 3072 / index_t(sizeof(T));

  HWY_NOINLINE const T* copy(const matrix_view<const T>& x, index_t first, index_t end) {
    for (index_t i = 0; i < rows_at_once; ++i) {
      const T* const row = x.row(std::min(first + i, end - 1));
      std::copy(row, row + x.cols, copies_ + i * x.cols);
    }
    return copies_;
  }

  index_t cols_ = 0;
  alignas(64) float values_[rows_at_once * (least_wide_columns - 1)];
  T copies_[rows_at_once * (least_wide_columns - 1)];
};

/// Rows whose computation takes turns: as many as the registers hold.
inline constexpr int in_turn = lanes == 16 ? 4 : 2;

/// Logits. The largest element so far takes the place of the one that displaces it, as in `logit_fold`.
template <class T, tracking Track>
class short_logits {
 public:
  static constexpr int rows_at_once = short_columns<T>::rows_at_once;

  /// Reads the rows from `first` on, `rows_at_once` or those up to `end`.
  void read(const matrix_view<const T>& x, index_t first, index_t end) {
    x_.read(x, first, end);
    for (int r = 0; r < rows_a_lane; r += in_turn) {
      displace(r);
      add_terms(r);
    }
  }

  /// The rows number r, r + 4, r + 8, ... of those read, one a lane.
  HWY_INLINE const logit_state<floats>& rows(int r) const { return rows_[r]; }

 private:
  static constexpr int N = in_turn;

  HWY_INLINE void displace(int r) {
    vectors<N> largest, second;
    for (int i = 0; i < N; ++i) largest[i] = second[i] = all(-infinity);
    for (index_t c = 0; c < x_.cols(); ++c)
      for (int i = 0; i < N; ++i) {
        const floats x = x_.load(r + i, c), displaced = lesser(largest[i], x);
        if constexpr (Track.second) second[i] = hn::Max(second[i], displaced);
        largest[i] = hn::Max(largest[i], x);
        x_.store(r + i, c, displaced);
      }
    for (int i = 0; i < N; ++i) {
      rows_[r + i].largest = largest[i];
      rows_[r + i].second = second[i];
    }
  }

  HWY_INLINE void add_terms(int r) {
    vectors<N> reference, rest, weighted, exponent, term;
    for (int i = 0; i < N; ++i) {
      // Where all is -Inf any finite reference makes every e^d 0.
      reference[i] = hn::Max(rows_[r + i].largest, all(std::numeric_limits<float>::lowest()));
      // Column 0 has displaced -Inf, or is NaN.
      const floats nothing = clamp_exponent(x_.load(r + i, 0));
      rest[i] = weighted[i] = hn::Sub(nothing, nothing);
    }
    for (index_t c = 1; c < x_.cols(); ++c) {
      for (int i = 0; i < N; ++i) exponent[i] = clamp_exponent(hn::Sub(x_.load(r + i, c), reference[i]));
      exp_clamped<N>(exponent, term);
      for (int i = 0; i < N; ++i) weighted[i] = fma(exponent[i], term[i], weighted[i]);
      for (int i = 0; i < N; ++i) rest[i] = hn::Add(rest[i], term[i]);
    }
    for (int i = 0; i < N; ++i) {
      rows_[r + i].rest = rest[i];
      rows_[r + i].weighted = weighted[i];
      rows_[r + i].finish();
    }
  }

  logit_state<floats> rows_[rows_a_lane];
  short_columns<T> x_;
};

/// Probabilities.
template <class T, tracking Track>
class short_probabilities {
 public:
  static constexpr int rows_at_once = short_columns<T>::rows_at_once;

  /// As of `short_logits`.
  void read(const matrix_view<const T>& x, index_t first, index_t end) {
    p_.read(x, first, end);
    for (int r = 0; r < rows_a_lane; r += in_turn) gather(r);
  }
  HWY_INLINE const probability_state<floats>& rows(int r) const { return rows_[r]; }

 private:
  static constexpr int N = in_turn;

  HWY_INLINE void gather(int r) {
    vectors<N> total, bits, largest, second, p;
    for (int i = 0; i < N; ++i) total[i] = bits[i] = largest[i] = second[i] = all(0);
    for (index_t c = 0; c < p_.cols(); ++c) {
      for (int i = 0; i < N; ++i) p[i] = hn::Abs(p_.load(r + i, c));
      for (int i = 0; i < N; ++i) {
        total[i] = hn::Add(total[i], p[i]);
        if constexpr (Track.second) {
          second[i] = hn::Max(second[i], hn::Min(largest[i], p[i]));
          largest[i] = hn::Max(largest[i], p[i]);
        }
      }
      if constexpr (Track.entropy) add_entropies<N>(p, bits);
    }
    for (int i = 0; i < N; ++i) rows_[r + i] = {total[i], bits[i], largest[i], second[i]};
  }

  probability_state<floats> rows_[rows_a_lane];
  short_columns<T> p_;
};

template <outputs Kind, class T, tracking Track>
using short_rows =
    std::conditional_t<Kind == outputs::logits, short_logits<T, Track>, short_probabilities<T, Track>>;

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#endif  // POOLWISE_SCORE_SHORT_INL_HPP
