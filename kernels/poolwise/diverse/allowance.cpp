#include "poolwise/diverse/allowance.hpp"

#include <string>

#include "poolwise/core/error.hpp"

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
}

remaining::remaining(const allowance& limit)
    : limit_(limit),
      picks_(limit.picks),
      budget_(limit.budget),
      quota_(limit.quota.begin(), limit.quota.end()) {}

void remaining::take(index_t row) {
  --picks_;
  if (!limit_.cost.empty()) budget_ -= limit_.cost[row];
  if (!limit_.group.empty()) --quota_[std::size_t(limit_.group[row])];
}

}  // namespace poolwise
