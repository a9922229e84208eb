// Why no batch meets the floors: the demands that contradict each other.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "poolwise/budget/allowance.hpp"

namespace poolwise {

/// One demand of an allowance. `which` is the group of a floor or quota, or the number of a budget among
/// allowance::budgets().
struct demand {
  enum class kind { picks, budget, quota, floor };
  kind of = kind::picks;
  index_t which = 0;

  friend bool operator==(const demand&, const demand&) = default;
};

/// A smallest set of demands that no batch of the rows that are not barred meets: without any one of them there
/// is a batch. Empty: there is one that meets all. Which rows there are is no demand: a floor beyond them
/// stands alone. Distances are not looked at. O(rows), in any number of groups.
///
/// Whether rows exist that several budgets pay together is not settled in all cases: then the set is one for
/// which none were found, and without any one of which they were.
/// Library-only: the engine refuses by refuse_infeasible.
std::vector<demand> why_infeasible(const allowance& limit);

/// What messages call the demands.
struct demand_words {
  std::string floor = "the floor", quota = "the quota", picks = "the number of picks", budget = "the budget";
  std::function<std::string(index_t)> group = [](index_t g) { return "group " + std::to_string(g); };
};

/// "the floor of group 1 and group 2 (60 picks together) and the number of picks (50)"
/// Library-only: the engine refuses by refuse_infeasible.
std::string describe(const allowance& limit, const std::vector<demand>& demands,
                     const demand_words& words = {});

/// throws budget_error, in the name of `call`, which names the demands of why_infeasible.
void refuse_infeasible(const char* call, const allowance& limit, const demand_words& words = {});

}  // namespace poolwise
