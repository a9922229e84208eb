// Batches that are made pick by pick. Not part of the public interface.
#pragma once

#include <queue>
#include <utility>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// The batch of a `Choice` made of `x`: it has picks_left(), next() (whose row is -1 where none is allowed) and
/// take(row). Goes on from the picks of `run`, and says so after each.
template <class Choice>
std::vector<candidate> pick_one_by_one(const char* call, const stage_input& x, batch_run& run) {
  check_begin(call, &run, x.limit, x.rows());
  Choice of(x);
  batch_state state = run.begin;
  for (const candidate& c : state.picks) of.take(c.row);
  while (of.picks_left() > 0) {
    const candidate next = of.next();
    if (next.row < 0) break;
    of.take(next.row);
    state.picks.push_back(next);
    ++run.sweeps;
    if (run.advanced) run.advanced(state);
  }
  return state.picks;
}

inline bool is_barred(const stage_input& x, index_t i) {
  return !x.limit.barred.empty() && x.limit.barred[i] != 0;
}

/// The Choice of the row of the largest value, ties to the lower. `Values` is made of x; it has take(row),
/// after which values may be others, and values() [rows of x], none of them NaN.
template <class Values>
class largest_value {
 public:
  explicit largest_value(const stage_input& x) : left_(x.limit), of_(x), taken_(std::size_t(x.rows())) {}

  index_t picks_left() const { return left_.picks(); }

  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    of_.take(row);
  }

  candidate next() {
    const vector_view<const float> values = of_.values();
    candidate found;
    for (index_t i = 0; i < values.size; ++i) {
      const candidate c{i, values[i]};
      if (taken_[std::size_t(i)] == 0 && (found.row < 0 || before(c, found)) && left_.eligible(i)) found = c;
    }
    return found;
  }

 private:
  remaining left_;
  Values of_;
  std::vector<std::uint8_t> taken_;
};

/// The Choice of the row of the largest gain, ties to the lower, where no gain ever rises by a pick: that of a
/// row which has missed picks bounds what it would be, and is made anew when the row comes first (Minoux 1978).
/// `Gains` is made of x; it has gain(row), a double, and take(row). Where the limit is per_cost gains count by
/// unit of cost.
template <class Gains>
class largest_gain {
 public:
  explicit largest_gain(const stage_input& x)
      : limit_(x.limit), left_(limit_), of_(x), factors_(gain_factors(limit_)), taken_(std::size_t(x.rows())) {
    std::vector<entry> rows(std::size_t(x.rows()));
    parallel_blocks(host_of(x.on), x.rows(), 256, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        if (!left_.ruled_out(i)) rows[std::size_t(i)] = {{i, gain(i)}, 0};
    });
    std::erase_if(rows, [](const entry& e) { return e.row.row < 0; });
    waiting_ = decltype(waiting_)(later{}, std::move(rows));
  }

  index_t picks_left() const { return left_.picks(); }

  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    of_.take(row);
    ++taken_rows_;
  }

  candidate next() {
    while (!waiting_.empty()) {
      entry first = waiting_.top();
      waiting_.pop();
      if (taken_[std::size_t(first.row.row)] != 0 || !left_.eligible(first.row.row)) continue;
      if (first.as_of == taken_rows_) {
        if (!factors_.empty()) first.row.score *= limit_.units(first.row.row);
        return first.row;
      }
      first.row.score = gain(first.row.row);
      first.as_of = taken_rows_;
      waiting_.push(first);
    }
    return {};
  }

 private:
  struct entry {
    candidate row;
    index_t as_of = 0;  ///< how many rows had been taken when its gain was made
  };
  struct later {
    bool operator()(const entry& a, const entry& b) const { return before(b.row, a.row); }
  };

  float gain(index_t row) const {
    const double factor = factors_.empty() ? 1.0 : double(factors_[std::size_t(row)]);
    return float(of_.gain(row) * factor);
  }

  allowance limit_;
  remaining left_;
  Gains of_;
  std::vector<float> factors_;
  std::vector<std::uint8_t> taken_;
  std::priority_queue<entry, std::vector<entry>, later> waiting_;
  index_t taken_rows_ = 0;
};

/// What largest_gain allocates, beside its Gains.
constexpr std::uint64_t largest_gain_bytes(std::uint64_t rows) {
  return rows * (2 * (sizeof(candidate) + sizeof(index_t)) + sizeof(float) + 1);
}

}  // namespace poolwise
