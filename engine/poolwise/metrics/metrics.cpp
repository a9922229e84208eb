#include "poolwise/metrics/metrics.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"

namespace poolwise {
namespace {

void require_values(const char* call, std::span<const double> x) {
  if (x.empty()) throw shape_error(std::string(call) + ": got no values; pass at least one");
  require_finite(call, x);
}

double mean_of(std::span<const double> x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / double(x.size());
}

double deviation_of(std::span<const double> x) {
  if (x.size() < 2) return 0;
  const double centre = mean_of(x);
  double squares = 0;
  for (const double value : x) squares += (value - centre) * (value - centre);
  return std::sqrt(squares / double(x.size() - 1));
}

void require_curve(const char* call, const learning_curve& curve) {
  if (curve.labels.empty() || curve.labels.size() != curve.accuracy.size())
    throw shape_error(std::string(call) + ": the curve has " + std::to_string(curve.labels.size()) +
                      " label counts and " + std::to_string(curve.accuracy.size()) +
                      " accuracies; pass as many of each, at least one");
  for (std::size_t r = 1; r < curve.labels.size(); ++r)
    if (curve.labels[r] <= curve.labels[r - 1])
      throw value_error(std::string(call) + ": labels go from " + std::to_string(curve.labels[r - 1]) + " to " +
                        std::to_string(curve.labels[r]) + " at point " + std::to_string(r) +
                        "; pass strictly rising label counts");
}

}  // namespace

void require_finite(const char* call, std::span<const double> x) {
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!std::isfinite(x[i]))
      throw value_error(std::string(call) + ": value " + std::to_string(i) + " is " + std::to_string(x[i]) +
                        "; pass finite values");
}

void require_level(const char* call, double level) {
  if (!(level > 0 && level < 1))
    throw value_error(std::string(call) + ": level is " + std::to_string(level) +
                      "; pass a level between 0 and 1, such as 0.95");
}

void require_pairs(const char* call, const char* one, std::size_t ones, const char* other, std::size_t others) {
  if (ones != others || ones == 0)
    throw shape_error(std::string(call) + ": there are " + std::to_string(ones) + " " + one + " and " +
                      std::to_string(others) + " " + other + "; pass as many of each, at least one");
}

double accuracy(matrix_view<const float> logits, vector_view<const std::int32_t> labels) {
  if (logits.rows < 1 || logits.cols < 1 || labels.size != logits.rows)
    throw shape_error("accuracy: logits is [" + std::to_string(logits.rows) + ", " +
                      std::to_string(logits.cols) + "] but there are " + std::to_string(labels.size) +
                      " labels; pass at least one row and class, and one label per row");
  index_t right = 0;
  for (index_t i = 0; i < logits.rows; ++i) {
    if (labels[i] < 0 || labels[i] >= logits.cols)
      throw value_error("accuracy: label " + std::to_string(labels[i]) + " at row " + std::to_string(i) +
                        " is outside 0 to " + std::to_string(logits.cols - 1) +
                        "; pass one column of logits per class");
    const float* row = logits.row(i);
    if (std::any_of(row, row + logits.cols, [](float z) { return std::isnan(z); }))
      throw value_error("accuracy: row " + std::to_string(i) + " of logits has a NaN; it predicts no class");
    right += std::max_element(row, row + logits.cols) - row == labels[i];
  }
  return double(right) / double(logits.rows);
}

double aubc(const learning_curve& curve) {
  require_curve("aubc", curve);
  const auto& n = curve.labels;
  const auto& a = curve.accuracy;
  if (n.size() == 1) return a[0];
  double area = 0;
  for (std::size_t r = 1; r < n.size(); ++r) area += (a[r - 1] + a[r]) / 2 * double(n[r] - n[r - 1]);
  return area / double(n.back() - n.front());
}

double aubc_lu2023(const learning_curve& curve) {
  require_curve("aubc_lu2023", curve);
  const auto& a = curve.accuracy;
  if (a.size() < 3)
    throw value_error("aubc_lu2023: the curve has " + std::to_string(a.size()) +
                      " points; pass the initial point and at least two queries");
  double area = 0;
  for (std::size_t r = 2; r < a.size(); ++r) area += (a[r - 1] + a[r]) / 2;
  return area / double(a.size() - 1);
}

std::optional<index_t> labels_to_reach(const learning_curve& curve, double target) {
  require_curve("labels_to_reach", curve);
  for (std::size_t r = 0; r < curve.labels.size(); ++r)
    if (curve.accuracy[r] >= target) return curve.labels[r];
  return std::nullopt;
}

std::optional<double> median_labels(std::span<const std::optional<index_t>> runs) {
  if (runs.empty()) throw shape_error("median_labels: got no runs; pass at least one");
  std::vector<index_t> reached;
  for (const auto& run : runs) reached.push_back(run.value_or(std::numeric_limits<index_t>::max()));
  std::sort(reached.begin(), reached.end());
  const index_t low = reached[(reached.size() - 1) / 2], high = reached[reached.size() / 2];
  if (high == std::numeric_limits<index_t>::max()) return std::nullopt;
  return (double(low) + double(high)) / 2;
}

paired_test paired_t(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size())
    throw shape_error("paired_t: a has " + std::to_string(a.size()) + " values but b has " +
                      std::to_string(b.size()) + "; pass one of each per seed");
  if (a.empty()) return {};
  require_finite("paired_t", a);
  require_finite("paired_t", b);
  std::vector<double> difference(a.size());
  std::transform(a.begin(), a.end(), b.begin(), difference.begin(), std::minus<double>());
  paired_test test;
  test.pairs = index_t(a.size());
  test.mean = mean_of(difference);
  test.sd = deviation_of(difference);
  if (a.size() < 2 || (test.mean == 0 && test.sd == 0)) return test;
  if (test.sd == 0) {
    test.t = std::copysign(std::numeric_limits<double>::infinity(), test.mean);
    test.p = 0;
    return test;
  }
  test.t = test.mean / (test.sd / std::sqrt(double(a.size())));
  const boost::math::students_t student(double(a.size() - 1));
  test.p = 2 * boost::math::cdf(boost::math::complement(student, std::abs(test.t)));
  return test;
}

double mean(std::span<const double> x) {
  require_values("mean", x);
  return mean_of(x);
}

double standard_deviation(std::span<const double> x) {
  require_values("standard_deviation", x);
  return deviation_of(x);
}

double confidence_95(std::span<const double> x) {
  require_values("confidence_95", x);
  if (x.size() < 2) return 0;
  const boost::math::students_t student(double(x.size() - 1));
  const double quantile = boost::math::quantile(boost::math::complement(student, 0.025));
  return quantile * deviation_of(x) / std::sqrt(double(x.size()));
}

std::vector<double> measured(std::span<const learning_curve> curves, double (*measure)(const learning_curve&)) {
  std::vector<double> values;
  for (const learning_curve& curve : curves) values.push_back(measure(curve));
  return values;
}

mean_curve mean_over_seeds(std::span<const learning_curve> curves) {
  mean_curve out;
  if (curves.empty()) return out;
  out.labels = curves.front().labels;
  std::vector<double> at(curves.size());
  for (std::size_t i = 0; i < out.labels.size(); ++i) {
    std::transform(curves.begin(), curves.end(), at.begin(), [i](const auto& c) { return c.accuracy[i]; });
    out.accuracy.push_back(mean(at));
    if (at.size() > 1) out.half_width.push_back(confidence_95(at));
  }
  return out;
}

}  // namespace poolwise
