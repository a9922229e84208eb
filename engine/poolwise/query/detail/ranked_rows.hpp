// Rows by the score of a stage.
#pragma once

#include "poolwise/query/strategy.hpp"
#include "poolwise/topk/best_rows.hpp"

namespace poolwise {

/// scores [rows of x], written; as they are known, where they are.
void score_rows(const stage_input& x, vector_view<float> scores);
/// The same by the score that the stage is made of.
void score_inner(const stage_input& x, vector_view<float> scores);

/// The best k rows of x that its limit does not rule out, and which rows are invalid, barred ones apart. x is
/// read once, and no more scores than those of some rows are in memory, unless they cannot be made of a part of
/// the rows: those of a committee in one array, of predictions, or that compare rows.
best_of_rows best_ranked(const stage_input& x, index_t k);

}  // namespace poolwise
