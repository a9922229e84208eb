// What a batch may hold: how many rows, at what cost, how many of each group, and which rows not at all.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Limits on a batch over [rows]. Every vector may be empty: then that limit does not exist.
///
/// A row dearer than what is left of the budget, or of a group whose quota is used up, is passed over. What is
/// left only falls, so a row once passed over stays so: to a greedy selection its gain never rises again.
struct allowance {
  index_t picks = 0;
  vector_view<const std::int64_t> cost = {};                       ///< [rows] in the smallest unit, >= 0
  std::int64_t budget = std::numeric_limits<std::int64_t>::max();  ///< for all picks together, in that unit
  vector_view<const index_t> group = {};                           ///< [rows] in [0, quota.size)
  vector_view<const index_t> quota = {};                           ///< [groups] picks allowed in each, >= 0
  vector_view<const std::uint8_t> barred = {};  ///< [rows] non-zero: never picked (labelled, excluded)
};

/// Refuses, in the name of `call`, an allowance that does not fit `rows`.
/// throws shape_error, value_error (negative picks, cost, budget or quota; a group out of range).
void check_allowance(const char* call, const allowance& limit, index_t rows);

/// An allowance while it is being used up.
class remaining {
 public:
  /// `limit` and what it views must outlive this.
  explicit remaining(const allowance& limit);

  index_t picks() const { return picks_; }
  std::int64_t budget() const { return budget_; }
  vector_view<const index_t> quota() const { return {quota_.data(), index_t(quota_.size())}; }
  const allowance& limit() const { return limit_; }

  /// Whether a pick can make other rows ineligible.
  bool dwindles() const { return !limit_.cost.empty() || !limit_.group.empty(); }

  /// Whether `row` may be picked now. A row already taken is the caller's to remember.
  bool eligible(index_t row) const {
    return (limit_.barred.empty() || limit_.barred[row] == 0) &&
           (limit_.cost.empty() || limit_.cost[row] <= budget_) &&
           (limit_.group.empty() || quota_[std::size_t(limit_.group[row])] > 0);
  }

  void take(index_t row);

 private:
  const allowance& limit_;
  index_t picks_;
  std::int64_t budget_;
  std::vector<index_t> quota_;
};

}  // namespace poolwise
