// What a batch may hold: how many rows, at what cost, how many of each group, and which rows not at all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Picks that lie apart: a row at the canonical distance `radius` or nearer to a picked row is never picked,
/// nor is one as near to a row of `others`. A radius of 0 rules out duplicates. A NaN is near nothing.
struct spacing {
  matrix_view<const float> points;       ///< [rows, cols] in host memory
  float radius = 0;                      ///< finite, >= 0
  matrix_view<const float> others = {};  ///< [any, cols] in host memory: those that have a label, say
};

/// Limits on a batch over [rows]. Every vector may be empty: then that limit does not exist.
///
/// A row dearer than what is left of the budget, of a group whose quota is used up, or too near to a pick, is
/// passed over. What is left only falls, so a row once passed over stays so: to a greedy selection its gain
/// never rises again.
struct allowance {
  static constexpr std::int64_t any_cost = std::numeric_limits<std::int64_t>::max();

  index_t picks = 0;
  vector_view<const std::int64_t> cost = {};    ///< [rows] in the smallest unit, >= 0; all within 63 bits
  std::int64_t budget = any_cost;               ///< for all picks together, in that unit
  vector_view<const index_t> group = {};        ///< [rows] in [0, quota.size)
  vector_view<const index_t> quota = {};        ///< [groups] picks allowed in each, >= 0
  vector_view<const std::uint8_t> barred = {};  ///< [rows] non-zero: never picked (labelled, excluded)
  std::optional<spacing> apart = {};
  bool per_cost = false;  ///< whether a greedy selection picks by gain per unit of cost, and not by gain

  /// What a gain is divided by then: a free row counts as if it cost one.
  float units(index_t row) const { return float(std::max<std::int64_t>(1, cost[row])); }

  /// Whether a budget, and whether anything but the number of picks, has a say in which rows are picked.
  bool priced() const { return !cost.empty() && budget != any_cost; }
  bool chooses() const { return priced() || !group.empty() || apart; }
};

/// Refuses, in the name of `call`, an allowance that does not fit `rows`.
/// throws shape_error, value_error (negative picks, cost, budget, quota or radius; costs that leave 63 bits
/// together; a group out of range).
void check_allowance(const char* call, const allowance& limit, index_t rows);

/// For a `call` whose picks are made on devices, which do not look at `apart`: throws value_error if it is
/// there.
void refuse_apart(const char* call, const allowance& limit);

/// For a `call` that picks by gain alone: throws usage_error where `per_cost` is asked of it.
void refuse_per_cost(const char* call, const allowance& limit);

/// What gains are multiplied by, [rows]; empty unless `per_cost`.
std::vector<float> gain_factors(const allowance& limit);

/// The most picks that `limit` can buy: the cheapest rows, as many of each group as its quota says. Rows that
/// lie too near to each other are not looked for. O(rows), and 8 B a row where there is a budget.
index_t most_picks(const allowance& limit, index_t rows);

/// Whether no batch that `limit` allows but for its budget costs more than that.
bool affords_all(const allowance& limit, index_t rows);

/// An allowance while it is being used up.
class remaining {
 public:
  /// `limit` and what it views must outlive this.
  explicit remaining(const allowance& limit);

  index_t picks() const { return picks_; }
  std::int64_t budget() const { return budget_; }
  vector_view<const index_t> quota() const { return {quota_.data(), index_t(quota_.size())}; }
  const allowance& limit() const { return *limit_; }

  /// Whether a pick can make other rows ineligible.
  bool dwindles() const { return limit_->chooses(); }

  /// Whether `row` may be picked now. A row already taken is the caller's to remember. Compares the row with
  /// those picks it has not met; threads may ask for different rows at a time.
  bool eligible(index_t row) const { return !ruled_out(row) && (!limit_->apart || is_apart(row)); }

  /// Whether `row` is known not to be eligible, without a look at where it lies.
  bool ruled_out(index_t row) const {
    return (!limit_->barred.empty() && limit_->barred[row] != 0) ||
           (!limit_->cost.empty() && limit_->cost[row] > budget_) ||
           (!limit_->group.empty() && quota_[std::size_t(limit_->group[row])] <= 0) ||
           (!met_.empty() && met_[std::size_t(row)] == too_near);
  }

  void take(index_t row);

 private:
  bool is_apart(index_t row) const;

  static constexpr std::int32_t too_near = -1;

  const allowance* limit_;
  index_t picks_;
  std::int64_t budget_;
  std::vector<index_t> quota_;
  std::vector<float> taken_;               // [picks, cols] where they are to lie apart
  mutable std::vector<std::int32_t> met_;  // [rows] of the others and then of taken_ how many, or too_near
};

}  // namespace poolwise
