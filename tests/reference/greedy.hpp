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
  points apart = {}, others = {};  // where rows lie that are to be apart, or none; and from what
  double radius = 0;
  bool per_cost = false;  // whether gains count per unit of cost, a free row as if it cost one
};

/// Whether any row may be picked that costs and groups allow.
struct any_row {
  bool operator()(std::size_t) const { return true; }
};

/// Again and again the row of the highest gain(row), or of that per unit of cost, ties to the lower, that
/// `limits` and allowed(row) allow; taken(row) after each.
template <class Limits, class Gain, class Taken, class Allowed = any_row>
std::vector<pick> greedy(const Limits& limits, std::size_t rows, Gain gain, Taken taken, Allowed allowed = {}) {
  std::vector<pick> picked;
  std::int64_t left = limits.budget;
  std::vector<bool> gone(rows, false);
  for (std::size_t i = 0; i < limits.barred.size(); ++i) gone[i] = limits.barred[i] != 0;
  std::vector<std::size_t> quota = limits.quota;
  while (picked.size() < limits.picks) {
    pick best{-1, 0};
    double most = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      if (gone[i] || limits.cost[i] > left || !allowed(i)) continue;
      if (!limits.group.empty() && quota[limits.group[i]] == 0) continue;
      const double price = limits.per_cost ? double(std::max<std::int64_t>(1, limits.cost[i])) : 1.0;
      const double worth = gain(i);
      if (best.row >= 0 && !(worth / price > most)) continue;
      best = {std::int64_t(i), worth};
      most = worth / price;
    }
    if (best.row < 0) break;
    const auto row = std::size_t(best.row);
    picked.push_back(best);
    gone[row] = true;
    left -= limits.cost[row];
    if (!limits.group.empty()) --quota[limits.group[row]];
    taken(row);
  }
  return picked;
}

inline std::vector<pick> kcenter(const kcenter_problem& problem) {
  points centers = problem.labelled, near = problem.others;
  const auto gain = [&](std::size_t i) {
    const double weight = problem.weights[i];
    return weight == 0 ? 0 : weight * squared_distance_to_nearest(problem.pool[i], centers);
  };
  const auto taken = [&](std::size_t i) {
    centers.push_back(problem.pool[i]);
    if (!problem.apart.empty()) near.push_back(problem.apart[i]);
  };
  return greedy(problem, problem.pool.size(), gain, taken, [&](std::size_t i) {
    return problem.apart.empty() ||
           squared_distance_to_nearest(problem.apart[i], near) > problem.radius * problem.radius;
  });
}

/// Over a dense matrix of similarities.
struct graph_problem {
  std::vector<std::vector<double>> similarity;  // [rows, rows], symmetric
  std::vector<std::size_t> labelled;
  std::vector<double> weights;     // one a row
  std::vector<std::int64_t> cost;  // one a row
  std::int64_t budget = 0;
  std::size_t picks = 0;
  std::vector<std::size_t> group = {}, quota = {};  // one a row, one a group; or none
  std::vector<std::uint8_t> barred = {};            // one a row, or none
  bool per_cost = false;                            // as of kcenter_problem
};

inline double facility_location_of(const graph_problem& problem, const std::vector<std::size_t>& chosen) {
  double sum = 0;
  for (std::size_t i = 0; i < problem.similarity.size(); ++i) {
    double most = 0;
    for (const std::size_t j : chosen) most = std::max(most, problem.similarity[i][j]);
    sum += problem.weights[i] * most;
  }
  return sum;
}

inline double graph_cut_of(const graph_problem& problem, double lambda,
                           const std::vector<std::size_t>& chosen) {
  double sum = 0;
  for (const std::size_t j : chosen) {
    for (const auto& row : problem.similarity) sum += lambda * row[j];
    for (const std::size_t i : chosen) sum -= problem.similarity[i][j];
  }
  return sum;
}

/// Greedy for a function of the rows chosen, labelled ones among them; none of those is picked.
template <class Value>
std::vector<pick> greedy_for(graph_problem problem, Value value) {
  std::vector<std::size_t> chosen = problem.labelled;
  problem.barred.resize(problem.similarity.size());
  for (const std::size_t row : problem.labelled) problem.barred[row] = 1;
  double before = value(chosen);
  const auto gain = [&](std::size_t i) {
    chosen.push_back(i);
    const double with = value(chosen);
    chosen.pop_back();
    return with - before;
  };
  return greedy(problem, problem.similarity.size(), gain, [&](std::size_t i) {
    chosen.push_back(i);
    before = value(chosen);
  });
}

inline std::vector<pick> facility_location(const graph_problem& problem) {
  return greedy_for(problem, [&](const auto& chosen) { return facility_location_of(problem, chosen); });
}

inline std::vector<pick> graph_cut(const graph_problem& problem, double lambda) {
  return greedy_for(problem, [&](const auto& chosen) { return graph_cut_of(problem, lambda, chosen); });
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
