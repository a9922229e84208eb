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
nan_rows find_nan(where on, vector_view<const float> scores);

/// Keeps the best `k` of all candidates shown to it. States over disjoint rows merge in any grouping and
/// order with the same result, so a pool may come in chunks, files or ranks.
class top_k_state {
 public:
  /// throws value_error if k < 0.
  explicit top_k_state(index_t k);

  /// Shows rows first_row, first_row + 1, ... with their scores. A NaN score is never kept.
  void add(where on, vector_view<const float> scores, index_t first_row = 0);
  void add(candidate c);
  void merge(const top_k_state& other);

  /// The best min(k, shown) candidates, best first.
  std::vector<candidate> best() const;

 private:
  void compact() const;

  index_t k_;
  mutable std::vector<candidate> kept_;  // up to 4k; beyond k only until the next compaction
  mutable candidate worst_;              // the k-th best so far; meaningful once full_
  mutable bool full_ = false;
};

/// The best min(k, scores.size) rows, best first.
/// throws value_error if k < 0, or if any score is NaN (names the first row, counts the rest).
/// Reads the scores once with a running threshold: O(N + k log k) for scores in no particular order.
std::vector<candidate> top_k(where on, vector_view<const float> scores, index_t k);

}  // namespace poolwise
