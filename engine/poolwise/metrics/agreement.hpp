// How far two classifiers, or two people, say the same.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "poolwise/metrics/intervals.hpp"

namespace poolwise {

struct kappa_estimate {
  index_t items = 0;
  double observed = 0, expected = 0;  ///< agreement, and that of chance alone with the same shares of labels
  double value = 0;                   ///< (observed - expected) / (1 - expected)
  double standard_error = 0;          ///< for large samples, of a kappa that is not 0
  interval bounds;                    ///< value -+ the normal quantile standard errors, within [-1, 1]
};

/// Cohen's kappa (1960) of two labels for each item, with the standard error of Fleiss, Cohen & Everitt 1969.
/// Labels are any numbers. None where both give all items one same label: chance agrees as well, and kappa is
/// 0 / 0. throws shape_error for uneven or no labels, value_error unless 0 < level < 1. O(n log labels).
std::optional<kappa_estimate> cohen_kappa(std::span<const std::int32_t> first,
                                          std::span<const std::int32_t> second, double level = 0.95);

}  // namespace poolwise
