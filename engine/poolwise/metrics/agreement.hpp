// How far two classifiers, or two people, say the same.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "poolwise/core/types.hpp"
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

/// Labels that several raters gave items, as numbers; a negative one is missing. Categories are the numbers
/// that occur, in rising order, unless `values` lists what each number from 0 on stands for.
struct ratings {
  matrix_view<const std::int32_t> labels;  ///< [items, raters]
  std::span<const double> values = {};     ///< one a category, rising: for the scales that have distances
};

/// How far apart two labels are. Ordinal: by how often those between them were given (Krippendorff), or how
/// many lie between them (Gwet). Interval: by the square of their distance.
enum class rating_scale { nominal, ordinal, interval };

struct agreement_estimate {
  index_t items = 0;                  ///< of which two raters or more said something
  double observed = 0, expected = 0;  ///< agreement, and that of chance alone
  double value = 0;                   ///< (observed - expected) / (1 - expected)
  double standard_error = 0;          ///< over samples of items, linearised; NaN for a single item
  interval bounds;                    ///< by Student's t, within [-1, 1]
};

/// The share of pairs of labels of one item that are the same, in the mean over items; by a scale, near ones
/// count in part (Gwet's weights). `expected` is 0.
agreement_estimate percent_agreement(const ratings& of, rating_scale scale = rating_scale::nominal,
                                     double level = 0.95);
/// Fleiss' kappa (1971), for any number of raters an item, and missing labels (Gwet 2014).
std::optional<agreement_estimate> fleiss_kappa(const ratings& of, rating_scale scale = rating_scale::nominal,
                                               double level = 0.95);
/// Krippendorff's alpha (1970): 1 - disagreement / that of chance, over labels of items that have two or more.
std::optional<agreement_estimate> krippendorff_alpha(const ratings& of,
                                                     rating_scale scale = rating_scale::nominal,
                                                     double level = 0.95);
/// Gwet's AC1 (2008), and AC2 by a scale: chance is that of raters who guess where they do not know. It holds
/// where one label is so frequent that a kappa breaks down.
agreement_estimate gwet_ac(const ratings& of, rating_scale scale = rating_scale::nominal, double level = 0.95);

/// All four throw shape_error for no labels, or where `values` lacks one; value_error where no item has two
/// labels, or unless 0 < level < 1. Kappa and alpha are none where all labels are one: chance agrees as well.
/// Variances are Gwet's (2014, Handbook of Inter-Rater Reliability). O(labels + items x categories^2).

}  // namespace poolwise
