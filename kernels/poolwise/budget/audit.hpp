// Random picks with known probabilities: what active selection is held against.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "poolwise/budget/allowance.hpp"

namespace poolwise {

struct audit_pick {
  index_t row = -1;
  double probability = 0;  ///< with which the row was among the picks

  friend bool operator==(const audit_pick&, const audit_pick&) = default;
};

/// What is drawn of one group, or of all rows where there are no groups.
struct audit_stratum {
  index_t rows = 0;        ///< that can be drawn
  double probability = 0;  ///< of each of them
  index_t draws = 0;       ///< of this draw: rows * probability, rounded up or down

  friend bool operator==(const audit_stratum&, const audit_stratum&) = default;
};

struct audit {
  std::vector<audit_pick> picks;  ///< in the order of their draws: any first of them are a draw of a group, too
  std::vector<audit_stratum> strata;
};

struct audit_options {
  index_t draws = 0;
  /// [groups] how much likelier a row of each is drawn than of others; empty: all alike.
  std::span<const double> weight = {};
  /// No row is less likely than this share of the probability that it has where all are alike.
  double least = 0.1;
  std::uint64_t seed = 0;
  std::uint32_t round = 0;
};

/// Draws rows without replacement, `draws` of them, each row with the probability that is said, exactly: of
/// each group as many as its probability says, rounded up or down at random so that all add up (systematic
/// sampling, Madow 1949), and of a group's rows every set of so many with the same chance. Two rows of one
/// group with d draws of n are both picked with d (d - 1) / (n (n - 1)).
///
/// Barred rows are never drawn, and no group gives more than its quota. Costs have no say in which rows are
/// drawn, or the probabilities would not be known: there are fewer draws where the dearest rows, and rows that
/// meet the floors, would not fit into every budget together. So the other picks can still meet all floors if
/// no more rows are drawn than the floors leave free; there are no more. A distance is refused.
///
/// The draw is a function of the arguments: a row has a random number of its own (seed, row, round), and a
/// group gives the rows with its lowest. O(rows).
///
/// throws  what check_allowance throws; value_error (weights of another number than groups, negative or not
///         finite; least outside [0, 1]); usage_error for a distance.
audit audit_draw(const allowance& limit, index_t rows, const audit_options& options);

/// Whole numbers that add up to the sum of `expected`, which is whole: each is rounded up or down, up with the
/// chance of what lies behind its point, by one number `unit` in [0, 1) for all (Madow 1949).
std::vector<index_t> rounded_at_random(std::span<const double> expected, double unit);

}  // namespace poolwise
