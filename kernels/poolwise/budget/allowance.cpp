#include "poolwise/budget/allowance.hpp"

#include <algorithm>
#include <cmath>
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
  for (index_t i = 0; i < limit.cost.size; ++i)
    if (limit.cost[i] < 0)
      check_not_negative(call, ("the cost of row " + std::to_string(i)).c_str(), limit.cost[i]);
  for (index_t g = 0; g < limit.quota.size; ++g)
    if (limit.quota[g] < 0)
      check_not_negative(call, ("the quota of group " + std::to_string(g)).c_str(), limit.quota[g]);
  for (index_t i = 0; i < limit.group.size; ++i)
    if (limit.group[i] < 0 || limit.group[i] >= limit.quota.size)
      throw value_error(std::string(call) + ": row " + std::to_string(i) + " is in group " +
                        std::to_string(limit.group[i]) + " but quotas are given for groups 0 to " +
                        std::to_string(limit.quota.size - 1) + "; give every group a quota");
  if (limit.apart) check_spacing(call, *limit.apart, rows);
}

void refuse_apart(const char* call, const allowance& limit) {
  if (limit.apart)
    throw usage_error(
        std::string(call) +
        ": picks that are to lie apart are compared on the CPU; compute there, or drop the distance");
}

remaining::remaining(const allowance& limit)
    : limit_(limit),
      picks_(limit.picks),
      budget_(limit.budget),
      quota_(limit.quota.begin(), limit.quota.end()),
      met_(limit.apart ? std::size_t(limit.apart->points.rows) : 0, 0) {}

void remaining::take(index_t row) {
  --picks_;
  if (!limit_.cost.empty()) budget_ -= limit_.cost[row];
  if (!limit_.group.empty()) --quota_[std::size_t(limit_.group[row])];
  if (!limit_.apart) return;
  const auto& points = limit_.apart->points;
  taken_.insert(taken_.end(), points.row(row), points.row(row) + points.cols);
}

bool remaining::is_apart(index_t row) const {
  const auto& [points, radius, others] = *limit_.apart;
  const matrix_view<const float> taken{taken_.data(), limit_.picks - picks_, points.cols};
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
