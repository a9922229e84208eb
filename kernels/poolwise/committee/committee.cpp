#include "poolwise/committee/committee.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "poolwise/committee/detail/committee_cuda.hpp"
#include "poolwise/committee/detail/tiles.hpp"
#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/offload.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/detail/simd_targets.hpp"
#include "poolwise/core/detail/state_bytes.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/score/detail/blocking.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/committee/committee.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/committee/detail/disagreements-inl.hpp"
#include "poolwise/score/fold-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {

static_assert(tile_rows % lanes == 0);

/// The lanes from row `r` of the tile on.
HWY_INLINE floats load_rows(const tile_column& column, int r) { return hn::Load(floats_tag(), column.row + r); }
HWY_INLINE void store_rows(floats x, tile_column& column, int r) { hn::Store(x, floats_tag(), column.row + r); }

// ---- A member comes

/// Adds one member's probabilities to a tile, lane by lane from `row` on.
struct mixer {
  float_tile into;
  int row;
  deviation_update<floats> deviate;

  HWY_INLINE mixer(const float_tile& t, int r, index_t members) : into(t), row(r), deviate(members) {}

  HWY_INLINE void add(index_t c, floats p) const {
    if (into.sum == nullptr) return;
    const floats sum = load_rows(into.sum[c], row);
    store_rows(hn::Add(sum, p), into.sum[c], row);
    if (into.deviations == nullptr) return;
    store_rows(deviate.update(load_rows(into.deviations[c], row), p, sum), into.deviations[c], row);
  }

  /// Puts q into the place of the p that came last, in the rows of `which`.
  HWY_INLINE void replace(index_t c, floats p, floats q, float_mask which) const {
    if (into.sum == nullptr) return;
    const floats sum = load_rows(into.sum[c], row), before = hn::Sub(sum, p);
    store_rows(hn::IfThenElse(which, hn::Add(before, q), sum), into.sum[c], row);
    if (into.deviations == nullptr) return;
    const floats deviations = load_rows(into.deviations[c], row);
    const floats without = hn::Sub(deviations, deviate.update(all(0), p, before));
    const floats with = deviate.update(hn::Max(without, all(0)), q, before);
    store_rows(hn::IfThenElse(which, with, deviations), into.deviations[c], row);
  }
};

/// Logits: mixed in once their row has been folded.
template <outputs Kind>
struct mixing {
  mixer into;
  normaliser<Kind, floats> probability;

  template <int>
  HWY_INLINE void see(index_t c, floats x) const {
    into.add(c, probability(x));
  }
};

/// The same from the terms that the fold has left.
struct mixing_terms {
  mixer into;
  floats scale;
  const chunk& terms;

  template <int>
  HWY_INLINE void step(index_t c) const {
    into.add(c, hn::Mul(terms.load(c), scale));
  }
};

/// Probabilities: mixed in while they are folded. What a row without a distribution leaves is not looked at.
/// Rows whose sum was not 1 are mended then: they are rare.
template <class Fold>
struct mixing_fold : Fold {
  mixer into;

  HWY_INLINE mixing_fold(chunk& room, const mixer& m) : Fold(room), into(m) {}

  template <int Part>
  HWY_INLINE void see(index_t c, floats p) {
    Fold::template see<Part>(c, p);
    into.add(c, hn::Abs(p));
  }

  HWY_INLINE void see_four(index_t c, const floats (&p)[4]) {
    Fold::see_four(c, p);
    for (int j = 0; j < 4; ++j) into.add(c + j, hn::Abs(p[j]));
  }
};

/// The rows that have to be divided by their sums, which they were not when they were mixed in.
struct mending {
  mixer into;
  normaliser<outputs::probabilities, floats> probability;
  float_mask which;

  template <int>
  HWY_INLINE void see(index_t c, floats x) const {
    into.replace(c, hn::Abs(x), probability(x), which);
  }
};

/// Shows all columns of `window` to body.see.
template <class Body, class T>
HWY_INLINE void read_again(row_window<T>& window, Body& body) {
  for (index_t begin = 0; begin < window.cols(); begin += chunk_columns)
    read_columns(window, begin, std::min(window.cols(), begin + chunk_columns), body);
}

HWY_INLINE void count_votes(ints argmax, int row, tile_column* votes) {
  alignas(64) std::int32_t winner[lanes];
  hn::Store(argmax, ints_tag(), winner);
  for (int k = 0; k < lanes; ++k) votes[winner[k]].row[row + k] += 1.0f;
}

/// Notes what a member's fold says of the rows of the tile from `row` on.
template <tracking Track, class Fold>
HWY_INLINE void note(const Fold& fold, const float_tile& into, int row, member_record* record) {
  const floats member_entropy = only_valid(fold, entropy(fold));
  store_rows(hn::Add(load_rows(*into.entropy, row), member_entropy), *into.entropy, row);
  if constexpr (Track.argmax) count_votes(fold.argmax, row, into.votes);
  if (record == nullptr) return;
  const auto probability = normaliser_of(fold);
  store_rows(probability.largest, record->largest, row);
  store_rows(probability.scale, record->scale, row);
  store_rows(hn::Neg(member_entropy), record->divergence, row);
}

/// Adds the rows of member number `seen` from `first` on to the rows of the tile from `row` on.
template <outputs Kind, tracking Track, class T>
HWY_NOINLINE void add_lanes(const matrix_view<const T>& x, index_t first, index_t seen, const float_tile& into,
                            int row, index_t to_next, chunk& room, member_record* record) {
  row_window<T> window(x, first);
  const mixer mix(into, row, seen);
  if constexpr (Kind == outputs::probabilities) {
    mixing_fold<fold_of<Kind, Track>> fold(room, mix);
    fold_rows<Kind>(window, to_next, fold);
    note<Track>(fold, into, row, record);
    const floats whole = whole_of(fold);
    if (is_one(whole)) return;
    mending again{mix, normaliser_of(fold), hn::Ne(whole, all(1))};
    read_again(window, again);
  } else {
    fold_of<Kind, Track> fold(room);
    fold_rows<Kind>(window, to_next, fold);
    note<Track>(fold, into, row, record);
    const auto probability = normaliser_of(fold);
    if constexpr (Track.terms) {
      mixing_terms terms{mix, probability.scale, room};
      each_column(x.cols, terms);
    } else {
      mixing<Kind> again{mix, probability};
      read_again(window, again);
    }
  }
}

/// Members whose rows are added together, as many as the registers hold.
inline constexpr int members_at_once = lanes == 16 ? 4 : 2;

/// From here on rows are folded by chunks.
inline constexpr index_t least_folded_columns = 64;

/// The columns of `lanes` rows of a few members, those of all members side by side.
struct short_room {
  alignas(64) float values[least_folded_columns * members_at_once * lanes];

  HWY_INLINE float* at(index_t c, int member) { return values + (c * members_at_once + member) * lanes; }
};

/// Reads the rows of one member; gives the sum of each. Asks for the rows that are read `ahead` elements after
/// them.
template <class T>
HWY_INLINE floats read_short(row_window<T>& window, index_t ahead, short_room& room, int member) {
  const index_t cols = window.cols();
  const even_rows<const T> rows = window.columns(0, cols);
  floats total = all(0);
  const auto take = [&](index_t c, floats given) HWY_ATTR {
    const floats p = hn::Abs(given);
    total = hn::Add(total, p);
    hn::Store(p, floats_tag(), room.at(c, member));
  };
  for (index_t i = 0; i < lanes * cols; i += 64 / index_t(sizeof(T))) hwy::Prefetch(window.row(0) + ahead + i);
  index_t c = 0;
  for (; c + 4 <= cols; c += 4) {
    const four_columns four = load_columns(rows, c);
    take(c, four.column[0]);
    take(c + 1, four.column[1]);
    take(c + 2, four.column[2]);
    take(c + 3, four.column[3]);
  }
  if (c == cols) return total;
  const index_t from = std::max<index_t>(cols - 4, 0);  // some of them once more
  const four_columns last = load_columns(rows, from);
  if (c == from) take(from, last.column[0]);
  if (c <= from + 1 && from + 1 < cols) take(from + 1, last.column[1]);
  if (c <= from + 2 && from + 2 < cols) take(from + 2, last.column[2]);
  if (from + 3 < cols) take(from + 3, last.column[3]);
  return total;
}

/// Adds rows of N members, members number `seen` and on, whose probabilities have few columns.
template <int N, tracking Track, class T>
HWY_NOINLINE void add_short(const matrix_view<const T>* members, index_t first, index_t seen,
                            const float_tile& into, int row, short_room& room, member_record* records) {
  const index_t cols = members[0].cols;
  const bool deviating = into.deviations != nullptr;
  deviation_update<floats> deviate[N];
  probability_state<floats> member[N];
  vectors<N> scale, bits, largest, p;
  ints argmax[N];
  for (int k = 0; k < N; ++k) {
    deviate[k] = deviation_update<floats>(seen + k);
    row_window<T> window(members[k], first);
    member[k].total = read_short(window, tile_rows * members[k].stride, room, k);
    member[k].largest = member[k].second = bits[k] = largest[k] = all(0);
    const floats whole = whole_of(member[k]);
    scale[k] = is_one(whole) ? whole : reciprocal(whole);
    argmax[k] = hn::Zero(ints_tag());
  }
  for (index_t c = 0; c < cols; ++c) {
    for (int k = 0; k < N; ++k) p[k] = hn::Load(floats_tag(), room.at(c, k));
    if constexpr (Track.argmax)
      for (int k = 0; k < N; ++k) {
        const auto leads = hn::RebindMask(ints_tag(), hn::Gt(p[k], largest[k]));
        argmax[k] = hn::IfThenElse(leads, hn::Set(ints_tag(), std::int32_t(c)), argmax[k]);
        largest[k] = hn::Max(largest[k], p[k]);
      }
    if constexpr (Track.entropy) add_entropies<N>(p, bits);
    if (into.sum != nullptr) {
      floats sum = load_rows(into.sum[c], row);
      floats gathered = deviating ? load_rows(into.deviations[c], row) : all(0);
      for (int k = 0; k < N; ++k) {
        if (deviating) gathered = deviate[k].update(gathered, hn::Mul(p[k], scale[k]), sum);
        sum = fma(p[k], scale[k], sum);
      }
      store_rows(sum, into.sum[c], row);
      if (deviating) store_rows(gathered, into.deviations[c], row);
    }
  }
  if constexpr (Track.argmax)
    for (index_t c = 0; c < cols; ++c) {
      floats votes = load_rows(into.votes[c], row);
      for (int k = 0; k < N; ++k) {
        const auto wins = hn::Eq(argmax[k], hn::Set(ints_tag(), std::int32_t(c)));
        votes = hn::Add(votes, hn::IfThenElseZero(hn::RebindMask(floats_tag(), wins), all(1)));
      }
      store_rows(votes, into.votes[c], row);
    }
  for (int k = 0; k < N; ++k) {
    member[k].bits = bits[k];
    note<tracking{}>(member[k], into, row, records == nullptr ? nullptr : records + k);
  }
}

/// Where rows lie transposed while they are added.
union scratch {
  chunk folded;
  short_room unfolded;
};

/// Adds up to `tile_rows` rows of some members, from `first` on; the first of them is member number `seen`.
template <outputs Kind, tracking Track, class T>
void add_tile(std::span<const matrix_view<const T>> members, index_t first, index_t seen,
              const float_tile& into, scratch& room, member_record* records) {
  const index_t rows = members[0].rows, cols = members[0].cols, n = index_t(members.size());
  const auto record_of = [&](index_t k) { return records == nullptr ? nullptr : records + k; };
  for (int row = 0; row < tile_rows && first + row < rows; row += lanes) {
    index_t k = 0;
    if constexpr (Kind == outputs::probabilities)
      if (cols < least_folded_columns) {
        for (; k + members_at_once <= n; k += members_at_once)
          add_short<members_at_once, Track>(&members[std::size_t(k)], first + row, seen + k, into, row,
                                            room.unfolded, record_of(k));
        for (; k < n; ++k)
          add_short<1, Track>(&members[std::size_t(k)], first + row, seen + k, into, row, room.unfolded,
                              record_of(k));
      }
    for (; k < n; ++k) {
      const matrix_view<const T>& member = members[std::size_t(k)];
      const index_t to_next =
          k + 1 < n ? members[std::size_t(k + 1)].data - member.data : next_rows(member, first);
      add_lanes<Kind, Track>(member, first + row, seen + k, into, row, to_next, room.folded, record_of(k));
    }
  }
}

template <outputs Kind, class T>
void add_tile(std::span<const matrix_view<const T>> members, index_t first, index_t seen,
              const float_tile& into, scratch& room, member_record* records) {
  const bool votes = into.votes != nullptr;
  const auto add = [&](auto add_as) HWY_ATTR { add_as(members, first, seen, into, room, records); };
  if constexpr (Kind == outputs::probabilities) {
    if (votes && into.entropies_matter)
      add(add_tile<Kind, tracking{.entropy = true, .argmax = true}, T>);
    else if (votes)
      add(add_tile<Kind, tracking{.argmax = true}, T>);
    else if (into.entropies_matter)
      add(add_tile<Kind, tracking{.entropy = true}, T>);
    else
      add(add_tile<Kind, tracking{}, T>);
  } else if (members[0].cols <= chunk_columns) {
    if (votes)
      add(add_tile<Kind, tracking{.argmax = true, .terms = true}, T>);
    else
      add(add_tile<Kind, tracking{.terms = true}, T>);
  } else if (votes) {
    add(add_tile<Kind, tracking{.argmax = true}, T>);
  } else {
    add(add_tile<Kind, tracking{}, T>);
  }
}

// ---- The members are there

/// Sums `term` over the columns of a tile, chunk by chunk.
template <class Term>
struct tile_sum {
  const tile_column* columns;
  int row;
  Term term;
  column_sum sum;

  HWY_INLINE tile_sum(const tile_column* from, int r, Term t) : columns(from), row(r), term(t) {}

  template <int Part>
  HWY_INLINE void step(index_t c) {
    sum.part[Part] = term(sum.part[Part], load_rows(columns[c], row));
  }
};

template <class Term>
HWY_INLINE floats total_over(const tile_column* columns, index_t cols, int row, Term term) {
  chunk_sum total;
  for (index_t begin = 0; begin < cols; begin += chunk_columns) {
    tile_sum<Term> s(columns + begin, row, term);
    each_column(std::min(cols - begin, chunk_columns), s);
    total.add(s.sum.total());
  }
  return total.value;
}

struct add_entropy_of_mean {
  floats members;
  HWY_INLINE floats operator()(floats bits, floats x) const { return add_entropy(bits, hn::Div(x, members)); }
};

struct add_root_of_mean {
  floats members;
  HWY_INLINE floats operator()(floats sum, floats x) const {
    return hn::Add(sum, hn::Sqrt(hn::Div(x, members)));
  }
};

/// The entropy, in nats, of the mean of the `members` values that each column sums.
HWY_INLINE floats entropy_of_mean(const tile_column* columns, index_t cols, int row, floats members) {
  return hn::Mul(all(ln2), total_over(columns, cols, row, add_entropy_of_mean{members}));
}

/// The sums of the rows of a tile from `row` on. Those over columns are formed when they are asked for.
struct sums_of_rows {
  const float_tile& t;
  const tile_column& divergence;
  index_t cols;
  int row;
  floats count, entropy;  // members, and the mean of their entropies

  HWY_INLINE floats members() const { return count; }
  HWY_INLINE floats classes() const { return all(float(cols)); }
  HWY_INLINE floats mean_entropy() const { return entropy; }
  HWY_INLINE floats consensus_entropy() const { return entropy_of_mean(t.sum, cols, row, count); }
  HWY_INLINE floats vote_entropy() const { return entropy_of_mean(t.votes, cols, row, count); }
  HWY_INLINE floats most_votes() const {
    floats most = all(0);
    for (index_t c = 0; c < cols; ++c) most = hn::Max(most, load_rows(t.votes[c], row));
    return most;
  }
  HWY_INLINE floats deviations() const { return total_over(t.deviations, cols, row, add_root_of_mean{count}); }
  HWY_INLINE floats max_kl() const { return load_rows(divergence, row); }
};

/// Writes the scores of the rows of a tile, of which the first is row `first` of `scores`.
/// `max_kl` is read only where it is asked for.
void finish_tile(const float_tile& t, index_t cols, index_t members, std::span<const disagreement> which,
                 const tile_column& max_kl, index_t first, const matrix_view<float>& scores) {
  const floats count = all(float(members));
  for (int row = 0; row < tile_rows && first + row < scores.rows; row += lanes) {
    const floats mean_entropy = load_rows(*t.entropy, row) / count;
    const float_mask valid = at_most(mean_entropy, mean_entropy);  // false for NaN
    const sums_of_rows sums{t, max_kl, cols, row, count, mean_entropy};
    for (std::size_t d = 0; d < which.size(); ++d)
      write_column(only_where(valid, score_of(sums, which[d])), first + row, index_t(d), scores);
  }
}

/// ln of the mean distribution; finite where the mean is 0, for there every member's probability is 0.
HWY_INLINE floats log_of_mean(floats sum, floats members) {
  return hn::Mul(all(ln2), log2_normal(hn::Div(sum, members)));
}

/// Sums p ln pbar over a chunk of columns from `begin` on.
template <outputs Kind>
struct crossing {
  normaliser<Kind, floats> probability;
  const chunk& logs;
  index_t begin;
  column_sum sum;

  HWY_INLINE crossing(const normaliser<Kind, floats>& p, const chunk& l, index_t b)
      : probability(p), logs(l), begin(b) {}

  template <int Part>
  HWY_INLINE void see(index_t c, floats x) {
    sum.part[Part] = fma(probability(x), logs.load(c - begin), sum.part[Part]);
  }
};

/// max_e KL(p^e || pbar), where KL = -H[p^e] - sum_c p_c ln pbar_c and the records begin at -H[p^e].
template <outputs Kind, class T>
void find_max_kl(const cube_view<const T>& x, index_t first, const float_tile& t,
                 std::span<member_record> records, chunk& logs, tile_column& max_kl) {
  for (int row = 0; row < tile_rows && first + row < x.rows; row += lanes) {
    for (index_t begin = 0; begin < x.cols; begin += chunk_columns) {
      const index_t end = std::min(x.cols, begin + chunk_columns);
      for (index_t c = begin; c < end; ++c)
        logs.store(c - begin, log_of_mean(load_rows(t.sum[c], row), all(float(x.members))));
      for (index_t k = 0; k < x.members; ++k) {
        auto& record = records[std::size_t(k)];
        row_window<T> window(x.member(k), first + row);
        crossing<Kind> cross({load_rows(record.largest, row), load_rows(record.scale, row)}, logs, begin);
        read_columns(window, begin, end, cross);
        const floats divergence = hn::Sub(load_rows(record.divergence, row), cross.sum.total());
        store_rows(divergence, record.divergence, row);
      }
    }
    floats largest = all(0);
    for (const auto& record : records) largest = hn::Max(largest, load_rows(record.divergence, row));
    store_rows(largest, max_kl, row);
  }
}

// ---- Entry points

template <outputs Kind, class T>
void score_block(const cube_view<const T>& x, index_t begin, index_t end, std::span<const disagreement> which,
                 const matrix_view<float>& scores) {
  const bool divergences = any(which, needs_divergences), blocks = x.members > members_in_block;
  std::vector<member_record> records(divergences ? std::size_t(x.members) : 0);
  tiles gathered(tile_rows, x.cols, which);
  tiles_of<double> earlier_blocks(blocks ? tile_rows : 0, x.cols, which);
  const float_tile t = gathered.at(0);
  const tile_of<double> earlier = earlier_blocks.at(0);
  scratch room;
  tile_column max_kl{};
  std::vector<matrix_view<const T>> members;
  for (index_t k = 0; k < x.members; ++k) members.push_back(x.member(k));
  for (index_t first = begin; first < end; first += tile_rows) {
    earlier_blocks.clear();
    for (index_t k = 0; k < x.members; k += members_in_block) {
      if (k > 0) join(earlier, k - members_in_block, t, members_in_block, x.cols, earlier);
      gathered.clear();
      const index_t count = std::min(members_in_block, x.members - k);
      add_tile<Kind, T>(std::span(members).subspan(std::size_t(k), std::size_t(count)), first, 0, t, room,
                        divergences ? records.data() + k : nullptr);
    }
    if (blocks) join(earlier, joined_of(x.members), t, x.members - joined_of(x.members), x.cols, t);
    if (divergences) find_max_kl<Kind>(x, first, t, records, room.folded, max_kl);
    finish_tile(t, x.cols, x.members, which, max_kl, first, scores);
  }
}

/// Scores the rows [begin, end) of a cube; `begin` is a multiple of `tile_rows`.
void score_rows(const real_cube& x, outputs kind, index_t begin, index_t end,
                std::span<const disagreement> which, const matrix_view<float>& scores) {
  visit_by_kind(x, kind, [&]<outputs Kind>(const auto& view) HWY_ATTR {
    score_block<Kind>(view, begin, end, which, scores);
  });
}

/// Adds the rows [begin, end) of member number `seen` of its block; `begin` is a multiple of `tile_rows`.
void add_rows(const real_matrix& x, outputs kind, index_t begin, index_t end, index_t seen, tiles& into) {
  visit_by_kind(x, kind, [&]<outputs Kind>(const auto& view) HWY_ATTR {
    scratch room;
    const std::span alone(&view, 1);
    for (index_t first = begin; first < end; first += tile_rows)
      add_tile<Kind>(alone, first, seen, into.at(first), room, nullptr);
  });
}

/// Writes the scores of the rows [begin, end); `begin` is a multiple of `tile_rows`.
/// earlier  the blocks before that of `last`, if there are any
void finish_rows(tiles_of<double>* earlier, tiles& last, index_t cols, index_t members, index_t begin,
                 index_t end, std::span<const disagreement> which, const matrix_view<float>& scores) {
  tiles room(earlier != nullptr ? tile_rows : 0, cols, which);
  const index_t joined = joined_of(members);
  for (index_t first = begin; first < end; first += tile_rows) {
    float_tile t = last.at(first);
    if (earlier != nullptr) {
      join(earlier->at(first), joined, t, members - joined, cols, room.at(0));
      t = room.at(0);
    }
    finish_tile(t, cols, members, which, {}, first, scores);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {
namespace {

HWY_EXPORT(score_rows);
HWY_EXPORT(add_rows);
HWY_EXPORT(finish_rows);

std::string shape(index_t rows, index_t cols) {
  std::string text = "[";
  return text.append(std::to_string(rows)).append(", ").append(std::to_string(cols)).append("]");
}

constexpr state_kind kind_of_bytes{{'p', 'w', 'c', 'm', 't', 'e', 'e', 1}, "committee_accumulator"};

void require_columns(const std::string& call, index_t cols) {
  if (cols < 1 || cols > std::numeric_limits<std::int32_t>::max())
    throw shape_error(call + ": got " + std::to_string(cols) + " columns; pass from 1 to 2^31 - 1 classes");
}

void require_scores(const std::string& call, const matrix_view<float>& scores, index_t rows,
                    std::size_t disagreements) {
  if (scores.rows == rows && scores.cols == index_t(disagreements)) return;
  throw shape_error(call + ": scores is " + shape(scores.rows, scores.cols) + " but " + std::to_string(rows) +
                    " rows and " + std::to_string(disagreements) + " disagreements need " +
                    shape(rows, index_t(disagreements)) +
                    "; pass one row per row and one column per disagreement");
}

}  // namespace

void score_committee(const where& on, const real_cube& x, outputs kind, std::span<const disagreement> which,
                     matrix_view<float> scores) {
  require_build_for(on, "score_committee");
  const index_t members = members_of(x), rows = rows_of(x), cols = cols_of(x);
  if (members < 1) throw shape_error("score_committee: x has 0 members; pass the outputs of at least one");
  require_columns("score_committee", cols);
  require_scores("score_committee", scores, rows, which.size());
  require_reachable(on, "score_committee", {{"x", x}, {"scores", scores}});
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on))
      return score_committee_cuda(*device, x, kind, which, scores);
    if (const auto* devices = std::get_if<offload>(&on))
      return for_each_tile(
          *devices, "score_committee",
          [&](const device_tile& tile, const real_cube& rows_of_x, matrix_view<float> scores_of_rows) {
            score_committee(tile.on, rows_of_x, kind, which, scores_of_rows);
          },
          x, scores);
  }
  const cpu host = require_cpu(on, "score_committee");
  if (which.empty()) return;
  const index_t block = rows_per_block(cols);
  parallel_blocks(holding(host, block * cols * 4 * members_of(x)), rows, block,
                  [&](index_t, index_t begin, index_t end) {
                    HWY_DYNAMIC_DISPATCH(score_rows)(x, kind, begin, end, which, scores);
                  });
}

struct committee_accumulator::state {
  index_t rows, cols, members = 0;
  std::vector<disagreement> which;
  where home;
  tiles gathered;                                  // on the CPU, the members of the last block
  std::optional<tiles_of<double>> earlier;         // and of those before it
  std::shared_ptr<committee_on_device> on_device;  // or there

  /// Throws unless `on` is where the members so far are: for a device, the same and the same stream.
  void require_home(const std::string& call, const where& on) const {
    require_build_for(on, call.c_str());
    const auto* here = std::get_if<cuda>(&home);
    const auto* there = std::get_if<cuda>(&on);
    const bool same = here != nullptr && there != nullptr
                          ? here->device == there->device && here->stream == there->stream
                          : home.index() == on.index();
    if (!same)
      throw value_error(call + ": asked of " + name_of(on) + ", but the members so far are on " +
                        name_of(home) + "; pass where the accumulator was made");
  }

  /// Makes room for a block of members behind those that are there.
  void begin_block(cpu on) {
    if (!earlier) earlier.emplace(rows, cols, which);
    parallel_blocks(on, rows, tile_rows, [&](index_t, index_t first, index_t) {
      const tile_of<double> sums = earlier->at(first);
      join(sums, members - members_in_block, gathered.at(first), members_in_block, cols, sums);
    });
    gathered.clear();
  }

  static std::string name_of(const where& on) {
    if (const auto* device = std::get_if<cuda>(&on))
      return "CUDA device " + std::to_string(device->device) + " and its stream";
    return std::holds_alternative<cpu>(on) ? "the CPU" : "host memory for CUDA devices";
  }
};

committee_accumulator::committee_accumulator(index_t rows, index_t cols, std::span<const disagreement> which,
                                             const where& on) {
  if (rows < 0)
    throw shape_error("committee_accumulator: got " + std::to_string(rows) + " rows; pass 0 or more");
  require_columns("committee_accumulator", cols);
  for (const disagreement_entry& d : disagreements())
    if (!d.streams && std::count(which.begin(), which.end(), d.id) != 0)
      throw value_error("committee_accumulator: asked for " + std::string(d.name) +
                        ", which needs all members at once; call score_committee");
  require_build_for(on, "committee_accumulator");
  std::shared_ptr<committee_on_device> device;
  if constexpr (has_cuda)
    if (const auto* d = std::get_if<cuda>(&on)) device = make_committee_on_device(*d, rows, cols, which);
  if (device == nullptr) require_cpu(on, "committee_accumulator");
  state_ = std::make_unique<state>(state{rows,
                                         cols,
                                         0,
                                         {which.begin(), which.end()},
                                         on,
                                         tiles(device == nullptr ? rows : 0, cols, which),
                                         {},
                                         std::move(device)});
}

committee_accumulator::~committee_accumulator() = default;
committee_accumulator::committee_accumulator(committee_accumulator&&) noexcept = default;
committee_accumulator& committee_accumulator::operator=(committee_accumulator&&) noexcept = default;

void committee_accumulator::add(const where& on, const real_matrix& member, outputs kind) {
  state& s = *state_;
  s.require_home("committee_accumulator::add", on);
  if (rows_of(member) != s.rows || cols_of(member) != s.cols)
    throw shape_error("committee_accumulator::add: member is " + shape(rows_of(member), cols_of(member)) +
                      " but the committee is " + shape(s.rows, s.cols) + "; pass outputs of that shape");
  require_reachable(on, "committee_accumulator::add", {{"member", member}});
  if constexpr (has_cuda)
    if (s.on_device != nullptr) {
      add_member_cuda(*s.on_device, member, kind, s.members);
      ++s.members;
      return;
    }
  const cpu host = require_cpu(on, "committee_accumulator::add");
  const index_t seen = s.members % members_in_block;
  if (seen == 0 && s.members > 0) s.begin_block(host);
  const index_t block = rows_per_block(s.cols);
  parallel_blocks(holding(host, block * row_bytes(member)), s.rows, block,
                  [&](index_t, index_t begin, index_t end) {
                    HWY_DYNAMIC_DISPATCH(add_rows)(member, kind, begin, end, seen, s.gathered);
                  });
  ++s.members;
}

void committee_accumulator::finish(const where& on, matrix_view<float> scores) const {
  state& s = *state_;
  s.require_home("committee_accumulator::finish", on);
  require_scores("committee_accumulator::finish", scores, s.rows, s.which.size());
  if (s.members == 0)
    throw value_error("committee_accumulator::finish: no member has come; add at least one first");
  require_reachable(on, "committee_accumulator::finish", {{"scores", scores}});
  if constexpr (has_cuda)
    if (s.on_device != nullptr) return finish_committee_cuda(*s.on_device, s.members, s.which, scores);
  const cpu host = require_cpu(on, "committee_accumulator::finish");
  if (s.which.empty()) return;
  auto* const earlier = s.earlier ? &*s.earlier : nullptr;
  parallel_blocks(host, s.rows, rows_per_block(s.cols), [&](index_t, index_t begin, index_t end) {
    HWY_DYNAMIC_DISPATCH(finish_rows)(earlier, s.gathered, s.cols, s.members, begin, end, s.which, scores);
  });
}

index_t committee_accumulator::members() const { return state_->members; }

std::vector<std::byte> committee_accumulator::to_bytes() const {
  state& s = *state_;
  if (s.on_device != nullptr)
    throw value_error("committee_accumulator::to_bytes: the sums lie on " + state::name_of(s.home) +
                      "; make the accumulator on cpu{}");
  state_writer out(kind_of_bytes);
  for (const index_t extent : {s.rows, s.cols, s.members, index_t(s.which.size())})
    out.number(std::uint64_t(extent));
  for (const disagreement d : s.which) out.number(std::uint64_t(d), 1);
  s.gathered.each_row(s.rows, [&](auto rows) { out.values(std::span<const float>(rows)); });
  if (s.earlier) s.earlier->each_row(s.rows, [&](auto rows) { out.values(std::span<const double>(rows)); });
  return out.finish();
}

committee_accumulator committee_accumulator::from_bytes(std::span<const std::byte> bytes) {
  state_reader in(kind_of_bytes, bytes);
  const auto rows = index_t(in.number()), cols = index_t(in.number()), members = index_t(in.number());
  const std::uint64_t count = in.number();
  constexpr std::uint64_t most = std::uint64_t{1} << 40;
  if (rows < 0 || std::uint64_t(rows) > most || cols < 1 || cols > std::numeric_limits<std::int32_t>::max() ||
      members < 0 || count > in.left())
    in.refuse("a committee of " + std::to_string(members) + " members is " + shape(rows, cols));
  std::vector<disagreement> which;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t id = in.number(1);
    if (id >= disagreements().size() || !disagreements()[std::size_t(id)].streams)
      in.refuse("it has a disagreement " + std::to_string(id));
    which.push_back(disagreement(id));
  }
  // The bytes must be as many as the sums take before room is made for these.
  const bool joined = members > members_in_block;
  const std::uint64_t each = (1 + std::uint64_t(cols) * (any(which, needs_means) + any(which, needs_votes) +
                                                         any(which, needs_deviations))) *
                             (sizeof(float) + (joined ? sizeof(double) : 0));
  if (in.left() / each != std::uint64_t(rows) || in.left() % each != 0)
    in.refuse("the sums of " + shape(rows, cols) + " are " + std::to_string(in.left()) + " bytes");
  committee_accumulator read(rows, cols, which);
  state& s = *read.state_;
  s.members = members;
  s.gathered.each_row(rows, [&](auto to) { in.values(std::span<float>(to)); });
  if (joined)
    s.earlier.emplace(rows, cols, which).each_row(rows, [&](auto to) { in.values(std::span<double>(to)); });
  return read;
}

}  // namespace poolwise
#endif  // HWY_ONCE
