// Rows too wide to be worth turning into lanes: 16 neighbouring columns at a time, on every target, so that the
// order of summation is the same. Leaves the same `logit_rows` and `probability_rows` behind as the folds.
#if defined(POOLWISE_SCORE_WIDE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef POOLWISE_SCORE_WIDE_INL_HPP
#undef POOLWISE_SCORE_WIDE_INL_HPP
#else
#define POOLWISE_SCORE_WIDE_INL_HPP
#endif

#include <algorithm>

#include "hwy/cache_control.h"
#include "poolwise/score/detail/blocking.hpp"
#include "poolwise/score/fold-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {

/// From here on what a row costs at its end is less than what its transpose costs.
inline constexpr index_t least_wide_columns = 64;

/// Columns of a row that are read before their terms are summed; they stay in the L1 cache. Part of the order
/// of summation.
inline constexpr index_t wide_chunk_columns = 2048;

/// Vectors that 16 columns fill.
inline constexpr int parts = tile_rows / lanes;

using sixteen = vectors<parts>;

HWY_INLINE void set_sixteen(sixteen& s, float x) {
  for (floats& part : s) part = all(x);
}

template <class T>
HWY_INLINE void load_sixteen(const T* x, sixteen& s) {
  for (int i = 0; i < parts; ++i) s[i] = load_row(x + i * lanes);
}

/// The columns [cols - 16, cols), and `pad` in place of those before column `from`.
template <class T>
HWY_INLINE void load_last(const T* x, index_t cols, index_t from, float pad, sixteen& s) {
  load_sixteen(x + cols - tile_rows, s);
  const floats fresh = all(float(tile_rows - (cols - from)));
  for (int i = 0; i < parts; ++i) {
    const floats lane = hn::Iota(floats_tag(), float(i * lanes));
    s[i] = hn::IfThenElse(hn::Ge(lane, fresh), s[i], all(pad));
  }
}

/// What each of 16 rows has gathered in its 16 lanes, until these are joined.
struct lanes_of_rows {
  alignas(64) float row[tile_rows][tile_rows] = {};

  HWY_INLINE void put(int r, const sixteen& s) {
    for (int i = 0; i < parts; ++i) hn::Store(s[i], floats_tag(), row[r] + i * lanes);
  }

  /// For the rows from `r` on, one a lane: what lanes 4q .. 4q+3 hold.
  HWY_INLINE four_columns quarter(int r, int q) const {
    row_pointers<float> rows;
    for (int k = 0; k < lanes; ++k) rows[std::size_t(k)] = row[r + k];
    return load_columns(rows, 4 * q);
  }

  HWY_INLINE floats sum(int r) const {
    floats total[4];
    for (int q = 0; q < 4; ++q) {
      const four_columns x = quarter(r, q);
      total[q] = hn::Add(hn::Add(x.column[0], x.column[1]), hn::Add(x.column[2], x.column[3]));
    }
    return hn::Add(hn::Add(total[0], total[1]), hn::Add(total[2], total[3]));
  }

  HWY_INLINE floats largest(int r) const {
    floats most = all(-infinity);
    for (int q = 0; q < 4; ++q)
      for (const floats x : quarter(r, q).column) most = hn::Max(most, x);
    return most;
  }
};

/// A row's sums by chunks, 16 lanes side by side.
struct sixteen_sums {
  chunk_sum part[parts];

  HWY_INLINE sixteen_sums() {}

  HWY_INLINE void put_into(lanes_of_rows& all_rows, int r) const {
    sixteen value;
    for (int i = 0; i < parts; ++i) value[i] = part[i].value;
    all_rows.put(r, value);
  }
};

/// 16 rows of logits. As in `logit_fold`, each lane keeps its largest element out of the terms that it sums;
/// of the 16 kept, one of the largest stays out of the sum for good.
template <class T, tracking Track>
class wide_logits {
 public:
  void read(const matrix_view<const T>& x, index_t first) {
    const int n = int(std::min<index_t>(tile_rows, x.rows - first));
    for (int r = 0; r < n; ++r) {
      const index_t row = first + r;
      read_row(x.row(row), x.row(std::min(row + 1, x.rows - 1)), x.cols, r);
    }
  }

  HWY_INLINE logit_rows rows(int r) const {
    logit_rows result;
    const floats others = hn::Load(floats_tag(), others_ + r);
    result.largest = hn::Load(floats_tag(), largest_ + r);
    result.second = all(-infinity);
    if constexpr (Track.second)
      result.second = hn::IfThenElse(hn::Gt(others, all(0)), result.largest, second_.largest(r));
    result.rest = hn::Add(rest_.sum(r), others);
    result.weighted = weighted_.sum(r);
    result.finish();
    return result;
  }

 private:
  /// The terms of 16 columns after one another, in two partial sums each.
  struct terms {
    floats reference;
    sixteen rest[2], weighted[2];

    HWY_INLINE explicit terms(floats r) : reference(r) {
      for (int p = 0; p < 2; ++p) {
        set_sixteen(rest[p], 0);
        set_sixteen(weighted[p], 0);
      }
    }

    template <int N>
    HWY_INLINE void exponents(const float* x, vectors<N>& exponent, vectors<N>& term) const {
      for (int i = 0; i < N; ++i) exponent[i] = hn::Sub(hn::Load(floats_tag(), x + i * lanes), reference);
      for (int i = 0; i < N; ++i) exponent[i] = clamp_exponent(exponent[i]);
      exp_clamped<N>(exponent, term);
    }

    HWY_INLINE void add_one(const float* x, int p) {
      sixteen exponent, term;
      exponents<parts>(x, exponent, term);
      for (int i = 0; i < parts; ++i) weighted[p][i] = fma(exponent[i], term[i], weighted[p][i]);
      for (int i = 0; i < parts; ++i) rest[p][i] = hn::Add(rest[p][i], term[i]);
    }

    HWY_INLINE void add_two(const float* x) {
      if constexpr (parts > 1) {
        add_one(x, 0);
        add_one(x + tile_rows, 1);
      } else {
        vectors<2> exponent, term;
        exponents<2>(x, exponent, term);
        for (int p = 0; p < 2; ++p) weighted[p][0] = fma(exponent[p], term[p], weighted[p][0]);
        for (int p = 0; p < 2; ++p) rest[p][0] = hn::Add(rest[p][0], term[p]);
      }
    }
  };

  /// The largest of all lanes, in each.
  static HWY_INLINE floats largest_of(const sixteen& x) {
    floats most = x[0];
    for (int i = 1; i < parts; ++i) most = hn::Max(most, x[i]);
#if HWY_TARGET == HWY_EMU128  // whose MaxOfLanes begins at the lowest finite number
    for (int k = 1; k < lanes; ++k) most.raw[0] = std::max(most.raw[0], most.raw[k]);
    return all(most.raw[0]);
#else
    return hn::MaxOfLanes(floats_tag(), most);
#endif
  }

  /// Row number r of the tile; `next_row` is read after it, and asked for while the terms are summed.
  HWY_INLINE void read_row(const T* x, const T* next_row, index_t cols, int r) {
    sixteen largest, second;
    load_sixteen(x, largest);
    set_sixteen(second, -infinity);
    sixteen_sums rest, weighted;
    floats before = all(0);
    for (index_t begin = 0; begin < cols; begin += wide_chunk_columns) {
      const index_t end = std::min(cols, begin + wide_chunk_columns);
      float* room = displaced_;
      index_t c = begin == 0 ? tile_rows : begin;
      for (; c + tile_rows <= end; c += tile_rows) {
        sixteen s;
        load_sixteen(x + c, s);
        displace(s, largest, second, room);
      }
      if (c < end) {
        sixteen s;
        load_last(x, cols, c, -infinity, s);
        displace(s, largest, second, room);
      }
      const floats reference = hn::Max(largest_of(largest), all(std::numeric_limits<float>::lowest()));
      terms t(reference);
      const float* from = displaced_;
      const T* next = end < cols ? x + end : next_row;
      const index_t left = end < cols ? cols - end : cols;
      for (; from + 2 * tile_rows <= room; from += 2 * tile_rows) {
        const index_t ahead = std::min(from - displaced_ + tile_rows, left - 1);
        hwy::Prefetch(next + ahead - tile_rows);
        hwy::Prefetch(next + ahead);
        t.add_two(from);
      }
      if (from < room) t.add_one(from, 0);
      for (int i = 0; i < parts; ++i) {
        if (begin > 0) rescale(clamp_exponent(hn::Sub(before, reference)), rest.part[i], weighted.part[i]);
        rest.part[i].add(hn::Add(t.rest[0][i], t.rest[1][i]));
        weighted.part[i].add(hn::Add(t.weighted[0][i], t.weighted[1][i]));
      }
      before = reference;
    }
    keep(largest, second, before, rest, weighted, r);
  }

  static HWY_INLINE void displace(const sixteen& x, sixteen& largest, sixteen& second, float*& room) {
    for (int i = 0; i < parts; ++i, room += lanes) {
      const floats displaced = lesser(largest[i], x[i]);
      if constexpr (Track.second) second[i] = hn::Max(second[i], displaced);
      largest[i] = greater(x[i], largest[i]);  // a NaN of the first 16 columns stays
      hn::Store(displaced, floats_tag(), room);
    }
  }

  /// The row is read: the terms that its lanes still hold join the sums, but for one of the largest.
  HWY_INLINE void keep(const sixteen& largest, sixteen& second, floats reference, sixteen_sums& rest,
                       sixteen_sums& weighted, int r) {
    const floats most = largest_of(largest);
    sixteen exponent, term;
    for (int i = 0; i < parts; ++i) exponent[i] = clamp_exponent(hn::Sub(largest[i], reference));
    exp_clamped<parts>(exponent, term);
    std::size_t ties = 0;
    for (int i = 0; i < parts; ++i) {
      const float_mask is_most = hn::Eq(largest[i], most);
      ties += hn::CountTrue(floats_tag(), is_most);
      weighted.part[i].add(hn::Mul(exponent[i], term[i]));
      rest.part[i].add(hn::IfThenZeroElse(is_most, term[i]));
      if constexpr (Track.second)
        second[i] = hn::Max(second[i], hn::IfThenElse(is_most, all(-infinity), largest[i]));
    }
    largest_[r] = hn::GetLane(most);
    others_[r] = float(ties) - 1;
    rest.put_into(rest_, r);
    weighted.put_into(weighted_, r);
    if constexpr (Track.second) second_.put(r, second);
  }

  alignas(64) float displaced_[wide_chunk_columns];
  alignas(64) float largest_[tile_rows] = {}, others_[tile_rows] = {};  // others: largest elements but one
  lanes_of_rows rest_, weighted_, second_;
};

/// 16 rows of probabilities.
template <class T, tracking Track>
class wide_probabilities {
 public:
  void read(const matrix_view<const T>& x, index_t first) {
    const int n = int(std::min<index_t>(tile_rows, x.rows - first));
    for (int r = 0; r < n; ++r) read_row(x.row(first + r), x.cols, r);
  }

  HWY_INLINE probability_rows<T> rows(int r) const {
    probability_rows<T> result;
    result.total = total_.sum(r);
    result.lowest = hn::Load(floats_tag(), lowest_ + r);
    result.bits = result.largest = result.second = all(0);
    if constexpr (Track.entropy) result.bits = bits_.sum(r);
    if constexpr (Track.second) {
      for (int q = 0; q < 4; ++q)
        for (const floats x : largest_.quarter(r, q).column) {
          result.second = hn::Max(result.second, hn::Min(result.largest, x));
          result.largest = hn::Max(result.largest, x);
        }
      result.second = hn::Max(result.second, second_.largest(r));
    }
    result.finish();
    return result;
  }

 private:
  struct gathered {
    sixteen lowest, largest, second;
    sixteen total[2], bits[2];

    HWY_INLINE gathered() {
      set_sixteen(lowest, 0);
      set_sixteen(largest, 0);
      set_sixteen(second, 0);
      clear_sums();
    }

    HWY_INLINE void clear_sums() {
      for (int p = 0; p < 2; ++p) {
        set_sixteen(total[p], 0);
        set_sixteen(bits[p], 0);
      }
    }

    HWY_INLINE bool any_negative() const {
      floats least = lowest[0];
      for (int i = 1; i < parts; ++i) least = hn::Min(least, lowest[i]);
      return !hn::AllFalse(floats_tag(), hn::Lt(least, all(0)));
    }

    HWY_INLINE void note(const sixteen& x, int p) {
      for (int i = 0; i < parts; ++i) {
        if constexpr (Track.second) {
          second[i] = hn::Max(second[i], hn::Min(largest[i], x[i]));
          largest[i] = hn::Max(largest[i], x[i]);
        }
        lowest[i] = hn::Min(lowest[i], x[i]);
        total[p][i] = hn::Add(total[p][i], x[i]);
      }
    }

    HWY_INLINE void add_one(const sixteen& x, int p) {
      note(x, p);
      if constexpr (Track.entropy) add_entropies<parts>(x, bits[p]);
    }

    HWY_INLINE void add_two(const sixteen& x, const sixteen& y) {
      if constexpr (parts > 1 || !Track.entropy) {
        add_one(x, 0);
        add_one(y, 1);
      } else {
        note(x, 0);
        note(y, 1);
        const vectors<2> p{x[0], y[0]};
        vectors<2> sums{bits[0][0], bits[1][0]};
        add_entropies<2>(p, sums);
        bits[0][0] = sums[0];
        bits[1][0] = sums[1];
      }
    }
  };

  HWY_INLINE void read_row(const T* x, index_t cols, int r) {
    gathered g;
    sixteen_sums total, bits;
    for (index_t begin = 0; begin < cols; begin += wide_chunk_columns) {
      const index_t end = std::min(cols, begin + wide_chunk_columns);
      index_t c = begin;
      for (; c + 2 * tile_rows <= end; c += 2 * tile_rows) {
        sixteen s, t;
        load_sixteen(x + c, s);
        load_sixteen(x + c + tile_rows, t);
        g.add_two(s, t);
      }
      if (c + tile_rows <= end) {
        sixteen s;
        load_sixteen(x + c, s);
        g.add_one(s, 0);
        c += tile_rows;
      }
      if (c < end) {
        sixteen s;
        load_last(x, cols, c, 0, s);
        g.add_one(s, 1);
      }
      for (int i = 0; i < parts; ++i) {
        total.part[i].add(hn::Add(g.total[0][i], g.total[1][i]));
        if constexpr (Track.entropy) bits.part[i].add(hn::Add(g.bits[0][i], g.bits[1][i]));
      }
      g.clear_sums();
    }
    total.put_into(total_, r);
    lowest_[r] = g.any_negative() ? -1.0f : 0.0f;  // its sign is all that is asked for
    if constexpr (Track.entropy) bits.put_into(bits_, r);
    if constexpr (Track.second) {
      largest_.put(r, g.largest);
      second_.put(r, g.second);
    }
  }

  alignas(64) float lowest_[tile_rows] = {};
  lanes_of_rows total_, bits_, largest_, second_;
};

template <outputs Kind, class T, tracking Track>
using wide_rows =
    std::conditional_t<Kind == outputs::logits, wide_logits<T, Track>, wide_probabilities<T, Track>>;

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#endif  // POOLWISE_SCORE_WIDE_INL_HPP
