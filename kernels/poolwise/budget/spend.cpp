#include "poolwise/budget/spend.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

/// Rows that may be bought, by what they are worth.
class market {
 public:
  market(cpu on, vector_view<const float> scores, const allowance& limit)
      : on_(on), scores_(scores), limit_(limit), at_first_(limit) {
    for (const float score : scores)
      if (score < least_) least_ = std::max(score, std::numeric_limits<float>::lowest());
  }

  const allowance& limit() const { return limit_; }
  bool sells(index_t row) const { return scores_[row] == scores_[row] && !at_first_.ruled_out(row); }

  /// At least 0, and finite.
  double worth(index_t row) const {
    return double(std::min(scores_[row], std::numeric_limits<float>::max())) - double(least_);
  }
  std::int64_t cost(index_t row) const { return limit_.cost[row]; }
  std::size_t group(index_t row) const { return limit_.group.empty() ? 0 : std::size_t(limit_.group[row]); }
  std::size_t groups() const { return limit_.group.empty() ? 1 : std::size_t(limit_.quota.size); }
  index_t quota(std::size_t group) const {
    return limit_.group.empty() ? limit_.picks : std::min(limit_.picks, limit_.quota[index_t(group)]);
  }
  candidate named(index_t row) const { return {row, scores_[row]}; }

  /// Calls body(row) for every row that is sold, in order.
  template <class Body>
  void for_each(Body body) const {
    constexpr index_t block = index_t{1} << 16;
    for (index_t begin = 0; begin < scores_.size; begin += block) {
      for (index_t i = begin; i < std::min(scores_.size, begin + block); ++i)
        if (sells(i)) body(i);
      settle_pages(on_);
    }
  }

 private:
  cpu on_;
  vector_view<const float> scores_;
  const allowance& limit_;
  remaining at_first_;
  float least_ = 0;
};

/// A row and what it is worth beyond its price; by that, ties to the lower row.
struct valued {
  double value;
  index_t row;

  friend bool operator<(const valued& a, const valued& b) {
    return a.value > b.value || (a.value == b.value && a.row < b.row);
  }
};

/// The first `most` of those that were added, in constant time for each.
class first_few {
 public:
  explicit first_few(index_t most) : most_(std::size_t(most)) {}

  void add(const valued& one) {
    if (most_ == 0 || (full_ && !(one < last_))) return;
    kept_.push_back(one);
    if (kept_.size() >= 2 * most_ + 64) cut();
  }
  std::vector<valued>& rows() {
    if (kept_.size() > most_) cut();
    return kept_;
  }

 private:
  void cut() {
    const auto end = kept_.begin() + std::ptrdiff_t(most_);
    std::nth_element(kept_.begin(), end - 1, kept_.end());
    kept_.erase(end, kept_.end());
    last_ = kept_.back();
    full_ = true;
  }

  std::size_t most_;
  std::vector<valued> kept_;
  valued last_{};  // once full_, nothing that comes after it is kept
  bool full_ = false;
};

std::vector<index_t> rows_of(const std::vector<valued>& some) {
  std::vector<index_t> rows;
  for (const valued& one : some) rows.push_back(one.row);
  return rows;
}

/// Rows, and what they are worth and cost together.
struct basket {
  std::vector<index_t> rows;
  double worth = 0;
  double cost = 0;
};

/// The rows of highest value at a price, of each group no more than `slots(group)`, `most` in all, in any
/// order.
template <class Slots>
std::vector<valued> best_at(const market& from, double price, index_t most, bool above_zero, Slots slots) {
  std::vector<first_few> groups;
  for (std::size_t g = 0; g < from.groups(); ++g) groups.emplace_back(slots(g));
  from.for_each([&](index_t row) {
    const double value = from.worth(row) - price * double(from.cost(row));
    if (value > 0 || !above_zero) groups[from.group(row)].add({value, row});
  });
  first_few all(most);
  for (first_few& group : groups)
    for (const valued& one : group.rows()) all.add(one);
  return std::move(all.rows());
}

/// The batch of highest value at a price, whatever the budget.
basket unbounded(const market& from, double price) {
  basket whole;
  for (const valued& one : best_at(from, price, from.limit().picks, price > 0,
                                   [&](std::size_t group) { return from.quota(group); })) {
    whole.rows.push_back(one.row);
    whole.worth += from.worth(one.row);
    whole.cost += double(from.cost(one.row));
  }
  return whole;
}

/// The price of a unit of cost.
struct market_price {
  double price = 0;
  basket within;       // the rows that are the best at this price, or a lower one, and can be paid
  double at_most = 0;  // what no batch's worth exceeds
};

// A function of the price that is the largest of straight lines, one a batch, is least where the lines of a
// batch too dear and of one within the budget meet, and no third lies above.
market_price price_of(const market& from) {
  constexpr int patience = 100;  // no pool that was seen needs as many prices
  const auto budget = double(from.limit().budget);
  basket too_dear = unbounded(from, 0);
  market_price found;
  found.at_most = too_dear.worth;
  // Rows that have to lie apart can be dearer than those that need not.
  if (too_dear.cost <= budget) return {0, std::move(too_dear), found.at_most};
  for (int i = 0; i < patience; ++i) {
    const basket& within = found.within;
    const double price = (too_dear.worth - within.worth) / (too_dear.cost - within.cost);
    const double meet = within.worth + price * (budget - within.cost);
    if (!(price > 0)) break;
    found.price = price;
    basket now = unbounded(from, price);
    const double bound = now.worth + price * (budget - now.cost);
    found.at_most = std::min(found.at_most, bound);
    const bool above = bound > meet * (1 + 1e-12);
    if (now.cost <= budget) {
      if (above || now.worth > within.worth) found.within = std::move(now);
    } else {
      too_dear = std::move(now);
    }
    if (!above) break;
  }
  return found;
}

/// A batch that is being bought.
class purchase_order {
 public:
  purchase_order(const market& from, index_t rows)
      : from_(&from), left_(from.limit()), has_(std::size_t(rows)) {}

  double worth() const { return worth_; }
  const std::vector<index_t>& rows() const { return rows_; }
  bool has(index_t row) const { return has_[std::size_t(row)]; }

  /// Takes those of the rows that it can, in their order.
  purchase_order& take(const std::vector<index_t>& some) {
    for (const index_t row : some) {
      if (left_.picks() == 0) break;
      if (has(row) || !left_.eligible(row)) continue;
      left_.take(row);
      rows_.push_back(row);
      has_[std::size_t(row)] = true;
      worth_ += from_->worth(row);
    }
    return *this;
  }

  /// Takes the rows of highest worth as long as there are any that it can.
  purchase_order& fill() {
    while (left_.picks() > 0) {
      first_few next(left_.picks());
      from_->for_each([&](index_t row) {
        // Where a row lies is looked at when it comes first; then it is taken, or known to be too near.
        if (!has(row) && !left_.ruled_out(row)) next.add({from_->worth(row), row});
      });
      if (next.rows().empty()) break;
      std::sort(next.rows().begin(), next.rows().end());
      take(rows_of(next.rows()));
    }
    return *this;
  }

 private:
  const market* from_;
  remaining left_;
  std::vector<index_t> rows_;
  std::vector<bool> has_;
  double worth_ = 0;
};

/// Looks for a batch worth more than one that is known, among some rows in the order of their value at a price:
/// depth first, without the branches that the price bounds, and for a while only.
class better_batch {
 public:
  better_batch(const market& from, double price, const std::vector<valued>& rows, double known)
      : from_(from), price_(price), rows_(rows), known_(known) {
    sums_.push_back(0);
    for (const valued& one : rows) sums_.push_back(sums_.back() + std::max(0.0, one.value));
  }

  /// Empty if there is none, or none was found.
  std::vector<index_t> find() {
    look(0, remaining(from_.limit()), 0);
    return best_;
  }

 private:
  void look(std::size_t next, const remaining& left, double worth) {
    if (worth > known_ * (1 + 1e-12)) {
      known_ = worth;
      best_ = chosen_;
    }
    if (next == rows_.size() || left.picks() == 0 || patience_ == 0) return;
    --patience_;
    const std::size_t last = std::min(rows_.size(), next + std::size_t(left.picks()));
    if (worth + price_ * double(left.budget()) + sums_[last] - sums_[next] <= known_ * (1 + 1e-12)) return;
    const index_t row = rows_[next].row;
    if (left.eligible(row)) {
      remaining less = left;
      less.take(row);
      chosen_.push_back(row);
      look(next + 1, less, worth + from_.worth(row));
      chosen_.pop_back();
    }
    look(next + 1, left, worth);
  }

  const market& from_;
  double price_;
  const std::vector<valued>& rows_;
  double known_;
  std::vector<double> sums_;  // of the first rows' values above zero
  std::vector<index_t> chosen_, best_;
  int patience_ = 20'000;
};

purchase bought_at(const market& from, index_t rows, market_price at) {
  const index_t picks = from.limit().picks;
  const auto wide = [](index_t some) { return 2 * some + 256; };
  // The rows that a batch may differ by lie about the price.
  std::vector<valued> valuable =
      best_at(from, at.price, wide(picks), false, [&](std::size_t group) { return wide(from.quota(group)); });
  std::sort(valuable.begin(), valuable.end());
  const std::vector<index_t> by_value = rows_of(valuable);
  const auto best = std::max_element(by_value.begin(), by_value.end(), [&](index_t a, index_t b) {
    return before(from.named(b), from.named(a));
  });

  const auto begin = [&] { return purchase_order(from, rows); };
  purchase_order most = begin().take(at.within.rows).take(by_value).fill();
  const auto consider = [&](const purchase_order& other) {
    if (other.worth() > most.worth()) most = other;
  };
  consider(begin().take(by_value).fill());
  consider(begin().fill());
  if (best != by_value.end()) consider(begin().take({*best}).take(by_value).fill());
  // A branch has its own quotas; a distance to keep is no number that a price could bound.
  if (valuable.size() <= 2048 && from.groups() <= 256 && !from.limit().apart)
    consider(begin().take(better_batch(from, at.price, valuable, most.worth()).find()).fill());

  purchase result{{}, true, most.worth(), std::max(most.worth(), at.at_most)};
  for (const index_t row : most.rows()) result.batch.push_back(from.named(row));
  std::sort(result.batch.begin(), result.batch.end(), before);
  return result;
}

}  // namespace

std::vector<candidate> take_in_order(const where& on, vector_view<const float> scores, const allowance& limit) {
  check_allowance("take_in_order", limit, scores.size);
  const cpu host = host_of(on);
  // Rows passed over cost a longer walk, so the walk starts short and doubles.
  const index_t picks = std::min(limit.picks, scores.size);
  for (index_t walked = std::min(scores.size, 2 * picks + 64);; walked = std::min(scores.size, 2 * walked)) {
    remaining left(limit);
    std::vector<candidate> taken;
    top_k_state ranked(walked);
    ranked.add(on, scores);
    for (const candidate& c : ranked.best()) {
      if (left.picks() == 0) break;
      settle_far_pages(host);
      if (!left.eligible(c.row)) continue;
      left.take(c.row);
      taken.push_back(c);
    }
    if (left.picks() == 0 || walked == scores.size) return taken;
  }
}

purchase best_affordable(const where& on, vector_view<const float> scores, const allowance& limit) {
  check_allowance("best_affordable", limit, scores.size);
  allowance of_rows = limit;
  of_rows.picks = std::min(limit.picks, scores.size);
  allowance unpriced = of_rows;
  unpriced.budget = allowance::any_cost;
  purchase whole{take_in_order(on, scores, unpriced)};
  if (!limit.priced()) return whole;
  std::int64_t cost = 0;
  for (const candidate& c : whole.batch) cost += limit.cost[c.row];
  if (cost <= limit.budget) return whole;
  const market from(host_of(on), scores, of_rows);
  return bought_at(from, scores.size, price_of(from));
}

}  // namespace poolwise
