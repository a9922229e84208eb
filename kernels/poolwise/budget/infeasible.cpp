#include "poolwise/budget/infeasible.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

#include "poolwise/budget/detail/first_few.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

using kind = demand::kind;
using demands = std::vector<demand>;

/// How many rows of each group there are.
std::vector<index_t> available_of(const allowance& limit) {
  std::vector<index_t> count(std::size_t(limit.groups()), 0);
  for (index_t i = 0; i < limit.group.size; ++i)
    if (limit.barred.empty() || limit.barred[i] == 0) ++count[std::size_t(limit.group[i])];
  return count;
}

/// What the cheapest rows of each group cost of a budget, as many as its floor says.
std::vector<std::int64_t> least_costs(const allowance& limit, const budget_line& of) {
  std::vector<first_few<std::int64_t>> groups;
  for (const index_t floor : limit.floor) groups.emplace_back(floor);
  for (index_t i = 0; i < limit.group.size; ++i)
    if (limit.barred.empty() || limit.barred[i] == 0) groups[std::size_t(limit.group[i])].add(of.cost[i]);
  std::vector<std::int64_t> least;
  for (auto& group : groups)
    least.push_back(std::accumulate(group.all().begin(), group.all().end(), std::int64_t{0}));
  return least;
}

/// The fewest groups whose parts together exceed `most`: the largest parts. Then without any one they do not.
template <class Number>
std::optional<demands> fewest_beyond(std::vector<Number> parts, Number most) {
  std::vector<index_t> by_part(parts.size());
  std::iota(by_part.begin(), by_part.end(), index_t(0));
  std::stable_sort(by_part.begin(), by_part.end(),
                   [&](index_t a, index_t b) { return parts[std::size_t(a)] > parts[std::size_t(b)]; });
  demands found;
  for (const index_t g : by_part) {
    found.push_back({kind::floor, g});
    if (parts[std::size_t(g)] > most) return found;
    most -= parts[std::size_t(g)];
  }
  return std::nullopt;
}

bool some_rows_found(const allowance& limit, const demands& of) {
  allowance some = limit;
  const std::vector<budget_line> all = limit.budgets();
  std::vector<index_t> floor(std::size_t(limit.floor.size), 0);
  some.budget = allowance::any_cost;
  some.also.clear();
  for (const demand& d : of) {
    if (d.of == kind::floor) floor[std::size_t(d.which)] = limit.floor[d.which];
    if (d.of == kind::budget) some.also.push_back(all[std::size_t(d.which)]);
  }
  some.floor = {floor.data(), limit.floor.size};
  return reserve_for_floors(some).has_value();
}

/// Several budgets for which together no rows were found, and the floors that ask for them. Demands without
/// which none are found either go, one after the other.
demands beyond_all_budgets(const allowance& limit) {
  demands left;
  for (index_t b = 0; b < index_t(limit.budgets().size()); ++b) left.push_back({kind::budget, b});
  for (index_t g = 0; g < limit.floor.size; ++g)
    if (limit.floor[g] > 0) left.push_back({kind::floor, g});
  if (some_rows_found(limit, left)) return {};
  constexpr std::size_t few = 64;  // each costs a search
  for (std::size_t i = 0; i < left.size() && left.size() <= few;) {
    demands without = left;
    without.erase(without.begin() + index_t(i));
    if (some_rows_found(limit, without))
      ++i;
    else
      left = std::move(without);
  }
  return left;
}

/// "1", "1 and 2", "1, 2 and 3"
std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += std::string(i == 0 ? "" : i + 1 < parts.size() ? ", " : " and ") + parts[i];
  return text;
}

}  // namespace

std::vector<demand> why_infeasible(const allowance& limit) {
  if (limit.floor.empty()) return {};
  const std::vector<index_t> available = available_of(limit);
  for (index_t g = 0; g < limit.floor.size; ++g)
    if (limit.floor[g] > available[std::size_t(g)]) return {{kind::floor, g}};
  std::optional<demands> smallest;
  const auto consider = [&](std::optional<demands> found, demand against) {
    if (!found) return;
    found->push_back(against);
    if (!smallest || found->size() < smallest->size()) smallest = std::move(found);
  };
  for (index_t g = 0; g < limit.quota.size; ++g)
    if (limit.floor[g] > limit.quota[g]) consider(demands{{kind::floor, g}}, {kind::quota, g});
  const std::vector<index_t> floors(limit.floor.begin(), limit.floor.end());
  consider(fewest_beyond(floors, limit.picks), {kind::picks, 0});
  const std::vector<budget_line> budgets = limit.budgets();
  for (std::size_t b = 0; b < budgets.size(); ++b)
    consider(fewest_beyond(least_costs(limit, budgets[b]), budgets[b].limit), {kind::budget, index_t(b)});
  if (smallest) return *smallest;
  return budgets.size() > 1 ? beyond_all_budgets(limit) : demands{};
}

std::string describe(const allowance& limit, const std::vector<demand>& of, const demand_words& words) {
  const std::vector<budget_line> budgets = limit.budgets();
  std::vector<std::string> floors, others;
  index_t picks = 0;
  std::string cost;
  for (const demand& d : of) {
    const auto w = std::size_t(d.which);
    if (d.of == kind::floor) {
      floors.push_back(words.group(d.which));
      picks += limit.floor[d.which];
    } else if (d.of == kind::quota) {
      others.push_back(words.quota + " of " + words.group(d.which) + " (" +
                       std::to_string(limit.quota[d.which]) + ")");
    } else if (d.of == kind::picks) {
      others.push_back(words.picks + " (" + std::to_string(limit.picks) + ")");
    } else {
      const std::string name = budgets[w].name.empty() ? words.budget : words.budget + " of " + budgets[w].name;
      others.push_back(name + " (" + std::to_string(budgets[w].limit) + ")");
    }
    if (d.of == kind::budget && others.size() == 1) {
      const std::vector<std::int64_t> least = least_costs(limit, budgets[w]);
      std::int64_t sum = 0;
      for (const demand& other : of)
        if (other.of == kind::floor) sum += least[std::size_t(other.which)];
      cost = ", which cost " + std::to_string(sum) + " at least";
    }
  }
  if (others.size() > 1) cost.clear();  // none of them says it alone
  std::string text = words.floor + " of " + joined(floors) + " (" + std::to_string(picks) + " picks" +
                     (floors.size() > 1 ? " together" : "") + cost + ")";
  if (others.empty())
    return text + " is more than the " + std::to_string(available_of(limit)[std::size_t(of[0].which)]) +
           " rows that can be picked of it";
  return text + " and " + joined(others);
}

void refuse_infeasible(const char* call, const allowance& limit, const demand_words& words) {
  const std::vector<demand> why = why_infeasible(limit);
  if (why.empty()) return;
  const std::string text = describe(limit, why, words);
  throw budget_error(std::string(call) + ": " + text +
                     (why.size() == 1
                          ? "; ask for fewer"
                          : " contradict each other: no batch was found that meets them; change one of "
                            "them"));
}

}  // namespace poolwise
