// Candidates that are copies of vertices: rows that are equal are one vertex of a graph.
#pragma once

#include <span>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"

namespace poolwise {

/// Refuses, in the name of `call`, a `vertex` that is none of 0 to `vertices` - 1; -1 will do where `limit`
/// bars.
/// throws value_error, which names the first.
void check_vertices(const char* call, std::span<const index_t> vertex, index_t vertices,
                    const allowance& limit);

/// Where `picks` are fewer than asked for and all that is left are copies of them or of labelled rows: goes on
/// with those that `limit` allows, in order, with score 0.
void add_copies(index_t candidates, const allowance& limit, std::vector<candidate>& picks);

}  // namespace poolwise
