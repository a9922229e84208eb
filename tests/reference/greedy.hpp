// Greedy diverse selection in double, recomputed from nothing at every step.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace reference {

using points = std::vector<std::vector<double>>;

inline double squared_distance(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0;
  for (std::size_t c = 0; c < x.size(); ++c) sum += (x[c] - y[c]) * (x[c] - y[c]);
  return sum;
}

/// To the nearest of `centers`; infinite if there is none.
inline double squared_distance_to_nearest(const std::vector<double>& x, const points& centers) {
  double nearest = std::numeric_limits<double>::infinity();
  for (const auto& center : centers) nearest = std::min(nearest, squared_distance(x, center));
  return nearest;
}

struct pick {
  std::int64_t row;
  double gain;
};

struct kcenter_problem {
  points pool, labelled;
  std::vector<double> weights;     // one a row
  std::vector<std::int64_t> cost;  // one a row
  std::int64_t budget = 0;
  std::size_t picks = 0;
  std::vector<std::size_t> group = {}, quota = {};  // one a row, one a group; or none
  std::vector<std::uint8_t> barred = {};            // one a row, or none
};

inline std::vector<pick> kcenter(const kcenter_problem& problem) {
  std::vector<pick> picked;
  points centers = problem.labelled;
  std::int64_t left = problem.budget;
  std::vector<bool> gone(problem.pool.size(), false);
  for (std::size_t i = 0; i < problem.barred.size(); ++i) gone[i] = problem.barred[i] != 0;
  std::vector<std::size_t> quota = problem.quota;
  while (picked.size() < problem.picks) {
    pick best{-1, 0};
    for (std::size_t i = 0; i < problem.pool.size(); ++i) {
      if (gone[i] || problem.cost[i] > left) continue;
      if (!problem.group.empty() && quota[problem.group[i]] == 0) continue;
      const double weight = problem.weights[i];
      const double gain = weight == 0 ? 0 : weight * squared_distance_to_nearest(problem.pool[i], centers);
      if (best.row < 0 || gain > best.gain) best = {std::int64_t(i), gain};
    }
    if (best.row < 0) break;
    picked.push_back(best);
    gone[std::size_t(best.row)] = true;
    left -= problem.cost[std::size_t(best.row)];
    if (!problem.group.empty()) --quota[problem.group[std::size_t(best.row)]];
    centers.push_back(problem.pool[std::size_t(best.row)]);
  }
  return picked;
}

/// The probability of each row to be the next of k-means++ after `picked`; rows not eligible have none.
inline std::vector<double> kmeans_pp_probabilities(const points& pool, const std::vector<bool>& eligible,
                                                   const std::vector<std::size_t>& picked) {
  points centers;
  for (const std::size_t row : picked) centers.push_back(pool[row]);
  std::vector<double> probability(pool.size(), 0.0);
  double total = 0;
  for (std::size_t i = 0; i < pool.size(); ++i) {
    if (!eligible[i]) continue;
    probability[i] = squared_distance_to_nearest(pool[i], centers);
    total += probability[i];
  }
  for (double& p : probability) p /= total;
  return probability;
}

}  // namespace reference
