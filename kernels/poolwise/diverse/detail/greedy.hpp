// The one greedy loop behind every diverse batch, with the gain as its parameter.
#pragma once

#include <algorithm>
#include <vector>

#include "poolwise/core/parallel.hpp"
#include "poolwise/diverse/diverse.hpp"

namespace poolwise {

/// Rows a thread takes at a time; a sweep keeps one number for each such block.
inline constexpr index_t sweep_block = 1024;

/// The squared distance of a row that may not be picked again: below every distance, so that taking minima
/// leaves it alone.
inline constexpr float retired = -1.0f;

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
  check_allowance(call, limit, model.rows());
  remaining left(limit);
  const bool dwindles = !limit.cost.empty() || !limit.group.empty();
  const index_t most = std::min(limit.picks, model.rows());
  std::vector<candidate> picks;
  picks.reserve(std::size_t(most));
  index_t latest = -1;
  while (index_t(picks.size()) < most) {
    parallel_blocks(on, model.rows(), sweep_block, [&](index_t block, index_t begin, index_t end) {
      if (dwindles || latest < 0)
        for (index_t i = begin; i < end; ++i)
          if (!left.eligible(i)) model.retire(i);
      model.sweep(block, begin, end, latest);
    });
    const candidate next = model.choose(index_t(picks.size()));
    if (next.row < 0) break;
    model.retire(next.row);
    left.take(next.row);
    picks.push_back(next);
    latest = next.row;
  }
  return picks;
}

}  // namespace poolwise
