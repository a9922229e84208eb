// What labels, money and days will bring and be needed: values with intervals, to be kept and held against what
// came.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/metrics/learning_curve_fit.hpp"

namespace poolwise {

/// low <= value <= high; the truth is between them with the probability that was asked for.
struct forecast_value {
  double value = 0, low = 0, high = 0;
};

/// The accuracy of the model of `labels` labels: of a test of so many items, whose noise then widens the
/// interval, or the true one for 0. The value is the mean of the laws by weight, the interval from the
/// replicates. throws value_error unless labels >= 1, tested >= 0 and 0 < level < 1.
forecast_value forecast_accuracy(const curve_fit& fit, index_t labels, index_t tested = 0, double level = 0.9);

/// The accuracy won between two numbers of labels. throws as forecast_accuracy.
forecast_value forecast_gain(const curve_fit& fit, index_t from, index_t to, double level = 0.9);

/// The labels, in all, at which the curve comes to a target.
struct labels_forecast {
  double target = 0;
  /// None: not within `most` labels. Then `high` is none, too.
  std::optional<double> labels, low, high;
  double chance = 0;  ///< that the target is within reach: the share of the replicates

  /// Not where the interval of the accuracy at `most` labels lies below the target.
  bool within_reach() const { return low.has_value(); }
};

/// most  where the pool ends, or the patience. throws value_error unless target is in [0, 1], most >= 1 and
/// 0 < level < 1.
labels_forecast forecast_labels(const curve_fit& fit, double target, index_t most, double level = 0.9);

/// What one label took, from the log.
struct label_record {
  std::string type;                     ///< of data, as "image"
  std::optional<double> cost, seconds;  ///< none: not recorded
  double length = 0;                    ///< as pages or minutes; 0 where a type has no lengths
};

/// The mean of what a label costs, with Student's interval; for one value the interval is the value alone.
/// throws shape_error for none, value_error for a negative, infinite or NaN one and unless 0 < level < 1.
forecast_value cost_of_label(std::span<const double> costs, double level = 0.9);

/// The mean of the seconds that a label takes, of times that are log-normal but for those of people who went
/// away. A label alone has no interval.
struct label_time {
  index_t labels = 0, capped = 0;  ///< recorded, and of these longer than `cap`
  double median = 0, spread = 0;   ///< of the times; and the deviation of their logarithms
  double cap = 0;                  ///< what is beyond it counts as idle
  forecast_value mean;
};

/// Median and 1.4826 MAD of the logarithms, so that a third of nonsense moves little; the mean is
/// e^(m + s^2 / 2), with the interval of its logarithm by the asymptotic variances of both. cap = e^(m + 3 s),
/// or `longest` where that is less. Times of 0 count as the shortest above it. throws as cost_of_label, and
/// shape_error where none is above 0.
label_time time_of_label(std::span<const double> seconds, std::optional<double> longest = {},
                         double level = 0.9);

/// What labels of one type took.
struct type_effort {
  std::string type;
  index_t labels = 0;
  std::optional<forecast_value> cost;  ///< none: recorded for none of them
  std::optional<label_time> time;      ///< the same, or all took 0 seconds
};

/// By type, in order of their names. throws as cost_of_label and time_of_label.
std::vector<type_effort> efforts_by_type(std::span<const label_record> records,
                                         std::optional<double> longest = {}, double level = 0.9);

/// cost(type, length) = base + per_length * length.
struct fitted_cost {
  std::string type;
  index_t labels = 0;
  double base = 0, per_length = 0;
  double spread = 0;  ///< 1.4826 MAD of the residuals

  /// Never below 0.
  double at(double length) const;
};

/// By type, in order of their names, from records with a cost: Huber's M-estimate (1964; c = 1.345) by
/// reweighted least squares. A type whose lengths are all equal has the robust mean alone. throws value_error
/// for a negative or not finite cost or length.
std::vector<fitted_cost> fit_costs(std::span<const label_record> records);

/// Labels still to come times what one takes. The sides of the two intervals are independent, and join in
/// squares of their logarithms. throws value_error for a factor that is negative or out of order.
forecast_value product_of(const forecast_value& a, const forecast_value& b);

/// The same for a / b, as days = labels / labels per day; b is above 0.
forecast_value quotient_of(const forecast_value& a, const forecast_value& b);

/// Money and days from `labelled` labels on to a target, each none where that is out of reach; an upper end
/// that is out of reach is infinite.
struct effort_forecast {
  std::optional<forecast_value> labels, money, days;
};
effort_forecast forecast_effort(const labels_forecast& to, index_t labelled,
                                const forecast_value& cost_per_label, const forecast_value& labels_per_day);

/// A forecast as it was made, and what came.
struct kept_forecast {
  forecast_value said;
  double came = 0;
};

/// How past forecasts of one thing did.
struct forecast_error {
  index_t forecasts = 0, covered = 0;  ///< covered: came lies in the interval
  double bias = 0;                     ///< mean of value - came: above 0, too much was forecast
  double mean_absolute = 0, root_mean_square = 0;
  double mean_relative = 0;  ///< mean of |value - came| / |came| over those that came to other than 0
};
/// throws value_error for a NaN or infinite value or outcome; an interval may be infinite.
forecast_error error_of(std::span<const kept_forecast> past);

}  // namespace poolwise
