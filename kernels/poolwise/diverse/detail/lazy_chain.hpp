// Shared by the gain models on the host: rows that are left out, the best of the others, and the chain by lazy
// gains.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/diverse/detail/threshold_batch.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {

/// The gain, or the distance, of a row that may not be picked any more: below all others, so that taking minima
/// leaves it alone.
inline constexpr float retired = -1.0f;

/// Whether a sweep by `latest` leaves a row out (gain_model::sweep).
inline bool leaves_out(const std::vector<candidate>& latest, const remaining& left, index_t row) {
  return latest.empty() ? !left.eligible(row) : left.ruled_out(row);
}

/// `rows` are best first; the retired ones come last and go.
inline std::vector<candidate> without_retired(std::vector<candidate> rows) {
  while (!rows.empty() && rows.back().score < 0) rows.pop_back();
  return rows;
}

inline std::vector<candidate> best_by_gain(cpu on, vector_view<const float> gains, index_t count) {
  top_k_state top(count);
  top.add(on, gains);
  return without_retired(top.best());
}

/// A heap whose front is the candidate to be queried first. An Entry has a candidate `row`.
template <class Entry>
class candidate_heap {
 public:
  explicit candidate_heap(std::vector<Entry> entries = {}) : entries_(std::move(entries)) { arrange(); }

  bool empty() const { return entries_.empty(); }
  const Entry& front() const { return entries_.front(); }

  void push(const Entry& one) {
    entries_.push_back(one);
    std::push_heap(entries_.begin(), entries_.end(), later);
  }
  Entry pop() {
    std::pop_heap(entries_.begin(), entries_.end(), later);
    const Entry first = entries_.back();
    entries_.pop_back();
    return first;
  }

  /// After `change(entries)`, any order of theirs will do.
  template <class Change>
  void rearrange(Change&& change) {
    change(entries_);
    arrange();
  }

 private:
  static bool later(const Entry& a, const Entry& b) { return before(b.row, a.row); }
  void arrange() { std::make_heap(entries_.begin(), entries_.end(), later); }

  std::vector<Entry> entries_;
};

/// The chain of a gain model (gain_model::chain). A row meets the picks that it has missed only when it comes
/// first: until then its gain bounds what it would be. For the first entry of `waiting`, `lags(entry, picks)`
/// says whether it has missed picks, and then brings it up to date; `take(entry)` adds it to the picks of the
/// model.
template <class Entry, class Lags, class Take>
std::vector<candidate> lazy_chain(candidate_heap<Entry>& waiting, candidate rival, remaining& left, Lags&& lags,
                                  Take&& take) {
  std::vector<candidate> picks;
  while (left.picks() > 0 && !waiting.empty() && before(waiting.front().row, rival)) {
    Entry first = waiting.pop();
    if (!left.eligible(first.row.row)) continue;
    if (lags(first, picks)) {
      if (before(first.row, rival)) waiting.push(first);
      continue;
    }
    picks.push_back(first.row);
    left.take(first.row.row);
    take(first);
  }
  return picks;
}

}  // namespace poolwise
