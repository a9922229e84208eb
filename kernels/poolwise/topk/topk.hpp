// The best rows of a score in the total order, without sorting the pool.
#pragma once

#include <vector>

#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// Rows whose score is NaN: the first of them (-1 if none) and how many.
struct nan_rows {
  index_t first = -1;
  index_t count = 0;
};
nan_rows find_nan(const where& on, vector_view<const float> scores);

/// Keeps the best `k` of all candidates shown to it. States over disjoint rows merge in any grouping and
/// order with the same result, so a pool may come in chunks, files or ranks.
/// Memory: at most 4k candidates of 16 B, and as many a thread while `add` runs; never more than were shown.
class top_k_state {
 public:
  /// throws value_error if k < 0.
  explicit top_k_state(index_t k);

  /// Shows rows first_row, first_row + 1, ... with their scores. A NaN score is never kept.
  void add(const where& on, vector_view<const float> scores, index_t first_row = 0);
  void add(candidate c);

  /// Shows what `other` keeps. throws value_error unless both keep the same number.
  void merge(const top_k_state& other);

  /// The best min(k, shown) candidates, best first.
  std::vector<candidate> best() const;

 private:
  void add_rows(vector_view<const float> scores, index_t first_row);
  void compact();

  index_t k_;
  std::vector<candidate> kept_;  // up to 4k; beyond k only until the next compaction
  candidate worst_;              // the k-th best at the last compaction, once full_: nothing after it is kept
  bool full_ = false;
};

/// The best min(k, scores.size) rows, best first.
/// throws value_error if k < 0, or if any score is NaN (names the first row, counts the rest).
/// Reads the scores once with a running threshold: O(N + k log k), in whatever order they come.
std::vector<candidate> top_k(const where& on, vector_view<const float> scores, index_t k);

}  // namespace poolwise
