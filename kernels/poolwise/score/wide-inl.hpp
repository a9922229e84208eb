// Rows too wide to be worth turning into lanes: 16 neighbouring columns at a time, on every target, so that the
// order of summation is the same. Leaves the same states behind as the folds.
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

HWY_INLINE void store_sixteen(const sixteen& s, float* x) {
  for (int i = 0; i < parts; ++i) hn::Store(s[i], floats_tag(), x + i * lanes);
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

/// The 16 lanes of each of 16 rows, until they are joined.
struct lanes_of_rows {
  alignas(64) float row[tile_rows][tile_rows] = {};

  HWY_INLINE void put(int r, const sixteen& s) { store_sixteen(s, row[r]); }

  /// For the rows from `r` on, one a lane: what lanes 4q .. 4q+3 hold.
  HWY_INLINE four_columns quarter(int r, int q) const {
    return load_columns(even_rows<const float>(row[r], tile_rows), 4 * q);
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
/// of the 16 kept, one of the largest stays out of the sum for good. The largest elements of a chunk are looked
/// for while the terms of the chunk before it are summed: the two need different ports of the processor.
template <class T, tracking Track>
class wide_logits {
 public:
  void read(const matrix_view<const T>& x, index_t first) {
    const index_t end = std::min(first + tile_rows, x.rows);
    const index_t ahead = std::max<index_t>(1, 1024 / x.cols);  // rows: some 4 KiB
    const auto chunk_of = [&](index_t row, index_t begin)
                              HWY_ATTR { return row_chunk(x, row, row + ahead, begin, row < end); };
    row_chunk chunk = chunk_of(first, 0);
    leaders lead(chunk.row);
    lead.displace(chunk, 0, room_[0]);
    int now = 0;
    for (index_t row = first; row < end; ++row) {
      sixteen_sums rest, weighted;
      floats before = all(0);
      for (index_t begin = 0; begin < x.cols; begin += wide_chunk_columns, now = 1 - now) {
        const bool last = chunk.end == x.cols;
        const row_chunk following = last ? chunk_of(row + 1, 0) : chunk_of(row, chunk.end);
        const floats reference = hn::Max(largest_of(lead.largest), all(std::numeric_limits<float>::lowest()));
        leaders then = last ? leaders(following.row) : lead;
        terms t(reference);
        add_terms(t, room_[now], chunk.sixteens(), then, following, room_[1 - now]);
        for (int i = 0; i < parts; ++i) {
          if (begin > 0) rescale(clamp_exponent(hn::Sub(before, reference)), rest.part[i], weighted.part[i]);
          rest.part[i].add(hn::Add(t.rest[0][i], t.rest[1][i]));
          weighted.part[i].add(hn::Add(t.weighted[0][i], t.weighted[1][i]));
        }
        before = reference;
        if (last) keep(lead, before, rest, weighted, int(row - first));
        lead = then;
        chunk = following;
      }
    }
  }

  HWY_INLINE logit_state<floats> rows(int r) const {
    logit_state<floats> result;
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
  /// A chunk of a row, or none; and a row that is read some time later.
  struct row_chunk {
    const T *row, *later;
    index_t begin, end;

    HWY_INLINE row_chunk(const matrix_view<const T>& x, index_t r, index_t r_later, index_t from, bool some)
        : row(x.row(std::min(r, x.rows - 1))),
          later(x.row(std::min(r_later, x.rows - 1))),
          begin(from == 0 ? tile_rows : from),  // the first columns displace nothing
          end(some ? std::min(x.cols, from + wide_chunk_columns) : begin) {}

    HWY_INLINE int sixteens() const { return int((end - begin + tile_rows - 1) / tile_rows); }
    HWY_INLINE int whole_sixteens() const { return int((end - begin) / tile_rows); }
    HWY_INLINE void load(int s, sixteen& x) const { load_sixteen(row + begin + s * tile_rows, x); }
    HWY_INLINE void ask(int s) const { hwy::Prefetch(later + begin + s * tile_rows); }
  };

  /// The largest element of each lane of a row so far, and the second largest.
  struct leaders {
    sixteen largest, second;

    HWY_INLINE explicit leaders(const T* row) {
      load_sixteen(row, largest);
      set_sixteen(second, -infinity);
    }

    /// Takes in 16 columns. The elements that they displace go to `room`.
    HWY_INLINE void displace(const sixteen& x, float* room) {
      for (int i = 0; i < parts; ++i) {
        const floats displaced = lesser(largest[i], x[i]);
        if constexpr (Track.second) second[i] = hn::Max(second[i], displaced);
        largest[i] = greater(x[i], largest[i]);  // a NaN of the first 16 columns stays
        hn::Store(displaced, floats_tag(), room + i * lanes);
      }
    }

    /// The columns of a chunk from sixteen `s` on.
    HWY_INLINE void displace(const row_chunk& chunk, int s, float* room) {
      sixteen x;
      for (; s < chunk.whole_sixteens(); ++s) {
        chunk.load(s, x);
        chunk.ask(s);
        displace(x, room + s * tile_rows);
      }
      if (s == chunk.sixteens()) return;
      load_last(chunk.row, chunk.end, chunk.begin + s * tile_rows, -infinity, x);
      displace(x, room + s * tile_rows);
    }
  };

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

  /// Sums the terms of a chunk that has been displaced, while the one that follows it is.
  static HWY_INLINE void add_terms(terms& t, const float* room, int sixteens, leaders& then,
                                   const row_chunk& following, float* room_then) {
    const int both = sixteens < 16 ? 0 : std::min(sixteens, following.whole_sixteens()) / 2 * 2;
    int s = 0;
    for (; s < both; s += 2) {
      sixteen x;
      for (int p = 0; p < 2; ++p) {
        following.load(s + p, x);
        following.ask(s + p);
        then.displace(x, room_then + (s + p) * tile_rows);
      }
      t.add_two(room + s * tile_rows);
    }
    then.displace(following, s, room_then);
    for (; s + 2 <= sixteens; s += 2) t.add_two(room + s * tile_rows);
    if (s < sixteens) t.add_one(room + s * tile_rows, 0);
  }

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

  /// The row is read: the terms that its lanes still hold join the sums, but for one of the largest.
  HWY_INLINE void keep(leaders lead, floats reference, sixteen_sums& rest, sixteen_sums& weighted, int r) {
    const floats most = largest_of(lead.largest);
    sixteen exponent, term;
    for (int i = 0; i < parts; ++i) exponent[i] = clamp_exponent(hn::Sub(lead.largest[i], reference));
    exp_clamped<parts>(exponent, term);
    std::size_t ties = 0;
    for (int i = 0; i < parts; ++i) {
      const float_mask is_most = hn::Eq(lead.largest[i], most);
      ties += hn::CountTrue(floats_tag(), is_most);
      weighted.part[i].add(hn::Mul(exponent[i], term[i]));
      rest.part[i].add(hn::IfThenZeroElse(is_most, term[i]));
      if constexpr (Track.second)
        lead.second[i] = hn::Max(lead.second[i], hn::IfThenElse(is_most, all(-infinity), lead.largest[i]));
    }
    largest_[r] = hn::GetLane(most);
    others_[r] = float(ties) - 1;
    rest.put_into(rest_, r);
    weighted.put_into(weighted_, r);
    if constexpr (Track.second) second_.put(r, lead.second);
  }

  // Were the two whole pages apart, loads from one would wait for the stores to the other.
  alignas(64) float room_[2][wide_chunk_columns + 512];
  alignas(64) float largest_[tile_rows] = {}, others_[tile_rows] = {};  // others: largest elements but one
  lanes_of_rows rest_, weighted_, second_;
};

/// 16 rows of probabilities.
template <class T, tracking Track>
class wide_probabilities {
 public:
  void read(const matrix_view<const T>& x, index_t first) {
    // The latency at the end of a row hides behind another one where rows are short. Long rows are read faster
    // one by one, in the order of the memory.
    const int n = int(std::min<index_t>(tile_rows, x.rows - first));
    if (parts == 1 && x.cols < 256)
      for (int r = 0; r < n; r += 2) read_rows<2>(x, first + r, r);
    else
      for (int r = 0; r < n; ++r) read_rows<1>(x, first + r, r);
  }

  HWY_INLINE probability_state<floats> rows(int r) const {
    probability_state<floats> result;
    result.total = total_.sum(r);
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
    return result;
  }

 private:
  template <int AtOnce>
  struct gathered {
    using rows_of_sixteen = sixteen[AtOnce];
    rows_of_sixteen largest, second, total, bits;

    HWY_INLINE gathered() {
      for (rows_of_sixteen* s : {&largest, &second})
        for (sixteen& row : *s) set_sixteen(row, 0);
      clear_sums();
    }

    HWY_INLINE void clear_sums() {
      for (int k = 0; k < AtOnce; ++k) {
        set_sixteen(total[k], 0);
        set_sixteen(bits[k], 0);
      }
    }

    HWY_INLINE void add(const rows_of_sixteen& x) {
      vectors<AtOnce * parts> p, sums;
      for (int k = 0; k < AtOnce; ++k)
        for (int i = 0; i < parts; ++i) {
          const floats counted = hn::Abs(x[k][i]);
          if constexpr (Track.second) {
            second[k][i] = hn::Max(second[k][i], hn::Min(largest[k][i], counted));
            largest[k][i] = hn::Max(largest[k][i], counted);
          }
          total[k][i] = hn::Add(total[k][i], counted);
          p[k * parts + i] = counted;
          sums[k * parts + i] = bits[k][i];
        }
      if constexpr (Track.entropy) {
        add_entropies<AtOnce * parts>(p, sums);
        for (int k = 0; k < AtOnce; ++k)
          for (int i = 0; i < parts; ++i) bits[k][i] = sums[k * parts + i];
      }
    }
  };

  /// Rows `first` and on, number r of the tile and on; the last stands in for those past the end.
  template <int AtOnce>
  HWY_INLINE void read_rows(const matrix_view<const T>& x, index_t first, int r) {
    const T* row[AtOnce];
    for (int k = 0; k < AtOnce; ++k) row[k] = x.row(std::min(first + k, x.rows - 1));
    const index_t ahead = 512;
    gathered<AtOnce> g;
    sixteen_sums total[AtOnce], bits[AtOnce];
    for (index_t begin = 0; begin < x.cols; begin += wide_chunk_columns) {
      const index_t end = std::min(x.cols, begin + wide_chunk_columns);
      sixteen s[AtOnce];
      index_t c = begin;
      for (; c + tile_rows <= end; c += tile_rows) {
        for (int k = 0; k < AtOnce; ++k) {
          hwy::Prefetch(row[k] + c + ahead);
          load_sixteen(row[k] + c, s[k]);
        }
        g.add(s);
      }
      if (c < end) {
        for (int k = 0; k < AtOnce; ++k) load_last(row[k], x.cols, c, 0, s[k]);
        g.add(s);
      }
      for (int k = 0; k < AtOnce; ++k)
        for (int i = 0; i < parts; ++i) {
          total[k].part[i].add(g.total[k][i]);
          if constexpr (Track.entropy) bits[k].part[i].add(g.bits[k][i]);
        }
      g.clear_sums();
    }
    for (int k = 0; k < AtOnce; ++k) {
      total[k].put_into(total_, r + k);
      if constexpr (Track.entropy) bits[k].put_into(bits_, r + k);
      if constexpr (Track.second) {
        largest_.put(r + k, g.largest[k]);
        second_.put(r + k, g.second[k]);
      }
    }
  }

  lanes_of_rows total_, bits_, largest_, second_;
};

template <outputs Kind, class T, tracking Track>
using wide_rows =
    std::conditional_t<Kind == outputs::logits, wide_logits<T, Track>, wide_probabilities<T, Track>>;

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#endif  // POOLWISE_SCORE_WIDE_INL_HPP
