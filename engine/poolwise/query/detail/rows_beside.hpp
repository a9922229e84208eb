// Rows that are given beside the pool: those that picks are to be like, and those that they are to be unlike.
#pragma once

#include <vector>

#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// Refuses, in the name of the strategy `call`, queries that do not fit the embeddings, or whose weights are
/// none. throws shape_error, value_error.
void check_queries(const char* call, const stage_input& x);
/// The same for the private set.
void check_private(const char* call, const stage_input& x);

/// [rows, cols] each divided by its length, in double. A row of zeros stays one.
std::vector<double> directions(matrix_view<const float> rows);

/// The squared distance of each of `points` to the nearest of some rows beside the pool; these are in the unit
/// in which they were given, the points in that of x.
std::vector<float> distances_to_beside(const stage_input& x, finite_rows points,
                                       matrix_view<const float> beside);

}  // namespace poolwise
