// What a labelling budget buys of rows whose worth is a number of their own.
#pragma once

#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// A batch, and how far from the best one it can be.
struct purchase {
  std::vector<candidate> batch;  ///< best first
  bool budget_binds = false;     ///< whether another batch would have been bought for more
  /// The worth of the batch, and what no batch that `limit` allows exceeds. Worth is the sum of scores; where
  /// scores are negative, of what they exceed the least by.
  double worth = 0, at_most = 0;

  /// The share of the best possible worth that is certain.
  double share() const { return at_most > 0 ? worth / at_most : 1; }
};

/// The rows in the order of their scores, best first, each taken if `limit` then allows it.
///
/// scores  [rows]; a NaN marks a row that is no candidate.
/// throws  shape_error, value_error.
/// The batch of highest total score where there is neither a budget nor a distance to keep: quotas and floors
/// are a matroid (see allowance). Reads the scores once where only groups matter, else once for every doubling
/// of the rows that have to be passed over.
std::vector<candidate> take_in_order(const where& on, vector_view<const float> scores, const allowance& limit);

/// The batch of highest total worth: a knapsack with a limit on the number of picks, quotas and floors, and any
/// number of budgets.
///
/// scores  [rows]; a NaN marks a row that is no candidate.
///
/// Budgets that do not bind change nothing: the batch is that of take_in_order. One that does has a price for a
/// unit of its cost at which the rows of highest score - price * cost, as many as picks, quotas and floors
/// allow, cost as much as there is, or mixtures of such batches do where there are several (Lagrange; found by
/// the cutting planes of the dual, Kelley 1960, as the simplex method over batches): what they are worth at
/// those prices bounds every batch. Those that fit are bought and rows that still fit are added; then, among
/// some thousand rows about the price, a batch worth more is looked for by branch and bound, for a while. Of
/// small pools that is the optimum, of others mostly above .99 of it; `share` says what is certain. No row that
/// is left would still be allowed, unless the picks are used up.
///
/// throws  shape_error, value_error, budget_error.
/// Reads scores and costs once for each of some ten prices; 64 B for each of the picks and
/// each thread, and 2 or 3 B a row.
purchase best_affordable(const where& on, vector_view<const float> scores, const allowance& limit);

/// What the scores of no batch that `limit` allows exceed together: the least that the prices of
/// best_affordable say. So a batch S of a monotone submodular worth f is certain to have the share f(S) / (f(S)
/// + most_worth) of the best, by the scores f(S and row) - f(S) of all rows (Minoux 1978; Leskovec et al.
/// 2007).
///
/// scores  [rows] >= 0; a NaN marks a row that is no candidate.
/// throws  shape_error, value_error, budget_error.
double most_worth(const where& on, vector_view<const float> scores, const allowance& limit);

}  // namespace poolwise
