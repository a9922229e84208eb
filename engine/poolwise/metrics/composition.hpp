// Whether labels or groups are shared out alike: of the picked against the pool, of this round against the
// last.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// One label or group, in two samples.
struct composition_line {
  index_t first = 0, second = 0;
  double expected = 0;  ///< of the first, if both had the same shares
  double residual = 0;  ///< adjusted: (first - expected) over its standard error, near a standard normal then
  double p = 1;         ///< exact and two-sided (Fisher's), for this label alone
  double adjusted = 1;  ///< p by Holm over the labels
};

struct composition_test {
  std::vector<composition_line> lines;  ///< one for each label
  double chi_squared = 0;               ///< Pearson's, without a continuity correction
  index_t degrees = 0;                  ///< labels that occur, less one
  double p = 1;                         ///< that shares which are the same in truth differ by so much
  index_t draws = 0;                    ///< that p was counted from; 0: it is the chi-squared distribution's
};

struct composition_options {
  index_t draws = 9999;
  std::uint64_t seed = 0;
};

/// Tests that two independent samples, counted by label, have the same shares. Where more than a fifth of the
/// expected counts lie below 5, or one below 1 (Cochran 1954), the chi-squared distribution is none for it: p
/// is then (1 + draws at least as far) / (1 + draws), over tables drawn with the same margins. A label that
/// occurs in neither counts for nothing.
///
/// first, second  [labels]  counts
/// throws shape_error unless they are as many, at least one; value_error for a negative count, a sample without
/// items, and draws < 1.
/// O(labels); with draws, each takes labels times some standard deviations of a count.
/// Residuals: Haberman 1973.
composition_test compare_composition(std::span<const index_t> first, std::span<const index_t> second,
                                     const composition_options& options = {});

/// Tests that items which were picked, or labelled, are like a uniform draw from their pool: the picked against
/// the rest of the pool, which is exact for draws without replacement. `pool` counts the picked, too. A pool
/// that was picked as a whole has p = 1. throws as compare_composition, and value_error for more picked than
/// there are.
composition_test audit_composition(std::span<const index_t> pool, std::span<const index_t> picked,
                                   const composition_options& options = {});

}  // namespace poolwise
