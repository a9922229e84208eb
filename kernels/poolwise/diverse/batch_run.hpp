// A greedy selection under way: where it stands between two passes over the pool.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"

namespace poolwise {

/// Where a selection stands between two passes over the pool.
struct batch_state {
  std::vector<candidate> picks;  ///< in order, with their scores
  index_t proposals = 0;         ///< of kmeans_pp: rows drawn, accepted or not

  friend bool operator==(const batch_state&, const batch_state&) = default;
};

/// A selection under way. From where another one of the same inputs stood it goes on to the same batch.
struct batch_run {
  batch_state begin = {};                                 ///< what it goes on from
  std::function<void(const batch_state&)> advanced = {};  ///< called after every pass that made picks
  index_t sweeps = 0;                                     ///< passes over the pool for the picks of a batch
  index_t proposals = 0;                                  ///< of kmeans_pp: rows drawn, accepted or not
  index_t gains = 0;  ///< of batch_bald: gains computed after all picks so far, in sweeps or one by one
  index_t exact = 0;  ///< of batch_bald: the first so many picks count every joint configuration
  /// Of facility_location, graph_cut and probcover, where it is not null: written, [rows] what each would add
  /// to all picks.
  std::vector<float>* gains_left = nullptr;
  /// Written by a strategy that knows which share of the best batch its own is certain to be.
  std::optional<double> of_optimum = {};
};

/// Refuses, in the name of `call`, to go on from picks that a selection with this limit cannot have made.
/// throws value_error (a row out of range, picked twice or not allowed; more picks than asked for).
void check_begin(const char* call, const batch_run* run, const allowance& limit, index_t rows);

}  // namespace poolwise
