#include "poolwise/budget/allowance.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

#include "poolwise/budget/detail/first_few.hpp"
#include "poolwise/budget/infeasible.hpp"
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

void check_costs(const std::string& call, vector_view<const std::int64_t> cost, const std::string& in = "") {
  std::int64_t total = 0;
  for (index_t i = 0; i < cost.size; ++i) {
    if (cost[i] < 0)
      check_not_negative(call, ("the cost" + in + " of row " + std::to_string(i)).c_str(), cost[i]);
    if (cost[i] > allowance::any_cost - total)
      throw value_error(call + ": the costs" + in + " of all rows together leave 63 bits at row " +
                        std::to_string(i) + "; give them in a larger unit");
    total += cost[i];
  }
}

void check_each(const std::string& call, const char* what, vector_view<const index_t> of_groups) {
  for (index_t g = 0; g < of_groups.size; ++g)
    if (of_groups[g] < 0)
      check_not_negative(call, ("the " + std::string(what) + " of group " + std::to_string(g)).c_str(),
                         of_groups[g]);
}

void check_groups(const std::string& call, const allowance& limit) {
  check_each(call, "quota", limit.quota);
  check_each(call, "floor", limit.floor);
  if (!limit.quota.empty() && !limit.floor.empty() && limit.quota.size != limit.floor.size)
    throw shape_error(call + ": quotas are given for " + std::to_string(limit.quota.size) +
                      " groups but floors for " + std::to_string(limit.floor.size) +
                      "; give one of each for every group");
  for (index_t i = 0; i < limit.group.size; ++i)
    if (limit.group[i] < 0 || limit.group[i] >= limit.groups())
      throw value_error(call + ": row " + std::to_string(i) + " is in group " + std::to_string(limit.group[i]) +
                        " but quotas are given for groups 0 to " + std::to_string(limit.groups() - 1) +
                        "; give every group a quota");
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

void check_terms(const char* call, const allowance& limit, index_t rows) {
  check_size(call, "cost", limit.cost.size, rows);
  check_size(call, "group", limit.group.size, rows);
  check_size(call, "barred", limit.barred.size, rows);
  check_not_negative(call, "the number of picks", limit.picks);
  check_not_negative(call, "the budget", limit.budget);
  check_costs(call, limit.cost);
  for (const budget_line& one : limit.also) {
    const std::string in = " in " + one.name;
    if (one.cost.size != rows)
      throw shape_error(std::string(call) + ": the cost" + in + " has " + std::to_string(one.cost.size) +
                        " entries but there are " + std::to_string(rows) + " rows; pass one for each row");
    check_not_negative(call, ("the budget" + in).c_str(), one.limit);
    check_costs(call, one.cost, in);
  }
  check_groups(call, limit);
  if (limit.apart) check_spacing(call, *limit.apart, rows);
  if (limit.per_cost && limit.cost.empty() && limit.also.empty())
    throw usage_error(call + std::string(": gains per unit of cost need the cost of each row; pass costs"));
}

void check_allowance(const char* call, const allowance& limit, index_t rows) {
  check_terms(call, limit, rows);
  refuse_infeasible(call, limit);
}

void refuse_host_limits(const char* call, const allowance& limit) {
  if (!limit.needs_host()) return;
  throw usage_error(
      std::string(call) + ": " +
      (limit.apart ? "picks that are to lie apart" : "the floors of groups, and budgets beside the first,") +
      " are compared on the CPU; compute there, or drop the " +
      (limit.apart ? "distance" : "floors and further budgets"));
}

void refuse_per_cost(const char* call, const allowance& limit) {
  if (limit.per_cost)
    throw usage_error(std::string(call) + ": does not pick by gain per unit of cost; ask for gains alone");
}

float allowance::units(index_t row) const {
  if (also.empty()) return float(std::max<std::int64_t>(1, cost[row]));
  double shares = 0;
  const auto add = [&](std::int64_t units, std::int64_t of) {
    shares += double(std::max<std::int64_t>(1, units)) / double(std::max<std::int64_t>(1, of));
  };
  if (prices_by_cost()) add(cost[row], budget);
  for (const budget_line& one : also) add(one.cost[row], one.limit);
  return float(shares);
}

std::vector<budget_line> allowance::budgets() const {
  std::vector<budget_line> all;
  if (prices_by_cost()) all.push_back({cost, budget});
  all.insert(all.end(), also.begin(), also.end());
  return all;
}

std::vector<float> gain_factors(const allowance& limit) {
  std::vector<float> factors;
  if (!limit.per_cost) return factors;
  const index_t rows = limit.also.empty() ? limit.cost.size : limit.also.front().cost.size;
  for (index_t i = 0; i < rows; ++i) factors.push_back(1 / limit.units(i));
  return factors;
}

namespace {

/// What the rows cost that a batch is made of when those that come first by `sooner` are picked.
struct costs_in_order {
  std::vector<std::int64_t> owed;    // of each group as many as its floor says
  std::vector<std::int64_t> others;  // and then to its quota
};

/// Of the rows that `limit` allows by themselves.
template <class Sooner>
costs_in_order costs_within_quotas(const allowance& limit, vector_view<const std::int64_t> cost, index_t rows,
                                   Sooner sooner) {
  allowance without_floors = limit;
  without_floors.floor = {};
  const remaining left(without_floors);
  const auto counted = [&](index_t i) { return !left.ruled_out(i); };
  const auto group_of = [&](index_t i) { return limit.group.empty() ? 0 : std::size_t(limit.group[i]); };
  std::vector<index_t> end(std::size_t(std::max<index_t>(1, limit.groups())) + 1, 0);
  for (index_t i = 0; i < rows; ++i)
    if (counted(i)) ++end[group_of(i) + 1];
  std::partial_sum(end.begin(), end.end(), end.begin());
  std::vector<std::int64_t> costs(std::size_t(end.back()));
  std::vector<index_t> next(end.begin(), end.end() - 1);
  for (index_t i = 0; i < rows; ++i)
    if (counted(i)) costs[std::size_t(next[group_of(i)]++)] = cost[i];
  costs_in_order sorted;
  auto kept = costs.begin();
  for (std::size_t g = 0; g + 1 < end.size(); ++g) {
    auto first = costs.begin() + end[g], last = costs.begin() + end[g + 1];
    const auto count = last - first;
    const bool grouped = !limit.group.empty();
    const auto within =
        grouped && !limit.quota.empty() ? first + std::min(limit.quota[index_t(g)], count) : last;
    std::nth_element(first, within, last, sooner);
    if (grouped && !limit.floor.empty()) {
      const auto owed = first + std::min(limit.floor[index_t(g)], within - first);
      std::nth_element(first, owed, within, sooner);
      sorted.owed.insert(sorted.owed.end(), first, owed);
      first = owed;
    }
    kept = std::move(first, within, kept);
  }
  costs.erase(kept, costs.end());
  sorted.others = std::move(costs);
  return sorted;
}

std::int64_t sum_of(const std::vector<std::int64_t>& costs) {
  return std::accumulate(costs.begin(), costs.end(), std::int64_t{0});
}

/// How many of the costs, the lowest first, `left` pays for.
index_t most_within(std::vector<std::int64_t> costs, std::int64_t left) {
  auto first = costs.begin(), last = costs.end();
  while (first != last) {
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
  return first - costs.begin();
}

}  // namespace

index_t most_picks(const allowance& limit, index_t rows) {
  index_t most = limit.picks;
  for (const budget_line& one : limit.budgets()) {
    auto [owed, others] = costs_within_quotas(limit, one.cost, rows, std::less<>());
    const std::int64_t left = one.limit - sum_of(owed);
    most = std::min(most, index_t(owed.size()) + most_within(std::move(others), left));
  }
  return most;
}

bool affords_all(const allowance& limit, index_t rows) {
  allowance unpriced = limit;
  unpriced.budget = allowance::any_cost;
  unpriced.also.clear();
  for (const budget_line& one : limit.budgets()) {
    auto [owed, others] = costs_within_quotas(unpriced, one.cost, rows, std::greater<>());
    const auto room = std::max<index_t>(0, limit.picks - index_t(owed.size()));
    const auto end = others.begin() + std::min(room, index_t(others.size()));
    std::nth_element(others.begin(), end, others.end(), std::greater<>());
    if (std::accumulate(others.begin(), end, sum_of(owed)) > one.limit) return false;
  }
  return true;
}

// ---- Floors

namespace {

/// A row that may meet a floor, the cheaper the sooner.
template <class Cost>
struct offer {
  Cost cost{};
  index_t row = -1;

  friend bool operator<(const offer& a, const offer& b) {
    return a.cost < b.cost || (a.cost == b.cost && a.row < b.row);
  }
};

/// Of each group the cheapest rows by cost_of(row), as many as its floor says.
template <class Cost, class CostOf>
floor_reserve cheapest_for_floors(const allowance& limit, CostOf cost_of) {
  std::vector<first_few<offer<Cost>>> groups;
  for (const index_t floor : limit.floor) groups.emplace_back(floor);
  for (index_t i = 0; i < limit.group.size; ++i)
    if (limit.barred.empty() || limit.barred[i] == 0) groups[std::size_t(limit.group[i])].add({cost_of(i), i});
  floor_reserve found;
  for (auto& group : groups) {
    found.first.push_back(index_t(found.rows.size()));
    std::sort(group.all().begin(), group.all().end());
    for (const auto& one : group.all()) found.rows.push_back(one.row);
  }
  found.first.push_back(index_t(found.rows.size()));
  return found;
}

std::int64_t cost_of_rows(const budget_line& budget, const std::vector<index_t>& rows) {
  std::int64_t sum = 0;
  for (const index_t row : rows) sum += budget.cost[row];
  return sum;
}

}  // namespace

std::optional<floor_reserve> reserve_for_floors(const allowance& limit) {
  constexpr int patience = 64;
  const std::vector<budget_line> budgets = limit.budgets();
  if (budgets.size() < 2) {
    auto found = cheapest_for_floors<std::int64_t>(
        limit, [&](index_t i) { return budgets.empty() ? 0 : budgets[0].cost[i]; });
    if (!budgets.empty() && cost_of_rows(budgets[0], found.rows) > budgets[0].limit) return std::nullopt;
    return found;
  }
  // A budget that was exceeded weighs more the next time.
  std::vector<double> weights;
  for (const budget_line& b : budgets) weights.push_back(1 / std::max(.5, double(b.limit)));
  for (int i = 0; i < patience; ++i) {
    auto found = cheapest_for_floors<double>(limit, [&](index_t row) {
      double cost = 0;
      for (std::size_t b = 0; b < budgets.size(); ++b) cost += weights[b] * double(budgets[b].cost[row]);
      return cost;
    });
    bool within = true;
    double spent = 0, allowed = 0;
    for (std::size_t b = 0; b < budgets.size(); ++b) {
      const std::int64_t cost = cost_of_rows(budgets[b], found.rows);
      within &= cost <= budgets[b].limit;
      spent += weights[b] * double(cost);
      allowed += weights[b] * double(budgets[b].limit);
      weights[b] *= std::clamp(double(cost) / std::max(.5, double(budgets[b].limit)), .5, 2.0);
    }
    if (within) return found;
    if (spent > allowed * (1 + 1e-9)) break;  // no rows are cheaper by these weights
  }
  return std::nullopt;
}

/// A reserve whose rows are found by their number.
struct remaining::kept_rows : floor_reserve {
  explicit kept_rows(floor_reserve found, index_t of_rows)
      : floor_reserve(std::move(found)), has(std::size_t(of_rows)) {
    for (std::size_t p = 0; p < rows.size(); ++p) {
      has[std::size_t(rows[p])] = true;
      place.emplace(rows[p], index_t(p));
    }
  }

  std::vector<bool> has;
  std::unordered_map<index_t, index_t> place;
};

namespace {

/// None where nothing asks for it, or none was found.
std::optional<floor_reserve> reserve_asked_for(const allowance& limit) {
  if (limit.floor.empty() || !limit.priced()) return std::nullopt;
  if (auto found = reserve_for_floors(limit)) return found;
  return floor_reserve{{}, std::vector<index_t>(std::size_t(limit.floor.size) + 1)};
}

}  // namespace

remaining::remaining(const allowance& limit) : remaining(limit, reserve_asked_for(limit)) {}

remaining::remaining(const allowance& limit, std::optional<floor_reserve> reserve)
    : limit_(&limit),
      picks_(limit.picks),
      quota_(limit.quota.begin(), limit.quota.end()),
      owed_(limit.floor.begin(), limit.floor.end()),
      met_(limit.apart ? std::size_t(limit.apart->points.rows) : 0, 0) {
  for (const budget_line& one : limit.budgets()) {
    costs_.push_back(one.cost);
    left_.push_back(one.limit);
  }
  free_ = picks_ - std::accumulate(owed_.begin(), owed_.end(), index_t{0});
  if (!reserve) return;
  kept_ = std::make_shared<const kept_rows>(std::move(*reserve), limit.group.size);
  end_.assign(kept_->first.begin() + 1, kept_->first.end());
  gone_.resize(kept_->rows.size());
  spare_ = left_;
  for (std::size_t b = 0; b < costs_.size(); ++b)
    for (const index_t row : kept_->rows) spare_[b] -= costs_[b][row];
  credit_.assign(owed_.size() * costs_.size(), allowance::any_cost);
  for (std::size_t g = 0; g < owed_.size(); ++g) count_credit(g);
}

// Without a last row nothing can be given up. Where several budgets have a say the rows are in the order of
// none of them: a credit that never rises keeps true that a row once passed over stays so.
void remaining::count_credit(std::size_t group) {
  index_t& end = end_[group];
  while (end > kept_->first[group] && gone_[std::size_t(end - 1)]) --end;
  for (std::size_t b = 0; b < costs_.size(); ++b) {
    std::int64_t& credit = credit_[group * costs_.size() + b];
    credit = end == kept_->first[group] ? 0 : std::min(credit, costs_[b][kept_->rows[std::size_t(end - 1)]]);
  }
}

index_t remaining::kept_place(index_t row, std::size_t group) const {
  if (!kept_->has[std::size_t(row)]) return -1;
  const index_t place = kept_->place.find(row)->second;
  return place < end_[group] ? place : -1;
}

bool remaining::leaves_a_floor_unmet(index_t row, std::size_t group) const {
  if (owed_[group] == 0 && free_ <= 0) return true;
  if (!kept_) return false;
  if (owed_[group] > 0 && kept_place(row, group) >= 0) return false;
  for (std::size_t b = 0; b < costs_.size(); ++b)
    if (costs_[b][row] > spare_[b] + credit_[group * costs_.size() + b]) return true;
  return false;
}

void remaining::take_of_group(index_t row, std::size_t group) {
  if (!quota_.empty()) --quota_[group];
  if (owed_.empty()) return;
  const bool owed = owed_[group] > 0;
  --(owed ? owed_[group] : free_);
  if (!kept_) return;
  const index_t place = owed ? kept_place(row, group) : -1;
  if (place < 0)
    for (std::size_t b = 0; b < costs_.size(); ++b)
      spare_[b] -= std::max<std::int64_t>(0, costs_[b][row] - credit_[group * costs_.size() + b]);
  if (!owed) return;
  // The row takes the place of the last one that is kept, or its own.
  const index_t gone = place >= 0 ? place : end_[group] - 1;
  if (gone >= kept_->first[group]) gone_[std::size_t(gone)] = true;
  count_credit(group);
}

void remaining::take(index_t row) {
  --picks_;
  for (std::size_t b = 0; b < costs_.size(); ++b) left_[b] -= costs_[b][row];
  if (!limit_->group.empty()) take_of_group(row, std::size_t(limit_->group[row]));
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
