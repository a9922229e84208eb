// Whether what comes now is like what was there before: tests of two samples, and a report over many columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/histogram.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/metrics/composition.hpp"
#include "poolwise/metrics/intervals.hpp"

namespace poolwise {

struct ks_test {
  double distance = 0;  ///< D = sup |F1 - F2| of the empirical distribution functions
  double p = 1;         ///< two-sided
  bool exact = true;    ///< false: by Kolmogorov's limit
};

/// The two-sample Kolmogorov-Smirnov test. Up to 2^24 steps (2 D n1 n2 + the larger sample) p is exact (Hodges
/// 1958): the share of lattice paths from (0, 0) to (n1, n2) that come as far from the diagonal. Beyond, it is
/// Kolmogorov's limit, 2 sum_k (-1)^(k-1) exp(-2 k^2 x^2) at x = sqrt(n1 n2 / (n1 + n2)) D: against a sample
/// without end it lies 1 % above at 10,000 values, 2 to 3 % at 2,000 and 10 to 14 % at 100, where p is .05 to
/// .01. (scipy takes the distribution of one sample of n1 n2 / (n1 + n2) values there.) Ties make both
/// conservative. throws shape_error for an empty sample, value_error for a NaN or infinite value. O(n log n +
/// steps).
ks_test kolmogorov_smirnov(std::span<const double> first, std::span<const double> second);

/// The population stability index of `now` against `reference`: sum_b (q_b - p_b) ln(q_b / p_b) over bins that
/// the reference's deciles bound, each closed above; .1 and .25 are the usual thresholds, and no test. Deciles
/// lie between neighbours in proportion, as numpy's. A decile that repeats is a value that many items share: it
/// is a bin of its own. A bin that is empty in one sample counts half an item there. throws as
/// kolmogorov_smirnov.
double population_stability(std::span<const double> reference, std::span<const double> now);

/// The bins of a population stability index, for values that live on several machines: each counts what it has,
/// and the histograms merge.
class stability_bins {
 public:
  /// throws as kolmogorov_smirnov.
  explicit stability_bins(std::span<const double> reference);

  /// How many values lie in each bin. throws value_error for a NaN or infinite value.
  histogram count(std::span<const double> values) const;

  /// Version 1: the bins' ends.
  std::vector<std::byte> to_bytes() const;
  /// throws format_error for bytes that `to_bytes` did not write.
  static stability_bins from_bytes(std::span<const std::byte> bytes);

 private:
  /// A bin's upper end. The bin of a value that items share ends at it and begins at it.
  struct end {
    double at;
    bool closed;  // `at` itself lies below it
  };
  stability_bins() = default;

  std::vector<end> ends_;
};

/// The same over labels or groups that are counted, or values by `stability_bins`. throws shape_error for
/// uneven counts, value_error for a negative count or a sample without items.
double population_stability(std::span<const index_t> reference, std::span<const index_t> now);

struct auc_test {
  double area = 0.5;  ///< the share of pairs in which the positive has the higher score; ties count half
  double standard_error = 0;    ///< DeLong et al. 1988
  interval bounds;              ///< area -+ the normal quantile standard errors, within [0, 1]
  double p = 1, p_greater = 1;  ///< Mann & Whitney's: that scores are alike, two-sided and against area > 1/2
  bool exact = true;            ///< false: by the normal limit, with corrections for continuity and ties
};

/// The area under the ROC curve of scores of positive and of negative items. p is exact without ties up to 50
/// items. One sample of one item has no standard error: 0, and the bounds are [0, 1]. throws shape_error for an
/// empty sample, value_error for a NaN or infinite value, and unless 0 < level < 1. O(n log n).
auc_test area_under_roc(std::span<const double> positive, std::span<const double> negative,
                        double level = 0.95);

/// The classifier two-sample test (Lopez-Paz & Oquab 2017): logistic regression learns to tell half of
/// `reference` from half of `now`, and the area of its scores on the other halves is tested: p_greater is the p
/// of drift, as a classifier can only be better than chance. Columns are scaled by the training halves.
///
/// reference, now  [rows, cols]  at least 4 rows each
/// seed            draws the halves
/// throws shape_error for other columns or too few rows, value_error for a NaN or infinite value.
auc_test classifier_drift(matrix_view<const float> reference, matrix_view<const float> now,
                          std::uint64_t seed = 0);

struct mmd_options {
  double bandwidth = 0;  ///< sigma; 0 for the median distance of two rows that differ, of both samples together
  index_t permutations = 999;
  std::uint64_t seed = 0;
};

struct mmd_test {
  double squared = 0;  ///< unbiased, so that it can be negative
  double bandwidth = 0;
  double p = 1;  ///< (1 + permutations at least as large) / (1 + permutations)
};

/// Maximum mean discrepancy with the kernel k(x, y) = exp(-|x - y|^2 / (2 sigma^2)) (Gretton et al. 2012, lemma
/// 6):
///
///   sum_{i != j} k(x_i, x_j) / (m (m-1)) + sum_{i != j} k(y_i, y_j) / (n (n-1)) - 2 sum_ij k(x_i, y_j) / (m n)
///
/// and its p over random divisions of all rows. Rows that are all alike have p = 1.
///
/// first, second  [m, cols], [n, cols]  at least 2 rows each
/// throws shape_error for other columns or fewer rows, value_error for a NaN or infinite value, a bandwidth < 0
/// and permutations < 0. Equal inputs give equal bits on any number of threads.
/// O((m + n)^2 cols + permutations min(m, n)^2) and 8 (m + n)^2 bytes: give a sample of a few thousand rows.
mmd_test maximum_mean_discrepancy(matrix_view<const float> first, matrix_view<const float> second,
                                  const mmd_options& options = {}, cpu on = {});

/// A score or a feature, then and now.
struct drift_numbers {
  std::string name;
  std::span<const double> reference, now;
};

/// Labels or groups, counted then and now; one place for each.
struct drift_counts {
  std::string name;
  std::span<const index_t> reference, now;
};

struct drift_line {
  std::string name;
  std::string test;      ///< "ks", or "chi_squared" of counts, or the caller's
  double statistic = 0;  ///< D, or chi squared
  double p = 1;
  std::optional<double> stability = {};  ///< the population stability index
  double adjusted = 1;                   ///< p by Holm over the report
  bool drifted = false;                  ///< adjusted <= alpha
};

struct drift_report {
  double alpha = 0.05;
  std::vector<drift_line> lines;  ///< numbers in their order, then counts, then others

  bool drifted() const;
};

struct drift_options {
  double alpha = 0.05;
  composition_options counts;
};

/// Tests every column: numbers by Kolmogorov & Smirnov, counts by compare_composition. `others` are tests that
/// were made already, such as those of a matrix of features: name, test, statistic and p count. All p values
/// are adjusted by Holm, so that a report without any drift has a line that says so in at most a share alpha of
/// cases, however the columns hang together. That is for one report: who asks R of them in a campaign divides
/// alpha by R. The samples are independent: `now` holds no item of `reference`. throws as those, as holm, and
/// value_error unless 0 < alpha < 1.
drift_report report_drift(std::span<const drift_numbers> numbers, std::span<const drift_counts> counts,
                          std::span<const drift_line> others = {}, const drift_options& options = {});

}  // namespace poolwise
