// How good predictions are on held-out labels: by slice, over time, at a threshold, and in money.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "poolwise/core/exact_sum.hpp"
#include "poolwise/core/histogram.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/metrics/intervals.hpp"

namespace poolwise {

/// A share of items, with Wilson's interval. No items: no value, and [0, 1].
struct share_estimate {
  index_t right = 0, items = 0;
  std::optional<double> value;
  interval bounds = {0, 1};
};

/// throws as wilson, but for items = 0.
share_estimate share_of(index_t right, index_t items, double level = 0.95);

/// The share of right predictions in each slice. slice[i] is the slice of item i, or -1 for an item of none.
/// throws shape_error for uneven or no items; value_error for a slice outside [-1, slices) and unless
/// 0 < level < 1.
std::vector<share_estimate> accuracy_by_slice(std::span<const std::int32_t> predicted,
                                              std::span<const std::int32_t> labels,
                                              std::span<const std::int32_t> slice, index_t slices,
                                              double level = 0.95);

/// The counts behind it, [slices, 2]: right predictions and items. Those of shards merge; that of a shard
/// without items is histogram({slices, 2}).
histogram counts_by_slice(std::span<const std::int32_t> predicted, std::span<const std::int32_t> labels,
                          std::span<const std::int32_t> slice, index_t slices);
/// throws shape_error for another shape, value_error for more right predictions than items.
std::vector<share_estimate> accuracy_by_slice(const histogram& counts, double level = 0.95);

/// The share of right predictions in windows of `width` items, in the order given (that of time), one every
/// `step` items; the last window ends at the last item. Fewer items than `width`: one window of all. Windows
/// that overlap are not independent. throws as accuracy_by_slice, and value_error unless width and step >= 1.
struct window_estimate : share_estimate {
  index_t first = 0;  ///< item
};
std::vector<window_estimate> rolling_accuracy(std::span<const std::int32_t> predicted,
                                              std::span<const std::int32_t> labels, index_t width, index_t step,
                                              double level = 0.95);

/// Items by what they are and what they were taken for. Library only, with `utility`: campaign.toml has no
/// matrix of worths; its cost cut is that of best_review.
class confusion_matrix {
 public:
  /// throws shape_error for uneven or no items, value_error for a class outside [0, classes).
  confusion_matrix(std::span<const std::int32_t> predicted, std::span<const std::int32_t> labels,
                   index_t classes);
  /// Of items that were counted already, [classes, classes], a row for each label: those of shards merge.
  /// throws shape_error for another shape and no items.
  explicit confusion_matrix(histogram counts);

  const histogram& counts() const { return counts_; }
  index_t classes() const { return counts_.shape()[0]; }
  index_t items() const { return items_; }
  index_t count(index_t label, index_t predicted) const {
    return counts_.counts()[std::size_t(label * classes() + predicted)];
  }

  share_estimate accuracy(double level = 0.95) const;
  share_estimate precision(index_t predicted, double level = 0.95) const;  ///< of those taken for the class
  share_estimate recall(index_t label, double level = 0.95) const;         ///< of those that are of the class

 private:
  histogram counts_;
  index_t items_;
};

struct mean_estimate {
  double value = 0, standard_error = 0;
  interval bounds;
};

/// The mean over items of worth[label, predicted]: what a prediction earns, or costs where negative, in any
/// unit. The interval is Student's over the items. One item: no standard error, and bounds without end. worth
/// [classes, classes], finite throws shape_error for another shape, value_error for a NaN or infinite worth,
/// and unless 0 < level < 1.
mean_estimate utility(const confusion_matrix& confusion, matrix_view<const double> worth, double level = 0.95);

/// The mean of values, a loss of each item say, with Student's interval. The moments of shards merge without
/// rounding. One item: as of utility. throws shape_error for no items, value_error unless 0 < level < 1.
mean_estimate estimate_mean(const moments& values, double level = 0.95);

/// A classifier of items with score >= threshold. The threshold was chosen on the same items, so that the
/// intervals, Wilson's at 95 %, are somewhat too hopeful; choose on one half and count on the other for a
/// claim.
struct operating_point {
  double threshold = 0;
  share_estimate precision, recall;
};

/// Of all thresholds with the recall asked for at least, the one of the highest precision; of equals the
/// highest recall. positive[i] != 0 says that item i is one. throws shape_error for uneven or no items;
/// value_error for a NaN score, no positive item, and unless 0 < recall <= 1. O(n log n).
operating_point precision_at_recall(std::span<const double> scores, std::span<const std::uint8_t> positive,
                                    double recall);

/// Of all thresholds with the precision asked for at least, the one of the highest recall; of equals the
/// highest precision. None where none is so precise. throws as precision_at_recall. Library only: targets ask
/// for a precision at a recall.
std::optional<operating_point> recall_at_precision(std::span<const double> scores,
                                                   std::span<const std::uint8_t> positive, double precision);

/// A model that answers where its confidence is >= threshold, and people who answer the rest. The threshold was
/// chosen on the same items, so that the cut is somewhat too hopeful.
struct review_point {
  double threshold = 0;     ///< infinite: it pays to answer none
  share_estimate answered;  ///< by the model, of all items; with Wilson's interval at 95 %
  share_estimate right;     ///< of those
  /// Of the cost of people's answers to all items, the share saved: the mean over items of 0, 1, or
  /// 1 - error_cost / review_cost for a wrong answer, with Student's interval.
  mean_estimate cut;
};

/// Of all thresholds the one that saves most; of equals the highest. right[i] != 0 says that the model is right
/// about item i. After Chow 1970. throws shape_error for uneven or no items; value_error for a NaN confidence,
/// unless review_cost > 0 and error_cost >= 0, and unless 0 < level < 1. O(n log n).
review_point best_review(std::span<const double> confidence, std::span<const std::uint8_t> right,
                         double review_cost, double error_cost, double level = 0.95);

}  // namespace poolwise
