#include "poolwise/metrics/intervals.hpp"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"
#include "poolwise/metrics/detail/score_interval.hpp"

namespace poolwise {
namespace {

using boost::math::binomial;

void require_trials(const char* call, index_t successes, index_t trials, double level) {
  if (trials < 1 || successes < 0 || successes > trials)
    throw value_error(std::string(call) + ": got " + std::to_string(successes) + " successes in " +
                      std::to_string(trials) + " trials; pass at least one trial, and from 0 to all successes");
  require_level(call, level);
}

void require_counts(const char* call, const paired_counts& counts) {
  const index_t least = std::min({counts.both, counts.first_only, counts.second_only, counts.neither});
  if (least < 0)
    throw value_error(std::string(call) + ": a count is " + std::to_string(least) +
                      "; pass counts of items, from 0 up");
}

/// The correlation of the two on one item, drawn towards 0 by half an item.
double correlation_of(const paired_counts& counts) {
  const double a = double(counts.both), b = double(counts.first_only), c = double(counts.second_only),
               d = double(counts.neither);
  const double margins = (a + b) * (c + d) * (a + c) * (b + d);
  if (margins == 0) return 0;
  const double cross = a * d - b * c, half = double(counts.items()) / 2;
  return (cross > 0 ? std::max(0.0, cross - half) : cross) / std::sqrt(margins);
}

/// The difference of two shares whose intervals are known, and which correlate so.
interval difference_of(double p1, const interval& first, double p2, const interval& second,
                       double correlation) {
  const auto reach = [&](double one, double other) {
    return std::sqrt(std::max(0.0, one * one - 2 * correlation * one * other + other * other));
  };
  return {p1 - p2 - reach(p1 - first.low, second.high - p2), p1 - p2 + reach(first.high - p1, p2 - second.low)};
}

}  // namespace

double normal_quantile(double level) {
  return boost::math::quantile(boost::math::complement(boost::math::normal(), (1 - level) / 2));
}

interval score_interval(double share, double trials, double quantile) {
  const double square = quantile * quantile;
  const double centre = share * trials + square / 2;
  const double reach = quantile * std::sqrt(trials * share * (1 - share) + square / 4);
  const double all = trials + square;
  // At the ends rounding would leave a trace of 0 or 1.
  return {share <= 0 ? 0 : std::max(0.0, (centre - reach) / all),
          share >= 1 ? 1 : std::min(1.0, (centre + reach) / all)};
}

interval wilson(index_t successes, index_t trials, double level) {
  require_trials("wilson", successes, trials, level);
  return score_interval(double(successes) / double(trials), double(trials), normal_quantile(level));
}

interval clopper_pearson(index_t successes, index_t trials, double level) {
  require_trials("clopper_pearson", successes, trials, level);
  const double n = double(trials), s = double(successes), tail = (1 - level) / 2;
  return {successes == 0 ? 0 : binomial::find_lower_bound_on_p(n, s, tail),
          successes == trials ? 1 : binomial::find_upper_bound_on_p(n, s, tail)};
}

interval newcombe(index_t first, index_t first_trials, index_t second, index_t second_trials, double level) {
  require_trials("newcombe", first, first_trials, level);
  require_trials("newcombe", second, second_trials, level);
  return difference_of(double(first) / double(first_trials), wilson(first, first_trials, level),
                       double(second) / double(second_trials), wilson(second, second_trials, level), 0);
}

interval newcombe_paired(const paired_counts& counts, double level) {
  require_counts("newcombe_paired", counts);
  const index_t items = counts.items(), first = counts.both + counts.first_only,
                second = counts.both + counts.second_only;
  require_trials("newcombe_paired", first, items, level);
  return difference_of(double(first) / double(items), wilson(first, items, level),
                       double(second) / double(items), wilson(second, items, level), correlation_of(counts));
}

double mcnemar_p(const paired_counts& counts) {
  require_counts("mcnemar_p", counts);
  const index_t least = std::min(counts.first_only, counts.second_only);
  const index_t differ = counts.first_only + counts.second_only;
  if (differ == 0) return 1;
  return std::min(1.0, 2 * boost::math::cdf(binomial(double(differ), 0.5), double(least)));
}

}  // namespace poolwise
