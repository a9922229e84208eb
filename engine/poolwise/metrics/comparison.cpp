#include "poolwise/metrics/comparison.hpp"

#include <algorithm>
#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/quadrature/trapezoidal.hpp>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <numeric>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"
#include "poolwise/metrics/detail/ranks.hpp"

namespace poolwise {
namespace {

/// P(W <= w) for the sum of the ranks 1 to n that chance marks positive: counts of subsets by their sum.
double rank_sum_cdf(index_t n, double w) {
  const auto most = std::size_t(n * (n + 1) / 2);
  std::vector<double> ways(most + 1, 0);  // exact below 2^53, and n = 50 needs no more than its share
  ways[0] = 1;
  for (std::size_t rank = 1; rank <= std::size_t(n); ++rank)
    for (std::size_t sum = most; sum >= rank; --sum) ways[sum] += ways[sum - rank];
  double below = 0;
  for (std::size_t sum = 0; double(sum) <= w; ++sum) below += ways[sum];
  return std::ldexp(below, -int(n));
}

/// By products: libm's powers have other last bits with fma than without.
double power_of(double x, index_t exponent) {
  double power = 1;
  for (index_t k = 0; k < exponent; ++k) power *= x;
  return power;
}

/// P(the range of `count` standard normal values > q).
double range_tail(double q, index_t count) {
  const boost::math::normal normal;
  // Over the largest value z, whose density is n phi(z) Phi(z)^(n-1): the part where another lies below z - q.
  // As one integral, and not as 1 - cdf, a small tail keeps its digits.
  const auto tail = [&](double z) {
    const double below = boost::math::cdf(normal, z), inside = below - boost::math::cdf(normal, z - q);
    return boost::math::pdf(normal, z) * (power_of(below, count - 1) - power_of(inside, count - 1));
  };
  // The integrand and all its derivatives vanish at both ends: the trapezoid converges faster than any power.
  return double(count) * boost::math::quadrature::trapezoidal(tail, -12.0, 12.0, 1e-12);
}

void require_family(const char* call, index_t strategies, index_t blocks) {
  if (strategies < 2 || blocks < 1)
    throw value_error(std::string(call) + ": got " + std::to_string(strategies) + " strategies and " +
                      std::to_string(blocks) + " blocks; pass at least 2 and 1");
}

void require_same_labels(const char* call, const learning_curve& a, const learning_curve& b) {
  if (a.labels != b.labels || a.labels.size() != a.accuracy.size() || b.labels.size() != b.accuracy.size())
    throw shape_error(std::string(call) +
                      ": the curves have other labels than each other; pass curves of the same rounds");
}

/// The places of p values, the least first.
std::vector<std::size_t> rising(const char* call, std::span<const double> p) {
  for (const double one : p)
    if (!(one >= 0 && one <= 1))
      throw value_error(std::string(call) + ": p is " + std::to_string(one) +
                        "; pass probabilities from 0 to 1");
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t(0));
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  return order;
}

double rank_deviation(index_t strategies, index_t blocks) {
  return std::sqrt(double(strategies) * double(strategies + 1) / (6 * double(blocks)));
}

}  // namespace

signed_rank_test wilcoxon(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size())
    throw shape_error("wilcoxon: a has " + std::to_string(a.size()) + " values but b has " +
                      std::to_string(b.size()) + "; pass one of each per pair");
  require_finite("wilcoxon", a);
  require_finite("wilcoxon", b);
  std::vector<double> size;
  std::vector<bool> positive;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) {
      size.push_back(std::abs(a[i] - b[i]));
      positive.push_back(a[i] > b[i]);
    }
  signed_rank_test test;
  test.pairs = index_t(size.size());
  if (size.empty()) return test;
  const auto rank = ranked(size);
  double up = 0;
  for (std::size_t i = 0; i < size.size(); ++i) up += positive[i] ? rank.ranks[i] : 0;
  const double n = double(size.size());
  test.statistic = std::min(up, n * (n + 1) / 2 - up);
  test.exact = size.size() == a.size() && rank.ties == 0 && size.size() <= 50;
  if (test.exact) {
    test.p = std::min(1.0, 2 * rank_sum_cdf(test.pairs, test.statistic));
  } else {
    const double variance = n * (n + 1) * (2 * n + 1) / 24 - rank.ties / 48;
    const double z = (test.statistic - n * (n + 1) / 4) / std::sqrt(variance);
    test.p = std::min(1.0, 2 * boost::math::cdf(boost::math::normal(), z));
  }
  return test;
}

friedman_test friedman(std::span<const std::vector<double>> values) {
  if (values.size() < 3)
    throw shape_error("friedman: got " + std::to_string(values.size()) +
                      " strategies; pass at least 3, and compare two by wilcoxon");
  const std::size_t k = values.size(), blocks = values[0].size();
  for (const auto& one : values) {
    if (one.size() != blocks)
      throw shape_error("friedman: strategies have " + std::to_string(blocks) + " and " +
                        std::to_string(one.size()) + " values; pass one of each per block");
    require_finite("friedman", one);
  }
  friedman_test test{index_t(blocks), index_t(k), std::vector<double>(k, 0), 0, 1};
  if (blocks == 0) return test;
  double ties = 0;
  for (std::size_t block = 0; block < blocks; ++block) {
    std::vector<double> lowered;
    for (const auto& one : values) lowered.push_back(-one[block]);  // the highest value has rank 1
    const auto rank = ranked(lowered);
    ties += rank.ties;
    for (std::size_t s = 0; s < k; ++s) test.mean_ranks[s] += rank.ranks[s] / double(blocks);
  }
  const double n = double(blocks), count = double(k);
  const double correction = 1 - ties / (n * count * (count * count - 1));
  if (blocks < 2 || correction <= 0) return test;
  double squares = 0;
  for (const double mean_rank : test.mean_ranks)
    squares += (mean_rank - (count + 1) / 2) * (mean_rank - (count + 1) / 2);
  test.chi_squared = 12 * n / (count * (count + 1)) * squares / correction;
  test.p = boost::math::cdf(boost::math::complement(boost::math::chi_squared(count - 1), test.chi_squared));
  return test;
}

double nemenyi_p(double rank_difference, index_t strategies, index_t blocks) {
  require_family("nemenyi_p", strategies, blocks);
  const double range = std::abs(rank_difference) / rank_deviation(strategies, blocks) * std::sqrt(2.0);
  return std::clamp(range_tail(range, strategies), 0.0, 1.0);
}

double critical_difference(double alpha, index_t strategies, index_t blocks) {
  require_family("critical_difference", strategies, blocks);
  if (!(alpha > 0 && alpha < 1))
    throw value_error("critical_difference: alpha is " + std::to_string(alpha) +
                      "; pass a level between 0 and 1");
  std::uintmax_t steps = 200;
  const auto [low, high] =
      boost::math::tools::toms748_solve([&](double q) { return range_tail(q, strategies) - alpha; }, 0.0, 40.0,
                                        boost::math::tools::eps_tolerance<double>(48), steps);
  return (low + high) / 2 / std::sqrt(2.0) * rank_deviation(strategies, blocks);
}

std::vector<double> holm(std::span<const double> p) {
  const auto order = rising("holm", p);
  std::vector<double> adjusted(p.size());
  double so_far = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    so_far = std::max(so_far, std::min(1.0, double(p.size() - k) * p[order[k]]));
    adjusted[order[k]] = so_far;
  }
  return adjusted;
}

std::vector<double> benjamini_hochberg(std::span<const double> p) {
  const auto order = rising("benjamini_hochberg", p);
  std::vector<double> adjusted(p.size());
  double so_far = 1;
  for (std::size_t k = order.size(); k-- > 0;) {
    so_far = std::min(so_far, p[order[k]] * double(p.size()) / double(k + 1));
    adjusted[order[k]] = so_far;
  }
  return adjusted;
}

std::vector<std::vector<double>> penalty_matrix(std::span<const std::vector<learning_curve>> curves) {
  std::vector<std::vector<double>> beats(curves.size(), std::vector<double>(curves.size(), 0));
  if (curves.empty() || curves[0].empty()) return beats;
  for (const auto& seeds : curves) {
    if (seeds.size() != curves[0].size())
      throw shape_error("penalty_matrix: strategies have " + std::to_string(curves[0].size()) + " and " +
                        std::to_string(seeds.size()) + " seeds; pass the same seeds for each");
    for (const auto& curve : seeds) require_same_labels("penalty_matrix", curve, curves[0][0]);
  }
  const std::size_t rounds = curves[0][0].labels.size();
  const auto at = [](const std::vector<learning_curve>& seeds, std::size_t round) {
    std::vector<double> values;
    for (const auto& curve : seeds) values.push_back(curve.accuracy[round]);
    return values;
  };
  for (std::size_t round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < curves.size(); ++i)
      for (std::size_t j = 0; j < curves.size(); ++j) {
        const paired_test test = paired_t(at(curves[i], round), at(curves[j], round));
        if (test.t > 0 && test.p < 0.05) beats[i][j] += 1 / double(rounds);
      }
  return beats;
}

std::optional<double> deficiency(const learning_curve& strategy, const learning_curve& baseline, double best) {
  require_same_labels("deficiency", strategy, baseline);
  double left = 0, left_by_baseline = 0;
  for (std::size_t r = 0; r < baseline.accuracy.size(); ++r) {
    left += best - strategy.accuracy[r];
    left_by_baseline += best - baseline.accuracy[r];
  }
  if (left_by_baseline == 0) return std::nullopt;
  return left / left_by_baseline;
}

label_efficiency efficiency(std::span<const learning_curve> strategy, std::span<const learning_curve> baseline,
                            double target) {
  label_efficiency out;
  out.target = target;
  out.seeds = index_t(strategy.size());
  const auto reached = [&](std::span<const learning_curve> curves, index_t& count) {
    std::vector<std::optional<index_t>> labels;
    for (const auto& curve : curves) {
      labels.push_back(labels_to_reach(curve, target));
      count += labels.back().has_value();
    }
    return median_labels(labels);
  };
  out.labels = reached(strategy, out.reached);
  out.baseline_labels = reached(baseline, out.baseline_reached);
  if (out.labels && out.baseline_labels) out.ratio = *out.baseline_labels / *out.labels;
  return out;
}

}  // namespace poolwise
