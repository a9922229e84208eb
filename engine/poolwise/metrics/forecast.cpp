#include "poolwise/metrics/forecast.hpp"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/metrics/metrics.hpp"

namespace poolwise {
namespace {

constexpr stream test_stream{22};
constexpr double mad_to_deviation = 1.4826022185056018;  // of normal values
constexpr double infinite = std::numeric_limits<double>::infinity();

void require_level(const char* call, double level) {
  if (!(level > 0 && level < 1))
    throw value_error(std::string(call) + ": level is " + std::to_string(level) +
                      "; pass a probability between 0 and 1");
}

void require_at_least(const char* call, const char* what, index_t value, index_t least) {
  if (value < least)
    throw value_error(std::string(call) + ": " + what + " is " + std::to_string(value) + "; pass at least " +
                      std::to_string(least));
}

void require_amounts(const char* call, std::span<const double> x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!(x[i] >= 0 && std::isfinite(x[i])))
      throw value_error(std::string(call) + ": value " + std::to_string(i) + " is " + std::to_string(x[i]) +
                        "; pass finite amounts of at least 0");
}

void require_some(const char* call, std::span<const double> x) {
  if (x.empty()) throw shape_error(std::string(call) + ": got no values; pass at least one");
  require_amounts(call, x);
}

/// Between order statistics (type 7), and at the upper one where that is infinite and the place is not the
/// lower.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = share * double(sorted.size() - 1);
  const auto below = std::size_t(place);
  const double part = place - double(below);
  if (part == 0 || below + 1 == sorted.size()) return sorted[below];
  return std::isinf(sorted[below + 1]) ? infinite : sorted[below] + part * (sorted[below + 1] - sorted[below]);
}

/// `value` with the interval of `samples`, which is made to hold it.
forecast_value with_interval(double value, std::vector<double> samples, double level) {
  std::sort(samples.begin(), samples.end());
  const double tail = (1 - level) / 2;
  return {value, std::min(value, quantile(samples, tail)), std::max(value, quantile(samples, 1 - tail))};
}

/// Student's two-sided quantile for a mean of `count` values; 0 for one, which bounds nothing.
double student(double level, std::size_t count) {
  if (count < 2) return 0;
  const boost::math::students_t distribution(double(count - 1));
  return boost::math::quantile(boost::math::complement(distribution, (1 - level) / 2));
}

double median_of(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return quantile(x, 0.5);
}

/// From 0, or from a centre.
double median_off(std::span<const double> x, double centre) {
  std::vector<double> distance;
  for (const double value : x) distance.push_back(std::abs(value - centre));
  return median_of(std::move(distance));
}

/// The labels at which the mean of the laws is at the target; none beyond `most`.
std::optional<double> crossing(const curve_fit& fit, double target, double most) {
  if (!(fit.at(most) >= target)) return std::nullopt;
  double low = 0, high = most;  // the mean rises, as each law does
  for (int step = 0; step < 100 && high - low > 1e-9 * high; ++step) {
    const double middle = (low + high) / 2;
    (fit.at(middle) >= target ? high : low) = middle;
  }
  return high;
}

struct line {
  double base = 0, slope = 0;
};

line weighted_line(std::span<const double> x, std::span<const double> y, std::span<const double> weight) {
  double total = 0, mean_x = 0, mean_y = 0, square = 0, product = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    total += weight[i];
    mean_x += weight[i] * x[i];
    mean_y += weight[i] * y[i];
  }
  mean_x /= total;
  mean_y /= total;
  for (std::size_t i = 0; i < x.size(); ++i) {
    square += weight[i] * (x[i] - mean_x) * (x[i] - mean_x);
    product += weight[i] * (x[i] - mean_x) * (y[i] - mean_y);
  }
  const double slope = square > 0 ? product / square : 0;
  return {mean_y - slope * mean_x, slope};
}

fitted_cost fit_one(const std::string& type, std::span<const double> length, std::span<const double> cost) {
  std::vector<double> weight(cost.size(), 1), residual(cost.size());
  fitted_cost fit{type, index_t(cost.size()), 0, 0, 0};
  for (int step = 0; step < 200; ++step) {
    const line next = weighted_line(length, cost, weight);
    const double moved = std::abs(next.base - fit.base) + std::abs(next.slope - fit.per_length);
    fit.base = next.base;
    fit.per_length = next.slope;
    for (std::size_t i = 0; i < cost.size(); ++i) residual[i] = cost[i] - (next.base + next.slope * length[i]);
    fit.spread = mad_to_deviation * median_off(residual, 0);
    if (step > 0 && moved <= 1e-12 * (std::abs(next.base) + std::abs(next.slope))) break;
    // Where most lie on the line exactly, the others weigh next to nothing.
    const double bend = std::max(1.345 * fit.spread, 1e-9 * (1 + std::abs(next.base)));
    for (std::size_t i = 0; i < cost.size(); ++i) weight[i] = std::min(1.0, bend / std::abs(residual[i]));
  }
  return fit;
}

/// a times b, or over it, by logarithms: `power` is 1 or -1.
forecast_value joined(const char* call, const forecast_value& a, const forecast_value& b, int power) {
  for (const forecast_value& one : {a, b})
    if (!(one.low >= 0 && one.low <= one.value && one.value <= one.high && std::isfinite(one.value)))
      throw value_error(std::string(call) + ": got " + std::to_string(one.value) + " in " +
                        std::to_string(one.low) + " to " + std::to_string(one.high) +
                        "; pass 0 <= low <= value <= high");
  const auto by = [power](double x, double y) { return power > 0 ? x * y : x / y; };
  const double value = by(a.value, b.value);
  const double b_low = power > 0 ? b.low : b.high, b_high = power > 0 ? b.high : b.low;
  const auto side = [&](double a_end, double b_end) {
    const double extreme = by(a_end, b_end);  // of both at once
    if (value == 0 || extreme == 0 || std::isinf(extreme) || std::isnan(extreme))
      return std::isnan(extreme) ? value : extreme;
    const double in_a = std::log(a_end / a.value), in_b = std::log(b_end / b.value);
    return value * std::exp(std::copysign(std::hypot(in_a, in_b), extreme - value));
  };
  return {value, std::min(value, side(a.low, b_low)), std::max(value, side(a.high, b_high))};
}

}  // namespace

forecast_value forecast_accuracy(const curve_fit& fit, index_t labels, index_t tested, double level) {
  require_at_least("forecast_accuracy", "labels", labels, 1);
  require_at_least("forecast_accuracy", "tested", tested, 0);
  require_level("forecast_accuracy", level);
  std::vector<double> samples;
  for (std::size_t r = 0; r < fit.replicates.size(); ++r) {
    double share = std::clamp(fit.replicates[r].at(double(labels)), 0.0, 1.0);
    if (tested > 0) {
      const double u = random_unit(0, test_stream, r) + 0x1p-54;
      const double noise = std::sqrt(fit.dispersion * share * (1 - share) / double(tested));
      share = std::clamp(share + noise * boost::math::quantile(boost::math::normal(), u), 0.0, 1.0);
    }
    samples.push_back(share);
  }
  return with_interval(std::clamp(fit.at(double(labels)), 0.0, 1.0), std::move(samples), level);
}

forecast_value forecast_gain(const curve_fit& fit, index_t from, index_t to, double level) {
  require_at_least("forecast_gain", "from", from, 1);
  require_at_least("forecast_gain", "to", to, from);
  require_level("forecast_gain", level);
  std::vector<double> samples;
  for (const fitted_law& law : fit.replicates) samples.push_back(law.at(double(to)) - law.at(double(from)));
  return with_interval(fit.at(double(to)) - fit.at(double(from)), std::move(samples), level);
}

labels_forecast forecast_labels(const curve_fit& fit, double target, index_t most, double level) {
  if (!(target >= 0 && target <= 1))
    throw value_error("forecast_labels: target is " + std::to_string(target) + "; pass a share from 0 to 1");
  require_at_least("forecast_labels", "most", most, 1);
  require_level("forecast_labels", level);
  std::vector<double> samples;
  index_t reach = 0;
  for (const fitted_law& law : fit.replicates) {
    const auto at = law.labels_for(target);
    const bool within = at && *at <= double(most);
    reach += within;
    samples.push_back(within ? *at : infinite);
  }
  const auto value = crossing(fit, target, double(most));
  const forecast_value range = with_interval(value.value_or(infinite), std::move(samples), level);
  const auto finite = [](double x) { return std::isfinite(x) ? std::optional(x) : std::nullopt; };
  return {target, value, finite(range.low), finite(range.high), double(reach) / double(fit.replicates.size())};
}

forecast_value cost_of_label(std::span<const double> costs, double level) {
  require_some("cost_of_label", costs);
  require_level("cost_of_label", level);
  const double centre = mean(costs);
  const double half =
      student(level, costs.size()) * standard_deviation(costs) / std::sqrt(double(costs.size()));
  return {centre, std::max(0.0, centre - half), centre + half};
}

label_time time_of_label(std::span<const double> seconds, std::optional<double> longest, double level) {
  require_some("time_of_label", seconds);
  require_level("time_of_label", level);
  double shortest = infinite;
  for (const double s : seconds)
    if (s > 0) shortest = std::min(shortest, s);
  if (std::isinf(shortest))
    throw shape_error("time_of_label: all " + std::to_string(seconds.size()) +
                      " times are 0; pass those of labels that took some");
  std::vector<double> logs;
  for (const double s : seconds) logs.push_back(std::log(std::max(s, shortest)));
  label_time time;
  time.labels = index_t(seconds.size());
  const double centre = median_of(logs), n = double(logs.size());
  time.spread = mad_to_deviation * median_off(logs, centre);
  if (time.spread == 0) time.spread = standard_deviation(logs);  // more than half are one number
  time.median = std::exp(centre);
  time.cap = std::min(std::exp(centre + 3 * time.spread), longest.value_or(infinite));
  for (const double s : seconds) time.capped += s > time.cap;
  // Of normal values the median's variance is pi/2 s^2/n, and that of 1.4826 MAD 1.3605 s^2/n.
  const double variance = time.spread * time.spread / n * (1.5708 + 1.3605 * time.spread * time.spread);
  const double half = student(level, seconds.size()) * std::sqrt(variance);
  const double log_mean = centre + time.spread * time.spread / 2;
  time.mean = {std::exp(log_mean), std::exp(log_mean - half), std::exp(log_mean + half)};
  return time;
}

std::vector<type_effort> efforts_by_type(std::span<const label_record> records, std::optional<double> longest,
                                         double level) {
  struct amounts {
    index_t labels = 0;
    std::vector<double> costs, seconds;
  };
  std::map<std::string, amounts> by_type;
  for (const label_record& r : records) {
    amounts& of = by_type[r.type];
    ++of.labels;
    if (r.cost) of.costs.push_back(*r.cost);
    if (r.seconds) of.seconds.push_back(*r.seconds);
  }
  std::vector<type_effort> efforts;
  for (const auto& [type, of] : by_type) {
    type_effort effort{type, of.labels, {}, {}};
    if (!of.costs.empty()) effort.cost = cost_of_label(of.costs, level);
    if (std::any_of(of.seconds.begin(), of.seconds.end(), [](double s) { return s != 0; }))
      effort.time = time_of_label(of.seconds, longest, level);
    efforts.push_back(std::move(effort));
  }
  return efforts;
}

double fitted_cost::at(double length) const { return std::max(0.0, base + per_length * length); }

std::vector<fitted_cost> fit_costs(std::span<const label_record> records) {
  std::map<std::string, std::pair<std::vector<double>, std::vector<double>>> by_type;
  for (const label_record& r : records)
    if (r.cost) {
      auto& [length, cost] = by_type[r.type];
      length.push_back(r.length);
      cost.push_back(*r.cost);
    }
  std::vector<fitted_cost> fits;
  for (const auto& [type, values] : by_type) {
    const std::string call = "fit_costs: type \"" + type + "\"";
    require_amounts(call.c_str(), values.first);
    require_amounts(call.c_str(), values.second);
    fits.push_back(fit_one(type, values.first, values.second));
  }
  return fits;
}

forecast_value product_of(const forecast_value& a, const forecast_value& b) {
  return joined("product_of", a, b, 1);
}

forecast_value quotient_of(const forecast_value& a, const forecast_value& b) {
  if (!(b.value > 0))
    throw value_error("quotient_of: the divisor is " + std::to_string(b.value) + "; pass one above 0");
  return joined("quotient_of", a, b, -1);
}

effort_forecast forecast_effort(const labels_forecast& to, index_t labelled,
                                const forecast_value& cost_per_label, const forecast_value& labels_per_day) {
  require_at_least("forecast_effort", "labelled", labelled, 0);
  if (!to.labels) return {};
  const auto left = [&](double labels) { return std::max(0.0, labels - double(labelled)); };
  const forecast_value labels{left(*to.labels), left(to.low.value_or(*to.labels)),
                              left(to.high.value_or(infinite))};
  return {labels, product_of(labels, cost_per_label), quotient_of(labels, labels_per_day)};
}

forecast_error error_of(std::span<const kept_forecast> past) {
  forecast_error error;
  double with_relative = 0;
  for (const kept_forecast& one : past) {
    if (!std::isfinite(one.said.value) || !std::isfinite(one.came))
      throw value_error("error_of: forecast " + std::to_string(error.forecasts) + " said " +
                        std::to_string(one.said.value) + " and " + std::to_string(one.came) +
                        " came; pass finite values");
    const double off = one.said.value - one.came;
    ++error.forecasts;
    error.covered += one.said.low <= one.came && one.came <= one.said.high;
    error.bias += off;
    error.mean_absolute += std::abs(off);
    error.root_mean_square += off * off;
    if (one.came != 0) {
      error.mean_relative += std::abs(off / one.came);
      ++with_relative;
    }
  }
  if (error.forecasts == 0) return error;
  const double n = double(error.forecasts);
  error.bias /= n;
  error.mean_absolute /= n;
  error.root_mean_square = std::sqrt(error.root_mean_square / n);
  if (with_relative > 0) error.mean_relative /= with_relative;
  return error;
}

}  // namespace poolwise
