// Whether predicted probabilities are what they say.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/metrics/intervals.hpp"

namespace poolwise {

// In all of this: probs [rows, classes], each row >= 0 with a sum of 1 but for 1e-3; labels [rows] in [0,
// classes); logits [rows, classes] finite. throw shape_error for other sizes or no rows, value_error, which
// names the row, for other values.

/// Rows whose confidence, their largest probability, lies in one bin.
struct reliability_bin {
  double low = 0,
         high = 0;  ///< of the bin, or the least and the largest confidence in it where masses are equal
  index_t rows = 0, right = 0;
  double confidence = 0;              ///< mean; 0 in an empty bin
  double accuracy = 0;                ///< right / rows; 0 in an empty bin
  interval accuracy_bounds = {0, 1};  ///< Wilson's at 95 %
};

enum class binning { equal_width, equal_mass };

/// Bins in rising order of confidence. Of equal width, bin b holds confidences in (b / bins, (b + 1) / bins]
/// (Guo et al. 2017). Of equal mass, the bins end at every bins-th part of the rows in order, or past it where
/// the same confidence goes on, so that the order of equals is no matter; there are fewer then (Nguyen &
/// O'Connor 2015). Ties for the largest probability go to the lowest class. throws value_error unless bins
/// >= 1.
std::vector<reliability_bin> reliability(matrix_view<const float> probs, std::span<const std::int32_t> labels,
                                         binning by = binning::equal_width, index_t bins = 15);

/// The expected calibration error of such bins: sum_b rows_b / rows |accuracy_b - confidence_b|. It is biased
/// upwards where bins are small.
double calibration_error(std::span<const reliability_bin> bins);

/// Brier's (1950) score, the mean of sum_c (p_c - [c is the label])^2: from 0 to 2. Some divide it by 2.
double brier_score(matrix_view<const float> probs, std::span<const std::int32_t> labels);

/// The mean of -ln p at the label, in nats. A p below 2^-23 counts as that, as in scikit-learn for fp32.
double log_loss(matrix_view<const float> probs, std::span<const std::int32_t> labels);

/// softmax(z / T) has the least log loss at T = temperature (Guo et al. 2017).
struct temperature_fit {
  std::optional<double> temperature;
  double loss_before = 0, loss_after = 0;  ///< mean log loss at T = 1 and at the fit
  std::string reason;                      ///< why there is no temperature
};

/// Fits T on held-out rows. The log loss is convex in 1 / T, and its derivative there, the mean over rows of
/// E_p[z] - z_label, is brought to 0. None where it has no zero: where every label has the largest logit, as T
/// would go to 0, and where logits are no better than a constant, as T would go to infinity.
temperature_fit fit_temperature(matrix_view<const float> logits, std::span<const std::int32_t> labels);

}  // namespace poolwise
