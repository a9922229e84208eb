// What a labelling budget buys.
#pragma once

#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// The batch of highest total score that `limit` allows, best first.
///
/// scores  [rows]; a NaN marks a row that is no candidate.
///
/// Without a budget: the best rows, in the total order; with quotas that is optimal too, since quotas are a
/// partition matroid. With a budget: rows by score per unit of cost (a free row first), each taken if it
/// still fits, or the single best affordable row if that alone is worth more: at least half the optimum
/// while the number of picks does not bind (Khuller et al. 1999; as active learning: Settles et al. 2008).
/// throws  shape_error, value_error (a negative cost; with a budget also a negative score).
/// Reads the scores once for every doubling of the rows that have to be passed over.
std::vector<candidate> best_affordable(const where& on, vector_view<const float> scores,
                                       const allowance& limit);

}  // namespace poolwise
