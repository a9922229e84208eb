#include "poolwise/budget/allowance.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"

namespace poolwise {
namespace {

void check_size(const std::string& call, const char* what, index_t got, index_t rows) {
  if (got != 0 && got != rows)
    throw shape_error(call + ": " + what + " has " + std::to_string(got) + " entries but there are " +
                      std::to_string(rows) + " rows; pass one for each row, or none");
}

void check_not_negative(const std::string& call, const char* what, std::int64_t value) {
  if (value < 0)
    throw value_error(call + ": " + what + " is " + std::to_string(value) + "; it must be 0 or more");
}

void check_costs(const std::string& call, vector_view<const std::int64_t> cost) {
  std::int64_t total = 0;
  for (index_t i = 0; i < cost.size; ++i) {
    if (cost[i] < 0) check_not_negative(call, ("the cost of row " + std::to_string(i)).c_str(), cost[i]);
    if (cost[i] > allowance::any_cost - total)
      throw value_error(call + ": the costs of all rows together leave 63 bits at row " + std::to_string(i) +
                        "; give them in a larger unit");
    total += cost[i];
  }
}

void check_spacing(const std::string& call, const spacing& apart, index_t rows) {
  const auto& [points, radius, others] = apart;
  if (points.rows != rows)
    throw shape_error(call + ": the points to be apart have " + std::to_string(points.rows) +
                      " rows but there are " + std::to_string(rows) + "; pass one for each row");
  if (others.rows > 0 && others.cols != points.cols)
    throw shape_error(call + ": the others to be apart from have " + std::to_string(others.cols) +
                      " columns but the points have " + std::to_string(points.cols) +
                      "; pass both from the same features");
  if (!(radius >= 0 && std::isfinite(radius)))
    throw value_error(call + ": rows are to be apart by more than " + std::to_string(radius) +
                      "; it must be a finite distance, 0 or more");
}

}  // namespace

void check_allowance(const char* call, const allowance& limit, index_t rows) {
  check_size(call, "cost", limit.cost.size, rows);
  check_size(call, "group", limit.group.size, rows);
  check_size(call, "barred", limit.barred.size, rows);
  check_not_negative(call, "the number of picks", limit.picks);
  check_not_negative(call, "the budget", limit.budget);
  check_costs(call, limit.cost);
  for (index_t g = 0; g < limit.quota.size; ++g)
    if (limit.quota[g] < 0)
      check_not_negative(call, ("the quota of group " + std::to_string(g)).c_str(), limit.quota[g]);
  for (index_t i = 0; i < limit.group.size; ++i)
    if (limit.group[i] < 0 || limit.group[i] >= limit.quota.size)
      throw value_error(std::string(call) + ": row " + std::to_string(i) + " is in group " +
                        std::to_string(limit.group[i]) + " but quotas are given for groups 0 to " +
                        std::to_string(limit.quota.size - 1) + "; give every group a quota");
  if (limit.apart) check_spacing(call, *limit.apart, rows);
  if (limit.per_cost && limit.cost.empty())
    throw usage_error(call + std::string(": gains per unit of cost need the cost of each row; pass costs"));
}

void refuse_apart(const char* call, const allowance& limit) {
  if (limit.apart)
    throw usage_error(
        std::string(call) +
        ": picks that are to lie apart are compared on the CPU; compute there, or drop the distance");
}

void refuse_per_cost(const char* call, const allowance& limit) {
  if (limit.per_cost)
    throw usage_error(std::string(call) + ": does not pick by gain per unit of cost; ask for gains alone");
}

std::vector<float> gain_factors(const allowance& limit) {
  std::vector<float> factors;
  if (!limit.per_cost) return factors;
  for (index_t i = 0; i < limit.cost.size; ++i) factors.push_back(1 / limit.units(i));
  return factors;
}

namespace {

/// The costs of the rows that `limit` allows by themselves, and of each group no more than its quota, those
/// that come first by `sooner`.
template <class Sooner>
std::vector<std::int64_t> costs_within_quotas(const allowance& limit, index_t rows, Sooner sooner) {
  const remaining left(limit);
  const auto counted = [&](index_t i) { return !left.ruled_out(i); };
  const auto group_of = [&](index_t i) { return limit.group.empty() ? 0 : std::size_t(limit.group[i]); };
  std::vector<index_t> end(std::size_t(std::max<index_t>(1, limit.quota.size)) + 1, 0);
  for (index_t i = 0; i < rows; ++i)
    if (counted(i)) ++end[group_of(i) + 1];
  std::partial_sum(end.begin(), end.end(), end.begin());
  std::vector<std::int64_t> costs(std::size_t(end.back()));
  std::vector<index_t> next(end.begin(), end.end() - 1);
  for (index_t i = 0; i < rows; ++i)
    if (counted(i)) costs[std::size_t(next[group_of(i)]++)] = limit.cost[i];
  auto kept = costs.begin();
  for (std::size_t g = 0; g + 1 < end.size(); ++g) {
    const auto first = costs.begin() + end[g], last = costs.begin() + end[g + 1];
    const auto within = limit.group.empty() ? last : first + std::min(limit.quota[index_t(g)], last - first);
    std::nth_element(first, within, last, sooner);
    kept = std::move(first, within, kept);
  }
  costs.erase(kept, costs.end());
  return costs;
}

}  // namespace

index_t most_picks(const allowance& limit, index_t rows) {
  if (!limit.priced()) return limit.picks;
  auto costs = costs_within_quotas(limit, rows, std::less<>());
  auto first = costs.begin(), last = costs.end();
  for (std::int64_t left = limit.budget; first != last;) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last);
    const std::int64_t half = std::accumulate(first, middle + 1, std::int64_t{0});
    if (half > left) {
      last = middle;
    } else {
      left -= half;
      first = middle + 1;
    }
  }
  return std::min<index_t>(limit.picks, first - costs.begin());
}

bool affords_all(const allowance& limit, index_t rows) {
  if (!limit.priced()) return true;
  allowance unpriced = limit;
  unpriced.budget = allowance::any_cost;
  auto costs = costs_within_quotas(unpriced, rows, std::greater<>());
  const auto end = costs.begin() + std::min<index_t>(limit.picks, index_t(costs.size()));
  std::nth_element(costs.begin(), end, costs.end(), std::greater<>());
  return std::accumulate(costs.begin(), end, std::int64_t{0}) <= limit.budget;
}

remaining::remaining(const allowance& limit)
    : limit_(&limit),
      picks_(limit.picks),
      budget_(limit.budget),
      quota_(limit.quota.begin(), limit.quota.end()),
      met_(limit.apart ? std::size_t(limit.apart->points.rows) : 0, 0) {}

void remaining::take(index_t row) {
  --picks_;
  if (!limit_->cost.empty()) budget_ -= limit_->cost[row];
  if (!limit_->group.empty()) --quota_[std::size_t(limit_->group[row])];
  if (!limit_->apart) return;
  const auto& points = limit_->apart->points;
  taken_.insert(taken_.end(), points.row(row), points.row(row) + points.cols);
}

bool remaining::is_apart(index_t row) const {
  const auto& [points, radius, others] = *limit_->apart;
  const matrix_view<const float> taken{taken_.data(), limit_->picks - picks_, points.cols};
  const double radius2 = double(radius) * double(radius);
  std::int32_t& met = met_[std::size_t(row)];
  for (const auto end = std::int32_t(others.rows + taken.rows); met < end;) {
    constexpr index_t some = 256;
    float d2[some];
    const bool picked = met >= others.rows;
    const auto& from = picked ? taken : others;
    const index_t first = picked ? met - others.rows : met;
    const auto next = rows_between(from, first, std::min(from.rows, first + some));
    canonical_squared_distances(next, points.row(row), d2);
    if (std::any_of(d2, d2 + next.rows, [&](float d) { return double(d) <= radius2; })) {
      met = too_near;
      return false;
    }
    met += std::int32_t(next.rows);
  }
  return true;
}

}  // namespace poolwise
