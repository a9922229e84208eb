#include "poolwise/metrics/unbiased.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"
#include "poolwise/metrics/detail/score_interval.hpp"

namespace poolwise {
namespace {

void require_draws(const char* call, std::span<const double> probabilities, index_t pool) {
  if (probabilities.empty())
    throw shape_error(std::string(call) + ": nothing was drawn; pass at least one draw");
  if (index_t(probabilities.size()) > pool)
    throw value_error(std::string(call) + ": " + std::to_string(probabilities.size()) +
                      " draws from a pool of " + std::to_string(pool) +
                      " items; pass the size of the pool before the first draw");
  for (std::size_t i = 0; i < probabilities.size(); ++i)
    if (!(probabilities[i] > 0 && probabilities[i] <= 1))
      throw value_error(std::string(call) + ": draw " + std::to_string(i) + " has the probability " +
                        std::to_string(probabilities[i]) + "; pass those of the draws, above 0 and up to 1");
}

void require_sample(const char* call, std::span<const double> values, std::span<const double> probabilities,
                    index_t pool, double level) {
  require_pairs(call, "values", values.size(), "probabilities", probabilities.size());
  require_draws(call, probabilities, pool);
  require_finite(call, values);
  require_level(call, level);
}

std::vector<double> inverses(std::span<const double> x) {
  std::vector<double> out(x.size());
  std::transform(x.begin(), x.end(), out.begin(), [](double one) { return 1 / one; });
  return out;
}

double weighted_mean(std::span<const double> values, std::span<const double> weights) {
  return std::inner_product(values.begin(), values.end(), weights.begin(), 0.0) /
         std::accumulate(weights.begin(), weights.end(), 0.0);
}

double weighted_variance(std::span<const double> values, std::span<const double> weights) {
  const double centre = weighted_mean(values, weights);
  std::vector<double> squares;
  for (const double value : values) squares.push_back((value - centre) * (value - centre));
  return weighted_mean(squares, weights);
}

/// An estimate with its bounds, from its value and variance. No variance: the draws leave it open.
pool_estimate estimate_of(double value, std::optional<double> variance, std::span<const double> values,
                          std::span<const double> weights, bool whole_pool, double level) {
  pool_estimate out;
  out.value = value;
  out.labels = index_t(values.size());
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  out.effective_labels = sum * sum / std::inner_product(weights.begin(), weights.end(), weights.begin(), 0.0);
  out.uniform_labels = double(out.labels);
  out.bounds = {value, value};
  if (whole_pool) return out;
  const bool shares = std::all_of(values.begin(), values.end(), [](double v) { return v >= 0 && v <= 1; });
  const double endless = std::numeric_limits<double>::infinity();
  out.bounds = shares ? interval{0, 1} : interval{-endless, endless};
  if (!variance) return out;
  out.standard_error = std::sqrt(*variance);
  if (*variance > 0) out.uniform_labels = weighted_variance(values, weights) / *variance;
  const boost::math::students_t student(std::max(1.0, out.effective_labels - 1));
  const double quantile = boost::math::quantile(boost::math::complement(student, (1 - level) / 2));
  if (!shares) {
    out.bounds = {value - quantile * out.standard_error, value + quantile * out.standard_error};
    return out;
  }
  // Equal values show no variance, and the pool may have others still: the weights alone say how many were
  // seen.
  const double share = std::clamp(value, 0.0, 1.0), spread = share * (1 - share);
  const bool seen = spread > 0 && *variance > 0;
  out.bounds = score_interval(share, seen ? spread / *variance : out.effective_labels, quantile);
  return out;
}

/// Of sum e / pi, over items whose number is chance or fixed. Items taken for certain add no variance.
std::optional<double> variance_of_total(std::span<const double> e, std::span<const double> inclusion,
                                        sampling by) {
  double open = 0, centre = 0, uncertain = 0;
  for (std::size_t i = 0; i < e.size(); ++i) {
    open += 1 - inclusion[i];
    centre += (1 - inclusion[i]) * (e[i] / inclusion[i]);
    uncertain += inclusion[i] < 1;
  }
  if (uncertain < 2) return std::nullopt;
  centre = by == sampling::fixed_number ? centre / open : 0;
  double variance = 0;
  for (std::size_t i = 0; i < e.size(); ++i) {
    const double off = e[i] / inclusion[i] - centre;
    variance += (1 - inclusion[i]) * off * off;
  }
  return by == sampling::fixed_number ? variance * uncertain / (uncertain - 1) : variance;
}

bool all_certain(std::span<const double> inclusion, index_t pool) {
  return index_t(inclusion.size()) == pool &&
         std::all_of(inclusion.begin(), inclusion.end(), [](double pi) { return pi == 1; });
}

std::vector<double> differences(std::span<const double> a, std::span<const double> b) {
  std::vector<double> out(a.size());
  std::transform(a.begin(), a.end(), b.begin(), out.begin(), [](double x, double y) { return x - y; });
  return out;
}

std::optional<double> times(std::optional<double> variance, double factor) {
  return variance ? std::optional(*variance * factor) : std::nullopt;
}

}  // namespace

pool_estimate complement_of(pool_estimate estimate) {
  estimate.value = 1 - estimate.value;
  estimate.bounds = {1 - estimate.bounds.high, 1 - estimate.bounds.low};
  return estimate;
}

std::vector<double> lure_weights(std::span<const double> proposals, index_t pool) {
  require_draws("lure_weights", proposals, pool);
  const double all = double(pool), drawn = double(proposals.size());
  std::vector<double> weights(proposals.size(), 1);
  for (std::size_t i = 0; i < proposals.size(); ++i) {
    const double m = double(i + 1);
    if (all > drawn) weights[i] += (all - drawn) / (all - m) * (1 / ((all - m + 1) * proposals[i]) - 1);
  }
  return weights;
}

pool_estimate lure(std::span<const double> values, std::span<const double> proposals, index_t pool,
                   double level) {
  require_sample("lure", values, proposals, pool, level);
  const auto weights = lure_weights(proposals, pool);
  const double all = double(pool), drawn = double(values.size());
  const double value = std::inner_product(values.begin(), values.end(), weights.begin(), 0.0) / drawn;
  std::optional<double> variance;
  if (values.size() > 1 && all > drawn) {
    double before = 0, squares = 0, shares = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double left = all - double(i + 1);
      const double part = all * (all - drawn) / (drawn * left * (left + 1));
      const double off = values[i] / (all * proposals[i]) + before / all - value;
      before += values[i];
      squares += part * part * off * off;
      shares += part * part;
    }
    variance = squares / (1 - shares);
  }
  return estimate_of(value, variance, values, weights, all == drawn, level);
}

pool_estimate horvitz_thompson(std::span<const double> values, std::span<const double> inclusion, index_t pool,
                               sampling by, double level) {
  require_sample("horvitz_thompson", values, inclusion, pool, level);
  const auto weights = inverses(inclusion);
  const double all = double(pool);
  const double total = std::inner_product(values.begin(), values.end(), weights.begin(), 0.0);
  return estimate_of(total / all, times(variance_of_total(values, inclusion, by), 1 / (all * all)), values,
                     weights, all_certain(inclusion, pool), level);
}

pool_estimate hajek(std::span<const double> values, std::span<const double> inclusion, index_t pool,
                    sampling by, double level) {
  require_sample("hajek", values, inclusion, pool, level);
  const auto weights = inverses(inclusion);
  const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
  const double value = weighted_mean(values, weights);
  std::vector<double> residuals(values.begin(), values.end());
  for (double& one : residuals) one -= value;
  return estimate_of(value, times(variance_of_total(residuals, inclusion, by), 1 / (all * all)), values,
                     weights, all_certain(inclusion, pool), level);
}

pool_estimate aipw(std::span<const double> values, std::span<const double> predictions,
                   std::span<const double> inclusion, double mean_prediction, index_t pool, sampling by,
                   double level) {
  require_sample("aipw", values, inclusion, pool, level);
  require_pairs("aipw", "values", values.size(), "predictions", predictions.size());
  require_finite("aipw", predictions);
  require_finite("aipw", {&mean_prediction, 1});
  const auto weights = inverses(inclusion);
  const auto residuals = differences(values, predictions);
  const double all = double(pool);
  const double correction = std::inner_product(residuals.begin(), residuals.end(), weights.begin(), 0.0) / all;
  return estimate_of(mean_prediction + correction,
                     times(variance_of_total(residuals, inclusion, by), 1 / (all * all)), values, weights,
                     all_certain(inclusion, pool), level);
}

}  // namespace poolwise
