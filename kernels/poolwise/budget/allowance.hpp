// What a batch may hold: how many rows, at what cost, how many of each group, and which rows not at all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
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

/// What rows cost of something that is limited: money, hours.
struct budget_line {
  vector_view<const std::int64_t> cost = {};  ///< [rows] in the smallest unit, >= 0; all within 63 bits
  std::int64_t limit = 0;                     ///< for all picks together, in that unit
  std::string name = {};                      ///< what messages call it
};

/// Limits on a batch over [rows]. Every vector may be empty: then that limit does not exist.
///
/// A row dearer than what is left of a budget, of a group whose quota is used up, or too near to a pick, is
/// passed over; so is one after whose pick the floors could not be met any more, by the picks and the budgets
/// that would be left. What is left only falls, so a row once passed over stays so: to a greedy selection its
/// gain never rises again.
///
/// Without budgets and distances the batches that can still become one that meets all floors are the
/// independent sets of a matroid (El Halabi et al. 2020: no more than quota[g] of each group, and sum_g
/// max(picks of g, floor[g]) <= picks). So a greedy selection is exact for sums of scores, and at least 1/2 of
/// the optimum for a monotone submodular gain (Fisher et al. 1978). With a budget beside floors or quotas no
/// factor is known for it. A distance is not foreseen: picks that have to lie apart can leave a floor unmet.
struct allowance {
  static constexpr std::int64_t any_cost = std::numeric_limits<std::int64_t>::max();

  index_t picks = 0;
  vector_view<const std::int64_t> cost = {};    ///< [rows] in the smallest unit, >= 0; all within 63 bits
  std::int64_t budget = any_cost;               ///< for all picks together, in that unit
  vector_view<const index_t> group = {};        ///< [rows] in [0, groups())
  vector_view<const index_t> quota = {};        ///< [groups] picks allowed in each, >= 0
  vector_view<const std::uint8_t> barred = {};  ///< [rows] non-zero: never picked (labelled, excluded)
  std::optional<spacing> apart = {};
  bool per_cost = false;  ///< whether a greedy selection picks by gain per unit of cost, and not by gain
  vector_view<const index_t> floor = {};  ///< [groups] picks owed to each, >= 0
  std::vector<budget_line> also = {};     ///< budgets beside the first

  /// What a gain is divided by then: a free row counts as if it cost one. Where there are several budgets, the
  /// shares of them that the row takes.
  float units(index_t row) const;

  index_t groups() const { return std::max(quota.size, floor.size); }
  /// The budgets that limit anything.
  std::vector<budget_line> budgets() const;

  /// Whether the first budget, whether any, and whether anything but the number of picks has a say in which
  /// rows are picked.
  bool prices_by_cost() const { return !cost.empty() && budget != any_cost; }
  bool priced() const { return prices_by_cost() || !also.empty(); }
  bool chooses() const { return priced() || !group.empty() || apart; }
  /// Whether devices, which know one budget, quotas and barred rows, lack some of it.
  bool needs_host() const { return apart || !floor.empty() || !also.empty(); }
};

/// Refuses, in the name of `call`, an allowance that does not fit `rows`.
/// throws shape_error, value_error (negative picks, cost, budget, quota, floor or radius; costs that leave 63
/// bits together; a group out of range).
void check_terms(const char* call, const allowance& limit, index_t rows);

/// check_terms, and throws budget_error where no batch meets the floors (see infeasible.hpp).
void check_allowance(const char* call, const allowance& limit, index_t rows);

/// For a `call` whose picks are made on devices: throws usage_error for what they do not look at, distances,
/// floors and further budgets.
void refuse_host_limits(const char* call, const allowance& limit);

/// For a `call` that picks by gain alone: throws usage_error where `per_cost` is asked of it.
void refuse_per_cost(const char* call, const allowance& limit);

/// What gains are multiplied by, [rows]; empty unless `per_cost`.
std::vector<float> gain_factors(const allowance& limit);

/// The most picks that `limit` can buy: what meets the floors, then the cheapest rows, as many of each group as
/// its quota says; of several budgets, the least that one of them buys. Rows that lie too near to each other
/// are not looked for. O(rows), and 8 B a row where there is a budget.
index_t most_picks(const allowance& limit, index_t rows);

/// Whether no batch that `limit` allows but for its budgets costs more than one of them.
bool affords_all(const allowance& limit, index_t rows);

/// Rows that meet all floors within all budgets: those that a selection falls back upon.
struct floor_reserve {
  std::vector<index_t> rows;   ///< group by group; within one the row to be given up first comes last
  std::vector<index_t> first;  ///< [groups + 1] where each group begins
};

/// The cheapest rows of each group. Where several budgets have a say, rows that are cheap by a weight of each:
/// nothing if no weights were found by which all budgets suffice.
std::optional<floor_reserve> reserve_for_floors(const allowance& limit);

/// An allowance while it is being used up.
class remaining {
 public:
  /// `limit` and what it views must outlive this. With floors and budgets it looks for the cheapest rows:
  /// O(rows).
  explicit remaining(const allowance& limit);

  /// With other rows to fall back upon, which must meet the floors within the budgets; or with none: then no
  /// more is foreseen than that picks are left for the floors, and a budget can leave them unmet.
  remaining(const allowance& limit, std::optional<floor_reserve> reserve);

  index_t picks() const { return picks_; }
  std::int64_t budget() const { return limit_->prices_by_cost() ? left_[0] : limit_->budget; }
  /// Of limit().budgets()[b].
  std::int64_t left(std::size_t b) const { return left_[b]; }
  vector_view<const index_t> quota() const { return {quota_.data(), index_t(quota_.size())}; }
  const allowance& limit() const { return *limit_; }
  /// Picks that the floors still ask for.
  index_t owed() const { return owed_.empty() ? 0 : picks_ - free_; }

  /// Whether a pick can make other rows ineligible.
  bool dwindles() const { return limit_->chooses(); }

  /// Whether `row` may be picked now. A row already taken is the caller's to remember. Compares the row with
  /// those picks it has not met; threads may ask for different rows at a time.
  bool eligible(index_t row) const { return !ruled_out(row) && (!limit_->apart || is_apart(row)); }

  /// Whether `row` is known not to be eligible, without a look at where it lies.
  bool ruled_out(index_t row) const {
    if (!limit_->barred.empty() && limit_->barred[row] != 0) return true;
    for (std::size_t b = 0; b < costs_.size(); ++b)
      if (costs_[b][row] > left_[b]) return true;
    if (!limit_->group.empty()) {
      const auto group = std::size_t(limit_->group[row]);
      if (!quota_.empty() && quota_[group] <= 0) return true;
      if (!owed_.empty() && leaves_a_floor_unmet(row, group)) return true;
    }
    return !met_.empty() && met_[std::size_t(row)] == too_near;
  }

  void take(index_t row);

 private:
  struct kept_rows;

  bool is_apart(index_t row) const;
  bool leaves_a_floor_unmet(index_t row, std::size_t group) const;
  void take_of_group(index_t row, std::size_t group);
  /// The place of `row` among those that are still kept for its group, or -1.
  index_t kept_place(index_t row, std::size_t group) const;
  void count_credit(std::size_t group);

  static constexpr std::int32_t too_near = -1;

  const allowance* limit_;
  index_t picks_;
  std::vector<vector_view<const std::int64_t>> costs_;  // of the budgets
  std::vector<std::int64_t> left_;                      // of each
  std::vector<index_t> quota_;
  std::vector<index_t> owed_;  // [groups] picks that its floor still asks for; empty without floors
  index_t free_ = 0;           // picks that no floor asks for
  // Where there are floors and budgets, rows are kept that would meet the floors:
  std::shared_ptr<const kept_rows> kept_;
  std::vector<index_t> end_;               // [groups] behind the last row that is kept for it
  std::vector<bool> gone_;                 // those of them that were taken
  std::vector<std::int64_t> spare_;        // of each budget, beyond what the kept rows cost
  std::vector<std::int64_t> credit_;       // [groups, budgets] what giving up the last of them makes spare
  std::vector<float> taken_;               // [picks, cols] where they are to lie apart
  mutable std::vector<std::int32_t> met_;  // [rows] of the others and then of taken_ how many, or too_near
};

}  // namespace poolwise
