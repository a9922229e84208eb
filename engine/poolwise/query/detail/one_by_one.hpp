// Batches that look at every row again for each pick. Not part of the public interface.
#pragma once

#include <vector>

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

}  // namespace poolwise
