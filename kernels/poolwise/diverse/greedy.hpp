// The one greedy loop behind every diverse batch, with the gain as its parameter.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/core/parallel.hpp"
#include "poolwise/diverse/diverse.hpp"

namespace poolwise {

/// Rows a thread takes at a time; a sweep keeps one number for each such block.
inline constexpr index_t sweep_block = 1024;

/// The squared distance of a row that may not be picked again: below every distance, so that taking minima
/// leaves it alone.
inline constexpr float retired = -1.0f;

/// What an allowance still allows. Rows found too dear are passed over for good.
class purse {
 public:
  /// throws shape_error, value_error in the name of `call`.
  purse(const char* call, const allowance& limit, index_t rows) : cost_(limit.cost), left_(limit.budget) {
    const std::string name(call);
    if (limit.picks < 0)
      throw value_error(name + ": picks is " + std::to_string(limit.picks) + "; ask for 0 rows or more");
    if (limit.budget < 0)
      throw value_error(name + ": budget is " + std::to_string(limit.budget) + "; pass 0 or more");
    if (!cost_.empty() && cost_.size != rows)
      throw shape_error(name + ": cost has " + std::to_string(cost_.size) + " places but points has " +
                        std::to_string(rows) + " rows; pass one cost per row, or none");
    const auto* const negative = std::find_if(cost_.begin(), cost_.end(), [](std::int64_t c) { return c < 0; });
    if (negative != cost_.end())
      throw value_error(name + ": the cost of row " + std::to_string(negative - cost_.begin()) + " is " +
                        std::to_string(*negative) + "; a cost is 0 or more");
  }

  void pay(index_t row) {
    if (!cost_.empty()) left_ -= cost_[row];
  }

  template <class Model>
  void retire_too_dear(Model& model, index_t begin, index_t end) const {
    if (cost_.empty()) return;
    for (index_t i = begin; i < end; ++i)
      if (cost_[i] > left_) model.retire(i);
  }

 private:
  vector_view<const std::int64_t> cost_;
  std::int64_t left_;
};

/// Picks rows one after the other. The model says what a row is worth:
///
///   index_t rows() const
///   void retire(index_t row)                                 it may not be picked (again)
///   void sweep(index_t block, index_t begin, index_t end, index_t latest)
///                                                            lowers the gains of these rows by the latest
///                                                            pick (-1: there is none yet) and keeps what
///                                                            `choose` needs to know of the block
///   candidate choose(index_t pick)                           the next row; row -1 if all are retired
///
/// Sweeps of different blocks run side by side. One sweep a pick, nothing else reads the pool.
template <class Model>
std::vector<candidate> greedy(cpu on, const char* call, const allowance& limit, Model& model) {
  purse left(call, limit, model.rows());
  const index_t most = std::min(limit.picks, model.rows());
  std::vector<candidate> picks;
  picks.reserve(std::size_t(most));
  index_t latest = -1;
  while (index_t(picks.size()) < most) {
    parallel_blocks(on, model.rows(), sweep_block, [&](index_t block, index_t begin, index_t end) {
      left.retire_too_dear(model, begin, end);
      model.sweep(block, begin, end, latest);
    });
    const candidate next = model.choose(index_t(picks.size()));
    if (next.row < 0) break;
    model.retire(next.row);
    left.pay(next.row);
    picks.push_back(next);
    latest = next.row;
  }
  return picks;
}

}  // namespace poolwise
