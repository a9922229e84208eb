// Small instances of everything that limits a batch, at random, and all their batches one by one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/budget/infeasible.hpp"

namespace reference {

using poolwise::index_t;

class small_demands {
 public:
  /// Of three groups; with `budgets` budgets.
  small_demands(std::mt19937& random, int rows, int budgets) {
    const auto below = [&](int end) { return index_t(random() % unsigned(end)); };
    costs_.resize(std::size_t(budgets));
    for (int i = 0; i < rows; ++i) {
      group_.push_back(below(3));
      barred_.push_back(below(12) == 0);
      for (auto& cost : costs_) cost.push_back(below(6));
    }
    for (int b = 0; b < budgets; ++b) limits_.push_back(2 + below(16));
    for (int g = 0; g < 3; ++g) {
      floor_.push_back(std::max<index_t>(0, below(4) - 1));
      quota_.push_back(1 + below(4));
    }
    with_quota_ = below(3) != 0;
    picks_ = 2 + below(4);
  }

  std::size_t budgets() const { return costs_.size(); }
  index_t rows() const { return index_t(group_.size()); }
  index_t picks() const { return picks_; }

  /// Views this.
  poolwise::allowance limit() const {
    poolwise::allowance limit;
    limit.picks = picks_;
    limit.group = view(group_);
    limit.floor = view(floor_);
    if (with_quota_) limit.quota = view(quota_);
    limit.barred = view(barred_);
    if (budgets() > 0) limit.cost = view(costs_[0]), limit.budget = limits_[0];
    for (std::size_t b = 1; b < budgets(); ++b)
      limit.also.push_back({view(costs_[b]), limits_[b], "budget " + std::to_string(b)});
    return limit;
  }

  /// Whether the rows keep to all limits, be the floors met or not.
  bool within(unsigned rows_taken) const {
    const auto count = counts(rows_taken);
    if (count[3] > picks_) return false;
    for (std::size_t g = 0; g < 3; ++g)
      if (with_quota_ && count[g] > quota_[g]) return false;
    for (std::size_t b = 0; b < budgets(); ++b) {
      std::int64_t sum = 0;
      for (std::size_t i = 0; i < group_.size(); ++i)
        if (rows_taken >> i & 1) sum += costs_[b][i];
      if (sum > limits_[b]) return false;
    }
    for (std::size_t i = 0; i < group_.size(); ++i)
      if ((rows_taken >> i & 1) && barred_[i]) return false;
    return true;
  }
  bool meets(unsigned rows_taken) const {
    const auto count = counts(rows_taken);
    return within(rows_taken) && count[0] >= floor_[0] && count[1] >= floor_[1] && count[2] >= floor_[2];
  }
  /// Whether some batch that meets all demands holds these rows.
  bool leads_to_a_batch(unsigned rows_taken) const {
    for (unsigned batch = 0; batch < 1u << group_.size(); ++batch)
      if ((batch & rows_taken) == rows_taken && meets(batch)) return true;
    return false;
  }
  bool feasible() const { return leads_to_a_batch(0); }

  /// The same rows, of which nothing else is demanded.
  small_demands with_only(const std::vector<poolwise::demand>& demands) const {
    using kind = poolwise::demand::kind;
    small_demands some = *this;
    some.picks_ = rows();
    some.quota_ = {rows(), rows(), rows()};
    some.floor_ = {0, 0, 0};
    std::fill(some.limits_.begin(), some.limits_.end(), std::int64_t{1} << 40);
    for (const poolwise::demand& d : demands) {
      const auto w = std::size_t(d.which);
      if (d.of == kind::picks) some.picks_ = picks_;
      if (d.of == kind::quota) some.quota_[w] = quota_[w];
      if (d.of == kind::floor) some.floor_[w] = floor_[w];
      if (d.of == kind::budget) some.limits_[w] = limits_[w];
    }
    return some;
  }

  std::size_t fewest_that_contradict() const {
    using kind = poolwise::demand::kind;
    std::vector<poolwise::demand> all = {{kind::picks, 0}};
    for (index_t g = 0; g < 3; ++g) {
      all.push_back({kind::floor, g});
      if (with_quota_) all.push_back({kind::quota, g});
    }
    for (std::size_t b = 0; b < budgets(); ++b) all.push_back({kind::budget, index_t(b)});
    std::size_t fewest = all.size() + 1;
    for (unsigned some = 0; some < 1u << all.size(); ++some) {
      std::vector<poolwise::demand> chosen;
      for (std::size_t i = 0; i < all.size(); ++i)
        if (some >> i & 1) chosen.push_back(all[i]);
      if (chosen.size() < fewest && !with_only(chosen).feasible()) fewest = chosen.size();
    }
    return fewest;
  }

 private:
  template <class T>
  static poolwise::vector_view<const T> view(const std::vector<T>& v) {
    return {v.data(), index_t(v.size())};
  }

  /// Of each group, and of all.
  std::vector<index_t> counts(unsigned rows_taken) const {
    std::vector<index_t> count(4, 0);
    for (std::size_t i = 0; i < group_.size(); ++i)
      if (rows_taken >> i & 1) ++count[std::size_t(group_[i])], ++count[3];
    return count;
  }

  std::vector<index_t> group_, floor_, quota_;
  std::vector<std::uint8_t> barred_;
  std::vector<std::vector<std::int64_t>> costs_;
  std::vector<std::int64_t> limits_;
  bool with_quota_ = true;
  index_t picks_ = 0;
};

}  // namespace reference
