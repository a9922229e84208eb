// How good a run of labelling was, and whether one strategy beats another.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// The share of rows whose largest logit is at the label; ties for the largest go to the lowest class.
/// throws shape_error unless labels.size == logits.rows >= 1 and logits.cols >= 1; value_error for a label
/// outside [0, cols) or a row with a NaN, which predicts nothing.
double accuracy(matrix_view<const float> logits, vector_view<const std::int32_t> labels);

/// Accuracy against labels spent, one point a round, the initial set included.
struct learning_curve {
  std::vector<index_t> labels;   ///< strictly rising
  std::vector<double> accuracy;  ///< as many
};

/// Area under the budget curve: the trapezoid over labels, divided by their range (Zhan et al. 2021).
/// A curve of one point has that point's accuracy. throws shape_error, value_error (labels do not rise).
double aubc(const learning_curve& curve);

/// The area as Lu et al. 2023 (arXiv 2306.08954) report it, for one label a round: the trapezoid over the
/// accuracies after each query, the initial point left out, divided by the number of queries. One interval
/// short of its divisor, it lies below `aubc`. A curve of fewer than two queries has none: value_error. throws
/// otherwise as aubc.
double aubc_lu2023(const learning_curve& curve);

/// The fewest labels at which the curve reaches `target`; none if it never does (a censored run).
/// Only points of the curve count: nothing is interpolated. throws as aubc.
std::optional<index_t> labels_to_reach(const learning_curve& curve, double target);

/// The median of labels to reach over runs; censored runs count as later than any other, and the median is
/// none when it falls among them. An even number of runs takes the mean of the middle two.
/// throws shape_error for no runs.
std::optional<double> median_labels(std::span<const std::optional<index_t>> runs);

struct paired_test {
  index_t pairs = 0;
  double mean = 0, sd = 0;  ///< of a - b; sd with ddof 1
  double t = 0, p = 1;      ///< two-sided
};

/// Student's paired t test of a against b, seed by seed. Fewer than two pairs: p = 1. Equal differences: p = 0
/// and t infinite, or p = 1 and t = 0 if they are all 0. throws shape_error unless a and b are as many,
/// value_error for a NaN or infinite value.
paired_test paired_t(std::span<const double> a, std::span<const double> b);

/// Of at least one value. throw shape_error for none, value_error for a NaN or infinite one.
double mean(std::span<const double> x);
double standard_deviation(std::span<const double> x);  ///< ddof 1; 0 for one value

/// One measure of each curve, such as aubc. throws as that.
std::vector<double> measured(std::span<const learning_curve> curves, double (*measure)(const learning_curve&));

/// The half width of the two-sided 95 % Student interval of the mean; 0 for one value, which bounds nothing.
/// throws as mean.
double confidence_95(std::span<const double> x);

/// Means over curves at the same labels, and the half width of their 95 % intervals: none for fewer than two
/// curves.
struct mean_curve : learning_curve {
  std::vector<double> half_width;
};
mean_curve mean_over_seeds(std::span<const learning_curve> curves);

}  // namespace poolwise
