#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <cstddef>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"
#include "poolwise/metrics/detail/ranks.hpp"
#include "poolwise/metrics/detail/score_interval.hpp"
#include "poolwise/metrics/drift.hpp"
#include "poolwise/metrics/metrics.hpp"

namespace poolwise {
namespace {

constexpr std::size_t most_exact = 50;  // C(50, 25) divisions are counted exactly in double

/// P(U >= u) for the number of pairs won by `m` of m + n items, all orders being as likely: orders are counted
/// by their U, item by item (Mann & Whitney 1947).
double tail_of_pairs_won(std::size_t m, std::size_t n, double u) {
  // ways[k][s]: of k of the items so far being positive, with s pairs won by them.
  std::vector<std::vector<double>> ways(m + 1, std::vector<double>(m * n + 1, 0));
  ways[0][0] = 1;
  for (std::size_t item = 0; item < m + n; ++item)
    for (std::size_t k = std::min(item + 1, m); k >= 1; --k) {
      // The next item up, if positive, wins against the negatives below it.
      if (item + 1 - k > n) break;
      const std::size_t won = item - (k - 1);
      for (std::size_t s = m * n; s + 1 > won; --s) ways[k][s] += ways[k - 1][s - won];
    }
  double all = 0, tail = 0;
  for (std::size_t s = 0; s <= m * n; ++s) {
    all += ways[m][s];
    tail += double(s) >= u ? ways[m][s] : 0;
  }
  return tail / all;
}

/// Per item of `own`, the share of the other sample that it beats.
std::vector<double> placements(std::span<const double> own, const double* ranks, std::size_t others) {
  const auto among_own = ranked(own);
  std::vector<double> share(own.size());
  for (std::size_t i = 0; i < own.size(); ++i) share[i] = (ranks[i] - among_own.ranks[i]) / double(others);
  return share;
}

double variance_of_mean(std::span<const double> x) {
  const double deviation = standard_deviation(x);
  return deviation * deviation / double(x.size());
}

/// Of the upper tail, for `won` pairs.
double normal_tail(double m, double n, double ties, double won) {
  const double all = m + n;
  const double deviation = std::sqrt(m * n / 12 * (all + 1 - ties / (all * (all - 1))));
  if (!(deviation > 0)) return 1;
  const double z = (won - m * n / 2 - 0.5) / deviation;
  return boost::math::cdf(boost::math::complement(boost::math::normal(), z));
}

}  // namespace

auc_test area_under_roc(std::span<const double> positive, std::span<const double> negative, double level) {
  const char* const call = "area_under_roc";
  if (positive.empty() || negative.empty())
    throw shape_error("area_under_roc: there are " + std::to_string(positive.size()) + " positive and " +
                      std::to_string(negative.size()) + " negative scores; pass at least one of each");
  require_finite(call, positive);
  require_finite(call, negative);
  require_level(call, level);
  const std::size_t m = positive.size(), n = negative.size();
  std::vector<double> all(positive.begin(), positive.end());
  all.insert(all.end(), negative.begin(), negative.end());
  const auto rank = ranked(all);
  const auto wins = placements(positive, rank.ranks.data(), n);
  const auto losses = placements(negative, rank.ranks.data() + m, m);
  const double pairs = double(m) * double(n);
  double won = -double(m) * double(m + 1) / 2;
  for (std::size_t i = 0; i < m; ++i) won += rank.ranks[i];
  auc_test test;
  test.area = won / pairs;
  test.bounds = {0, 1};
  if (m > 1 && n > 1) {
    test.standard_error = std::sqrt(variance_of_mean(wins) + variance_of_mean(losses));
    const double reach = normal_quantile(level) * test.standard_error;
    test.bounds = {std::max(0.0, test.area - reach), std::min(1.0, test.area + reach)};
  }
  test.exact = rank.ties == 0 && m + n <= most_exact;
  const auto tail = [&](double u) {
    return test.exact ? tail_of_pairs_won(m, n, u) : normal_tail(double(m), double(n), rank.ties, u);
  };
  test.p_greater = tail(won);
  test.p = std::min(1.0, 2 * tail(std::max(won, pairs - won)));
  return test;
}

}  // namespace poolwise
