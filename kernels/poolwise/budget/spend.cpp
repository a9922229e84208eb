#include "poolwise/budget/spend.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "poolwise/budget/detail/first_few.hpp"
#include "poolwise/budget/infeasible.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

/// A row and what it is worth beyond its price; by that, ties to the lower row.
struct valued {
  double value = 0;
  index_t row = -1;

  friend bool operator<(const valued& a, const valued& b) {
    return a.value > b.value || (a.value == b.value && a.row < b.row);
  }
};

std::vector<index_t> rows_of(const std::vector<valued>& some) {
  std::vector<index_t> rows;
  for (const valued& one : some) rows.push_back(one.row);
  return rows;
}

/// Groups of rows, each with a few that come first.
using first_of_groups = std::vector<first_few<valued>>;

/// Rows that may be bought, by what they are worth.
class market {
 public:
  market(cpu on, vector_view<const float> scores, const allowance& limit)
      : on_(on),
        scores_(scores),
        limit_(limit),
        budgets_(limit.budgets()),
        at_first_(all_of(limit)),
        sold_(std::size_t(scores.size)) {
    for (const float score : scores)
      if (score < least_) least_ = std::max(score, std::numeric_limits<float>::lowest());
    parallel_blocks(on, scores.size, block, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        sold_[std::size_t(i)] = scores[i] == scores[i] && !at_first_.ruled_out(i);
    });
  }

  cpu on() const { return on_; }
  const allowance& limit() const { return limit_; }
  const std::vector<budget_line>& budgets() const { return budgets_; }
  /// All of the allowance. Where several budgets have a say, what meets the floors is not foreseen: a batch
  /// that is allowed may not hold the rows that would be kept for them.
  const remaining& at_first() const { return at_first_; }
  float score(index_t row) const { return scores_[row]; }
  /// At least 0, and finite.
  double worth(index_t row) const {
    return double(std::min(scores_[row], std::numeric_limits<float>::max())) - double(least_);
  }
  /// The worth of rows begin, ..., end - 1, less what they cost of all budgets, each at its price.
  void values(const std::vector<double>& prices, index_t begin, index_t end, double* out) const {
    const index_t count = end - begin;
    double price[rows_at_once] = {};
    for (std::size_t b = 0; b < prices.size(); ++b) {
      const std::int64_t* const cost = budgets_[b].cost.data + begin;
      for (index_t i = 0; i < count; ++i) price[i] += prices[b] * double(cost[i]);
    }
    for (index_t i = 0; i < count; ++i) out[i] = worth(begin + i) - price[i];
  }
  bool is_sold(index_t row) const { return sold_[std::size_t(row)] != 0; }
  std::size_t group(index_t row) const { return limit_.group.empty() ? 0 : std::size_t(limit_.group[row]); }
  std::size_t groups() const { return limit_.group.empty() ? 1 : std::size_t(limit_.groups()); }
  index_t quota(std::size_t group) const {
    const bool any = limit_.group.empty() || limit_.quota.empty();
    return any ? limit_.picks : std::min(limit_.picks, limit_.quota[index_t(group)]);
  }
  index_t floor(std::size_t group) const { return limit_.floor.empty() ? 0 : limit_.floor[index_t(group)]; }
  candidate named(index_t row) const { return {row, scores_[row]}; }

  static constexpr index_t rows_at_once = 1024;

  /// Shows all rows to body(T, begin, end), some at once, on the threads of `on`, each with a T of its own;
  /// returns these.
  template <class T, class Body>
  std::vector<T> shown(const T& first, Body body) const {
    struct one {
      std::optional<T> own;
    };
    per_thread<one> states(on_, scores_.size, block);
    parallel_blocks(on_, scores_.size, block, [&](index_t, index_t begin, index_t end) {
      std::optional<T>& mine = states.mine().own;
      if (!mine) mine = first;
      for (index_t i = begin; i < end; i += rows_at_once) body(*mine, i, std::min(end, i + rows_at_once));
    });
    std::vector<T> all;
    for (auto state : states.all())
      if (state.own) all.push_back(std::move(*state.own));
    return all;
  }

 private:
  static constexpr index_t block = index_t{1} << 16;

  static remaining all_of(const allowance& limit) {
    return limit.budgets().size() > 1 ? remaining(limit, std::nullopt) : remaining(limit);
  }

  cpu on_;
  vector_view<const float> scores_;
  const allowance& limit_;
  std::vector<budget_line> budgets_;
  remaining at_first_;
  std::vector<std::uint8_t> sold_;  // [rows] whether a row is a candidate that is allowed by itself
  float least_ = 0;
};

/// The rows of highest value, of each group no more than `slots(group)`. values(begin, end, out) says what rows
/// are worth, `passes(group, value)` which are looked at.
template <class Values, class Passes, class Slots>
first_of_groups first_by(const market& from, Values values, Passes passes, Slots slots) {
  struct first_ones {
    first_of_groups groups;
    std::vector<double> least;  // of each group: what is worth less comes too late
  };
  constexpr double any_value = -std::numeric_limits<double>::infinity();
  first_ones none;
  for (std::size_t g = 0; g < from.groups(); ++g) {
    none.groups.emplace_back(slots(g));
    none.least.push_back(slots(g) > 0 ? any_value : -any_value);
  }
  auto parts = from.shown(none, [&](first_ones& mine, index_t begin, index_t end) {
    double value[market::rows_at_once];
    values(begin, end, value);
    for (index_t row = begin; row < end; ++row) {
      const double v = value[row - begin];
      const std::size_t g = from.group(row);
      if (!(v >= mine.least[g]) || !from.is_sold(row) || !passes(g, v)) continue;
      mine.groups[g].add({v, row});
      if (const valued* const last = mine.groups[g].last()) mine.least[g] = last->value;
    }
  });
  for (std::size_t p = 1; p < parts.size(); ++p)
    for (std::size_t g = 0; g < none.groups.size(); ++g)
      for (const valued& one : parts[p].groups[g].all()) parts[0].groups[g].add(one);
  return parts.empty() ? none.groups : std::move(parts[0].groups);
}

/// The batch of highest total value that picks, quotas and floors allow, whatever the budgets: of each group as
/// many as its floor says, then what is best of the others. The rows come in no order.
template <class Values>
std::vector<valued> best_batch(const market& from, bool above_zero, Values values) {
  auto groups = first_by(
      from, values, [&](std::size_t group, double v) { return v > 0 || !above_zero || from.floor(group) > 0; },
      [&](std::size_t group) { return from.quota(group); });
  std::vector<valued> batch;
  index_t owed = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) owed += from.floor(g);
  first_few<valued> others(std::max<index_t>(0, from.limit().picks - owed));
  for (std::size_t g = 0; g < groups.size(); ++g) {
    auto& rows = groups[g].all();
    const auto floor = rows.begin() + std::min<index_t>(from.floor(g), index_t(rows.size()));
    if (floor != rows.begin()) std::nth_element(rows.begin(), floor, rows.end());
    batch.insert(batch.end(), rows.begin(), floor);
    for (auto one = floor; one != rows.end(); ++one)
      if (one->value > 0 || !above_zero) others.add(*one);
  }
  batch.insert(batch.end(), others.all().begin(), others.all().end());
  return batch;
}

/// Rows, and what they are worth and cost together.
struct basket {
  std::vector<index_t> rows;
  double worth = 0;
  std::vector<double> cost;  // of each budget
};

basket filled(const market& from, std::vector<index_t> rows) {
  basket whole{std::move(rows), 0, std::vector<double>(from.budgets().size())};
  std::sort(whole.rows.begin(), whole.rows.end());  // sums do not depend on who found the rows
  for (const index_t row : whole.rows) {
    whole.worth += from.worth(row);
    for (std::size_t b = 0; b < whole.cost.size(); ++b) whole.cost[b] += double(from.budgets()[b].cost[row]);
  }
  return whole;
}

/// The batch of highest value at prices, whatever the budgets.
basket unbounded(const market& from, const std::vector<double>& prices) {
  const bool priced = std::any_of(prices.begin(), prices.end(), [](double p) { return p > 0; });
  const auto values = [&](index_t begin, index_t end, double* out) { from.values(prices, begin, end, out); };
  return filled(from, rows_of(best_batch(from, priced, values)));
}

bool can_be_paid(const market& from, const basket& some) {
  for (std::size_t b = 0; b < some.cost.size(); ++b)
    if (some.cost[b] > double(from.budgets()[b].limit)) return false;
  return true;
}

/// x of A x = b by elimination; A is square, row by row, and not singular.
std::vector<double> solved(std::vector<std::vector<double>> a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t c = 0; c < n; ++c) {
    std::size_t pivot = c;
    for (std::size_t r = c + 1; r < n; ++r)
      if (std::abs(a[r][c]) > std::abs(a[pivot][c])) pivot = r;
    std::swap(a[c], a[pivot]);
    std::swap(b[c], b[pivot]);
    for (std::size_t r = c + 1; r < n; ++r) {
      const double factor = a[r][c] / a[c][c];
      for (std::size_t k = c; k < n; ++k) a[r][k] -= factor * a[c][k];
      b[r] -= factor * b[c];
    }
  }
  for (std::size_t r = n; r-- > 0;) {
    for (std::size_t k = r + 1; k < n; ++k) b[r] -= a[r][k] * b[k];
    b[r] /= a[r][r];
  }
  return b;
}

/// A mixture of batches that keeps to all budgets, and of money that is left: the basis of a linear programme
/// whose columns are all batches. The simplex method with the best batch at the prices as the column that
/// enters is the method of cutting planes for the prices (Dantzig & Wolfe 1960; Kelley 1960).
class mixture {
 public:
  /// `first` can be paid.
  mixture(const market& from, const basket& first) : from_(from), budgets_(from.budgets().size()) {
    for (std::size_t b = 0; b < budgets_; ++b) {
      basis_.push_back(unspent(b));
      right_.push_back(double(from.budgets()[b].limit) / unit(b));
    }
    basis_.push_back(column_of(first));
    right_.push_back(1);
  }

  /// What a unit of each budget is worth, and then what a batch is worth beyond its price. A negative price is
  /// one of a budget that should rather be left unspent: that column enters.
  std::vector<double> duals() {
    for (int i = 0; i < 16; ++i) {
      std::vector<double> right;
      std::vector<std::vector<double>> transposed;
      for (const column& c : basis_) transposed.push_back(c.share), right.push_back(c.worth);
      std::vector<double> y = solved(std::move(transposed), std::move(right));
      const auto lowest = std::min_element(y.begin(), y.end() - 1);
      if (*lowest >= -1e-12 * (1 + std::abs(worth_at(y))) || !enter(unspent(std::size_t(lowest - y.begin())))) {
        for (auto price = y.begin(); price != y.end() - 1; ++price) *price = std::max(0.0, *price);
        return y;
      }
    }
    return std::vector<double>(budgets_ + 1);
  }

  /// What the mixture is worth.
  double worth_at(const std::vector<double>& duals) const {
    double sum = 0;
    for (std::size_t i = 0; i < duals.size(); ++i) sum += duals[i] * right_[i];
    return sum;
  }
  /// The prices of the smallest unit of each budget.
  std::vector<double> prices(const std::vector<double>& duals) const {
    std::vector<double> prices(budgets_);
    for (std::size_t b = 0; b < budgets_; ++b) prices[b] = duals[b] / unit(b);
    return prices;
  }

  /// Whether the batch could take the place of a column.
  bool enter(const basket& some) { return enter(column_of(some)); }

 private:
  struct column {
    std::vector<double> share;  // of each budget, and then of the one batch
    double worth = 0;
  };

  double unit(std::size_t b) const { return std::max(1.0, double(from_.budgets()[b].limit)); }
  column unspent(std::size_t b) const {
    column c{std::vector<double>(budgets_ + 1), 0};
    c.share[b] = 1;
    return c;
  }
  column column_of(const basket& some) const {
    column c{std::vector<double>(budgets_ + 1, 1), some.worth};
    for (std::size_t b = 0; b < budgets_; ++b) c.share[b] = some.cost[b] / unit(b);
    return c;
  }

  bool enter(const column& next) {
    std::vector<std::vector<double>> basis(budgets_ + 1);
    for (std::size_t i = 0; i <= budgets_; ++i)
      for (const column& c : basis_) basis[i].push_back(c.share[i]);
    const std::vector<double> parts = solved(basis, right_), taken = solved(basis, next.share);
    std::size_t leaves = basis_.size();
    for (std::size_t i = 0; i < basis_.size(); ++i)
      if (taken[i] > 1e-12 && (leaves == basis_.size() || parts[i] * taken[leaves] < parts[leaves] * taken[i]))
        leaves = i;
    if (leaves == basis_.size()) return false;
    basis_[leaves] = next;
    return true;
  }

  const market& from_;
  std::size_t budgets_;
  std::vector<column> basis_;
  std::vector<double> right_;
};

/// The price of a unit of each budget.
struct market_price {
  std::vector<double> prices;
  basket within;       // the rows that are the best at these prices, or at others, and can be paid
  double at_most = 0;  // what no batch's worth exceeds
};

// The least of what batches are worth at most, over all prices, is what the best mixture of batches is worth.
market_price price_of(const market& from) {
  constexpr int patience = 100;  // no pool that was seen needs as many prices
  floor_reserve least;
  if (!from.limit().floor.empty()) least = reserve_for_floors(from.limit()).value();
  market_price found{std::vector<double>(from.budgets().size()), filled(from, least.rows),
                     std::numeric_limits<double>::infinity()};
  mixture mixed(from, found.within);
  for (int i = 0; i < patience; ++i) {
    const std::vector<double> duals = mixed.duals();
    found.prices = mixed.prices(duals);
    basket now = unbounded(from, found.prices);
    double bound = now.worth;
    for (std::size_t b = 0; b < found.prices.size(); ++b)
      bound += found.prices[b] * (double(from.budgets()[b].limit) - now.cost[b]);
    found.at_most = std::min(found.at_most, bound);
    const bool above = bound > mixed.worth_at(duals) * (1 + 1e-12);
    if (!above || !mixed.enter(now)) i = patience;
    if (now.worth > found.within.worth && can_be_paid(from, now)) found.within = std::move(now);
  }
  return found;
}

/// A batch that is being bought.
class purchase_order {
 public:
  purchase_order(const market& from, index_t rows, const remaining& all)
      : from_(&from), left_(all), has_(std::size_t(rows)) {}

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
      // Where a row lies is looked at when it comes first; then it is taken, or known to be too near.
      const auto look = [&](first_few<valued>& next, index_t begin, index_t end) {
        for (index_t row = begin; row < end; ++row) {
          const valued one{from_->worth(row), row};
          if (next.last() != nullptr && !(one < *next.last())) continue;
          if (from_->is_sold(row) && !has(row) && !left_.ruled_out(row)) next.add(one);
        }
      };
      auto parts = from_->shown(first_few<valued>(left_.picks()), look);
      first_few<valued> next(left_.picks());
      for (first_few<valued>& part : parts)
        for (const valued& one : part.all()) next.add(one);
      if (next.all().empty()) break;
      std::sort(next.all().begin(), next.all().end());
      take(rows_of(next.all()));
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
  better_batch(const market& from, const std::vector<double>& prices, const std::vector<valued>& rows,
               double known)
      : from_(from), prices_(prices), rows_(rows), known_(known) {
    sums_.push_back(0);
    for (const valued& one : rows) sums_.push_back(sums_.back() + std::max(0.0, one.value));
  }

  /// Empty if there is none, or none was found.
  std::vector<index_t> find() {
    look(0, from_.at_first(), 0);
    return best_;
  }

 private:
  void look(std::size_t next, const remaining& left, double worth) {
    if (worth > known_ * (1 + 1e-12) && left.owed() == 0) {
      known_ = worth;
      best_ = chosen_;
    }
    if (next == rows_.size() || left.picks() == 0 || patience_ == 0) return;
    --patience_;
    const std::size_t last = std::min(rows_.size(), next + std::size_t(left.picks()));
    double bound = worth + sums_[last] - sums_[next];
    for (std::size_t b = 0; b < prices_.size(); ++b) bound += prices_[b] * double(left.left(b));
    if (bound <= known_ * (1 + 1e-12)) return;
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
  const std::vector<double>& prices_;
  const std::vector<valued>& rows_;
  double known_;
  std::vector<double> sums_;  // of the first rows' values above zero
  std::vector<index_t> chosen_, best_;
  int patience_ = 20'000;
};

/// The rows that a batch may differ by: they lie about the prices. First by value.
std::vector<valued> about(const market& from, const std::vector<double>& prices) {
  const auto wide = [](index_t some) { return 2 * some + 256; };
  first_of_groups groups = first_by(
      from, [&](index_t begin, index_t end, double* out) { from.values(prices, begin, end, out); },
      [](std::size_t, double) { return true; }, [&](std::size_t group) { return wide(from.quota(group)); });
  first_few<valued> all(wide(from.limit().picks));
  std::vector<valued> owed;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    std::vector<valued>& rows = groups[g].all();
    std::sort(rows.begin(), rows.end());
    const index_t some = from.floor(g) > 0 ? std::min<index_t>(2 * from.floor(g) + 8, index_t(rows.size())) : 0;
    owed.insert(owed.end(), rows.begin(), rows.begin() + some);
    for (auto one = rows.begin() + some; one != rows.end(); ++one) all.add(*one);
  }
  owed.insert(owed.end(), all.all().begin(), all.all().end());
  std::sort(owed.begin(), owed.end());
  return owed;
}

/// Of each group the first of the rows, as many as its floor says.
floor_reserve reserve_of(const market& from, const std::vector<index_t>& rows) {
  std::vector<std::vector<index_t>> groups(from.groups());
  for (const index_t row : rows)
    if (auto& group = groups[from.group(row)]; index_t(group.size()) < from.floor(from.group(row)))
      group.push_back(row);
  floor_reserve found{{}, {0}};
  for (const auto& group : groups) {
    found.rows.insert(found.rows.end(), group.begin(), group.end());
    found.first.push_back(index_t(found.rows.size()));
  }
  return found;
}

purchase bought_at(const market& from, index_t rows, market_price at) {
  const std::vector<valued> valuable = about(from, at.prices);
  const std::vector<index_t> by_value = rows_of(valuable);
  const auto best = std::max_element(by_value.begin(), by_value.end(), [&](index_t a, index_t b) {
    return before(from.named(b), from.named(a));
  });

  const remaining all(from.limit());
  const auto begin = [&] { return purchase_order(from, rows, all); };
  // A batch that is known meets the floors by rows of its own.
  const auto begin_with = [&](const std::vector<index_t>& batch) {
    if (from.limit().floor.empty() || batch.empty()) return begin().take(batch);
    return purchase_order(from, rows, remaining(from.limit(), reserve_of(from, batch))).take(batch);
  };
  purchase_order most = begin_with(at.within.rows).take(by_value).fill();
  const auto consider = [&](const purchase_order& other) {
    if (other.worth() > most.worth()) most = other;
  };
  consider(begin().take(by_value).fill());
  consider(begin().fill());
  if (best != by_value.end()) consider(begin().take({*best}).take(by_value).fill());
  // A branch has its own quotas; a distance to keep is no number that a price could bound.
  if (valuable.size() <= 2048 && from.groups() <= 256 && !from.limit().apart)
    consider(begin_with(better_batch(from, at.prices, valuable, most.worth()).find()).fill());

  purchase result{{}, true, most.worth(), std::max(most.worth(), at.at_most)};
  for (const index_t row : most.rows()) result.batch.push_back(from.named(row));
  std::sort(result.batch.begin(), result.batch.end(), before);
  return result;
}

/// The first rows, and of each group, by score: quotas and floors look at nothing else.
std::vector<candidate> best_by_group(cpu on, vector_view<const float> scores, const allowance& limit) {
  const market from(on, scores, limit);
  std::vector<candidate> taken;
  const auto values = [&](index_t begin, index_t end, double* out) {
    for (index_t row = begin; row < end; ++row) out[row - begin] = double(from.score(row));
  };
  for (const valued& one : best_batch(from, false, values)) taken.push_back(from.named(one.row));
  std::sort(taken.begin(), taken.end(), before);
  return taken;
}

/// Marks of rows that are barred, or no candidates: no floor is met by one. Empty without floors.
std::vector<std::uint8_t> marks_for_floors(vector_view<const float> scores, const allowance& limit) {
  std::vector<std::uint8_t> marks;
  if (limit.floor.empty()) return marks;
  marks.resize(std::size_t(scores.size));
  for (index_t i = 0; i < scores.size; ++i)
    marks[std::size_t(i)] = !(scores[i] == scores[i]) || (!limit.barred.empty() && limit.barred[i] != 0);
  return marks;
}

/// `limit` without the rows that are no candidates, where that matters, and with no more picks than rows.
class candidates_allowed {
 public:
  candidates_allowed(const char* call, vector_view<const float> scores, const allowance& limit)
      : marks_(marks_for_floors(scores, limit)), limit_(limit) {
    limit_.picks = std::min(limit.picks, scores.size);
    if (!marks_.empty()) limit_.barred = {marks_.data(), scores.size};
    check_terms(call, limit, scores.size);
    refuse_infeasible(call, limit_);
  }
  candidates_allowed(const candidates_allowed&) = delete;
  candidates_allowed& operator=(const candidates_allowed&) = delete;

  const allowance& limit() const { return limit_; }

 private:
  std::vector<std::uint8_t> marks_;
  allowance limit_;
};

std::vector<candidate> taken_in_order(const where& on, vector_view<const float> scores,
                                      const allowance& limit) {
  const cpu host = host_of(on);
  if (!limit.group.empty() && !limit.priced() && !limit.apart) return best_by_group(host, scores, limit);
  const remaining whole(limit);
  // Rows passed over cost a longer walk, so the walk starts short and doubles.
  for (index_t walked = std::min(scores.size, 2 * limit.picks + 64);;
       walked = std::min(scores.size, 2 * walked)) {
    remaining left = whole;
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

bool can_be_paid(const allowance& limit, const std::vector<candidate>& batch) {
  for (const budget_line& one : limit.budgets()) {
    std::int64_t cost = 0;
    for (const candidate& c : batch) cost += one.cost[c.row];
    if (cost > one.limit) return false;
  }
  return true;
}

}  // namespace

std::vector<candidate> take_in_order(const where& on, vector_view<const float> scores, const allowance& limit) {
  const candidates_allowed allowed("take_in_order", scores, limit);
  return taken_in_order(on, scores, allowed.limit());
}

purchase best_affordable(const where& on, vector_view<const float> scores, const allowance& limit) {
  const candidates_allowed allowed("best_affordable", scores, limit);
  const allowance& of_rows = allowed.limit();
  allowance unpriced = of_rows;
  unpriced.budget = allowance::any_cost;
  unpriced.also.clear();
  purchase whole{taken_in_order(on, scores, unpriced)};
  if (can_be_paid(of_rows, whole.batch)) return whole;
  const market from(host_of(on), scores, of_rows);
  return bought_at(from, scores.size, price_of(from));
}

double most_worth(const where& on, vector_view<const float> scores, const allowance& limit) {
  const candidates_allowed allowed("most_worth", scores, limit);
  const market from(host_of(on), scores, allowed.limit());
  const basket whole = unbounded(from, std::vector<double>(from.budgets().size()));
  return can_be_paid(from, whole) ? whole.worth : price_of(from).at_most;
}

}  // namespace poolwise
