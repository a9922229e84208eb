// The mean of a pool from labels that were not drawn alike, by the probabilities that were stored with the
// draws.
#pragma once

#include <span>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/metrics/intervals.hpp"

namespace poolwise {

/// The mean of a value, such as a loss, over a pool of which some items were drawn and labelled.
///
/// The bounds: where all values lie in [0, 1], Wilson's interval for value (1 - value) / standard_error^2 items
/// (for surveys: Franco et al. 2019), else value -+ standard errors; in both by Student's quantile
/// of effective_labels - 1 degrees of freedom. A whole pool that is labelled has no error. In simulated
/// campaigns that draw one half by doubt and the other uniformly, q = q' / 2 + 1 / (2 n), 95 % intervals of the
/// error cover 94 to 96 % at accuracies up to .9, and 93 to 95 % at .95 and .97: a few wrong items that no
/// doubt points at decide there, and they are seldom drawn. A smaller uniform part covers less.
///
/// Two things no formula mends. Who draws by how likely an item is wrong estimates the error, and takes it from
/// 1 by complement_of: weights are then small where values are large, and the standard error may be a third of
/// what the rights give. And a label that trained a model says nothing of its accuracy: test the model of a
/// round on labels that came after it.
struct pool_estimate {
  double value = 0, standard_error = 0;
  interval bounds;
  index_t labels = 0;
  double effective_labels = 0;  ///< Kish 1965: (sum of weights)^2 / sum of squares; 30 or less: trust it little
  double uniform_labels = 0;    ///< uniform draws that would give this standard error; labels where it is 0
};

/// Of 1 - value: the accuracy from the error.
pool_estimate complement_of(pool_estimate estimate);

/// How items came into a sample with stored inclusion probabilities.
enum class sampling {
  independent,   ///< each by its own coin (Poisson sampling): their number is chance
  fixed_number,  ///< so many without replacement; the standard error is Hajek's (1964)
};

/// The weights of LURE, v_m = 1 + (N - M) / (N - m) (1 / ((N - m + 1) q_m) - 1) for m = 1 ... M (Farquhar, Gal
/// & Rainforth, ICLR 2021), for draws one after another without replacement: q_m is the probability with which
/// the m-th draw took its item from the N - m + 1 that were left.
///
/// proposals  [M], in the order of the draws, 0 < q <= 1
/// pool       N, the items before the first draw
/// throws shape_error for no draws, value_error for more of them than items and for another q.
std::vector<double> lure_weights(std::span<const double> proposals, index_t pool);

/// LURE: 1/M sum_m v_m value_m. It has no bias, whatever the proposals learn from the labels before. As the
/// mean over draws of a_m = value_m / (N q_m) + sum_{t<m} value_t / N with weights c_m = N (N - M) / (M (N - m)
/// (N - m + 1)), each a_m with the pool's mean as its expectation given the draws before, it has the standard
/// error sqrt(sum c^2 (a - value)^2 / (1 - sum c^2)).
///
/// values  [M]. throws also shape_error unless there is a value for each draw, value_error for a NaN or
/// infinite one and unless 0 < level < 1.
pool_estimate lure(std::span<const double> values, std::span<const double> proposals, index_t pool,
                   double level = 0.95);

/// Horvitz & Thompson 1952: 1/N sum value / pi, without bias. Items taken for certain have pi = 1. Library
/// only, with `hajek`: the random picks of a round are uniform, of which LURE says the same.
///
/// values, inclusion  [drawn], 0 < pi <= 1;  pool  N
/// throws as lure.
pool_estimate horvitz_thompson(std::span<const double> values, std::span<const double> inclusion, index_t pool,
                               sampling by, double level = 0.95);

/// Hajek 1971: (sum value / pi) / (sum 1 / pi), with a bias of the order of 1 / labels and mostly a smaller
/// error.
pool_estimate hajek(std::span<const double> values, std::span<const double> inclusion, index_t pool,
                    sampling by, double level = 0.95);

/// AIPW (Robins, Rotnitzky & Zhao 1994; the difference estimator of Cassel et al. 1976): the mean that a model
/// predicts for the pool, corrected by 1/N sum (value - prediction) / pi over the drawn. Without bias whatever
/// the model, which must not have seen the drawn labels; the better it is, the smaller the error.
///
/// predictions      [drawn]  of the drawn items' values
/// mean_prediction  over the whole pool
/// throws as lure, and value_error for predictions that are not finite.
pool_estimate aipw(std::span<const double> values, std::span<const double> predictions,
                   std::span<const double> inclusion, double mean_prediction, index_t pool, sampling by,
                   double level = 0.95);

}  // namespace poolwise
