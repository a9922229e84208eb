#include "poolwise/budget/audit.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "poolwise/budget/detail/first_few.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

constexpr stream audit_stream{40}, rounding_stream{41};

struct drawn_row {
  std::uint64_t number = 0;
  index_t row = -1;

  friend bool operator<(const drawn_row& a, const drawn_row& b) {
    return a.number < b.number || (a.number == b.number && a.row < b.row);
  }
};

void check_options(const allowance& limit, const audit_options& options) {
  const auto refuse = [](const std::string& what) { throw value_error("audit_draw: " + what); };
  if (limit.apart)
    throw usage_error(
        "audit_draw: rows that have to lie apart have no probabilities that are known; drop the distance");
  if (options.draws < 0)
    refuse("the number of draws is " + std::to_string(options.draws) + "; it must be 0 or more");
  if (!options.weight.empty() && index_t(options.weight.size()) != std::max<index_t>(1, limit.groups()))
    refuse("there are " + std::to_string(options.weight.size()) + " weights but " +
           std::to_string(limit.groups()) + " groups; give every group one");
  for (const double w : options.weight)
    if (!(w >= 0 && std::isfinite(w)))
      refuse("a weight is " + std::to_string(w) + "; it must be 0 or more, and finite");
  if (!(options.least >= 0 && options.least <= 1))
    refuse("the least share is " + std::to_string(options.least) + "; it must be from 0 to 1");
}

/// So few draws that the dearest rows fit into what the floors leave of each budget.
index_t draws_that_fit(const allowance& limit, index_t rows, index_t draws) {
  for (const budget_line& budget : limit.budgets()) {
    std::int64_t left = budget.limit;
    if (!limit.floor.empty())
      if (const auto reserve = reserve_for_floors(limit))
        for (const index_t row : reserve->rows) left -= budget.cost[row];
    first_few<std::int64_t> dearest(draws);  // by their negatives
    for (index_t i = 0; i < rows; ++i)
      if (limit.barred.empty() || limit.barred[i] == 0) dearest.add(-budget.cost[i]);
    std::sort(dearest.all().begin(), dearest.all().end());
    index_t fit = 0;
    for (const std::int64_t negative : dearest.all()) {
      left += negative;
      if (left < 0) break;
      ++fit;
    }
    draws = std::min(draws, fit);
  }
  return draws;
}

/// How many draws are expected of each group: as many as its rows times its weight, none with less than its
/// least nor more than its most, and all together `draws`.
std::vector<double> expected_draws(const std::vector<double>& wanted, const std::vector<double>& least,
                                   const std::vector<double>& most, double draws) {
  const auto at = [&](double times) {
    std::vector<double> each;
    for (std::size_t g = 0; g < wanted.size(); ++g)
      each.push_back(std::clamp(times * wanted[g], std::min(least[g], most[g]), most[g]));
    return each;
  };
  const auto sum = [](const std::vector<double>& each) {
    return std::accumulate(each.begin(), each.end(), 0.0);
  };
  double low = 0, high = 1;
  while (sum(at(high)) < draws && high < 0x1p60) high *= 2;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    (sum(at(middle)) < draws ? low : high) = middle;
  }
  return at(high);
}

}  // namespace

std::vector<index_t> rounded_at_random(std::span<const double> expected, double unit) {
  const double all = std::round(std::accumulate(expected.begin(), expected.end(), 0.0));
  std::vector<index_t> counts;
  double sum = 0;
  index_t before = 0;
  for (std::size_t g = 0; g < expected.size(); ++g) {
    sum = g + 1 == expected.size() ? all : std::min(all, sum + expected[g]);
    // One point in every unit of the line: those in the part of g are its count.
    const auto until = index_t(std::ceil(sum - unit));
    counts.push_back(std::max<index_t>(0, until - before));
    before = std::max(before, until);
  }
  return counts;
}

audit audit_draw(const allowance& limit, index_t rows, const audit_options& options) {
  check_options(limit, options);
  check_allowance("audit_draw", limit, rows);
  const bool grouped = !limit.group.empty();
  const auto group_of = [&](index_t i) { return grouped ? std::size_t(limit.group[i]) : 0; };
  audit result;
  result.strata.resize(grouped ? std::size_t(limit.groups()) : 1);
  for (index_t i = 0; i < rows; ++i)
    if (limit.barred.empty() || limit.barred[i] == 0) ++result.strata[group_of(i)].rows;

  index_t free = limit.picks, there = 0, room = 0;
  std::vector<double> wanted, least, most;
  for (const audit_stratum& s : result.strata) there += s.rows;
  for (std::size_t g = 0; g < result.strata.size(); ++g) {
    const index_t n = result.strata[g].rows, at = index_t(g);
    const index_t quota = grouped && !limit.quota.empty() ? std::min(n, limit.quota[at]) : n;
    if (grouped && !limit.floor.empty()) free -= limit.floor[at];
    room += quota;
    wanted.push_back(double(n) * (options.weight.empty() ? 1.0 : options.weight[g]));
    most.push_back(double(quota));
  }
  const index_t draws = draws_that_fit(limit, rows, std::min({options.draws, free, room}));
  if (draws == 0) return result;
  for (const audit_stratum& s : result.strata)
    least.push_back(options.least * double(draws) * double(s.rows) / double(there));
  const std::vector<double> expected = expected_draws(wanted, least, most, double(draws));
  const std::vector<index_t> counts =
      rounded_at_random(expected, random_unit(options.seed, rounding_stream, 0, options.round));

  std::vector<first_few<drawn_row>> lowest;
  for (std::size_t g = 0; g < counts.size(); ++g) {
    audit_stratum& s = result.strata[g];
    s.draws = std::min(counts[g], s.rows);
    if (s.rows > 0) s.probability = std::min(1.0, expected[g] / double(s.rows));
    lowest.emplace_back(s.draws);
  }
  for (index_t i = 0; i < rows; ++i)
    if (limit.barred.empty() || limit.barred[i] == 0)
      lowest[group_of(i)].add({random_bits(options.seed, audit_stream, std::uint64_t(i), options.round), i});
  std::vector<drawn_row> drawn;
  for (auto& group : lowest) drawn.insert(drawn.end(), group.all().begin(), group.all().end());
  std::sort(drawn.begin(), drawn.end());
  for (const drawn_row& d : drawn) result.picks.push_back({d.row, result.strata[group_of(d.row)].probability});
  return result;
}

}  // namespace poolwise
