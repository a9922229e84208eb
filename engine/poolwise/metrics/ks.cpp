#include <algorithm>
#include <boost/math/constants/constants.hpp>
#include <cmath>
#include <cstddef>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"
#include "poolwise/metrics/drift.hpp"

namespace poolwise {
namespace {

constexpr index_t most_steps = index_t{1} << 24;

/// max |i n2 - j n1| over places where i and j values have been passed: D n1 n2, as a whole number.
index_t farthest(const std::vector<double>& first, const std::vector<double>& second) {
  const auto n1 = index_t(first.size()), n2 = index_t(second.size());
  index_t i = 0, j = 0, far = 0;
  while (i < n1 && j < n2) {
    const double value = std::min(first[std::size_t(i)], second[std::size_t(j)]);
    while (i < n1 && first[std::size_t(i)] == value) ++i;
    while (j < n2 && second[std::size_t(j)] == value) ++j;
    far = std::max(far, std::abs(i * n2 - j * n1));
  }
  return far;
}

/// The share of paths from (0, 0) to (n1, n2) that meet a place with |i n2 - j n1| >= far. Of the paths to (i,
/// j) a share i / (i + j) comes from (i - 1, j); all terms are positive, so that a small p keeps its digits.
double share_of_far_paths(index_t n1, index_t n2, index_t far) {
  std::vector<double> left(std::size_t(n2 + 1), 1);  // of the row before; a place that is far itself has 1
  std::vector<double> inverse(std::size_t(n1 + n2 + 1), 0);
  for (std::size_t k = 1; k < inverse.size(); ++k) inverse[k] = 1 / double(k);
  for (index_t j = 0; j <= n2 && j * n1 < far; ++j) left[std::size_t(j)] = 0;
  for (index_t i = 1; i <= n1; ++i) {
    const index_t begin = std::max<index_t>(0, (i * n2 - far) / n1 + (i * n2 >= far));
    const index_t last = std::min(n2, (i * n2 + far - 1) / n1);
    if (begin > last) return 1;
    double before = begin == 0 ? 0 : 1;  // of (i, j - 1)
    for (index_t j = begin; j <= last; ++j) {
      double& place = left[std::size_t(j)];
      before = (double(i) * place + double(j) * before) * inverse[std::size_t(i + j)];
      place = before;
    }
  }
  return left[std::size_t(n2)];
}

/// Kolmogorov's Q(x): two series of the same function, each where it converges at once.
double kolmogorov_tail(double x) {
  if (x <= 0) return 1;
  double sum = 0;
  if (x < 1) {
    const double pi = boost::math::constants::pi<double>();
    for (int k = 1; k <= 9; k += 2) sum += std::exp(-k * k * pi * pi / (8 * x * x));
    return 1 - std::sqrt(2 * pi) / x * sum;
  }
  for (int k = 1; k <= 6; ++k) sum += (k % 2 == 1 ? 2 : -2) * std::exp(-2 * k * k * x * x);
  return sum;
}

std::vector<double> sorted(std::span<const double> x) {
  if (x.empty()) throw shape_error("kolmogorov_smirnov: a sample is empty; pass at least one value of each");
  require_finite("kolmogorov_smirnov", x);
  std::vector<double> out(x.begin(), x.end());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

ks_test kolmogorov_smirnov(std::span<const double> first, std::span<const double> second) {
  const auto n1 = index_t(first.size()), n2 = index_t(second.size());
  const index_t far = farthest(sorted(first), sorted(second));
  ks_test test;
  test.distance = double(far) / (double(n1) * double(n2));
  if (far == 0) return test;
  test.exact = 2 * far + std::max(n1, n2) <= most_steps;
  if (test.exact)
    test.p = std::min(1.0, share_of_far_paths(n1, n2, far));
  else
    test.p = kolmogorov_tail(std::sqrt(double(n1) / double(n1 + n2) * double(n2)) * test.distance);
  return test;
}

}  // namespace poolwise
