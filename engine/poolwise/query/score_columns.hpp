// Scores of all rows of a pool.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/pool/pool.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {

/// What several scores say of all rows: column c of `scores` is that of which[c]. Neighbouring columns of the
/// same part share one read of it.
///
/// which   [scores]        each of one stage that ranks; the pool has what they need
/// scores  [rows, scores]  written. NaN where a row cannot be judged.
/// seed    of scores that are drawn
/// scored  called now and then with the rows that a column is done with; may be empty
/// throws  what the scores throw. Memory: that of one column where scores share nothing.
void score_columns(const where& on, const pool_inputs& pool, std::span<const strategy> which,
                   matrix_view<float> scores, std::uint64_t seed = 0,
                   const std::function<void(index_t)>& scored = {});

}  // namespace poolwise
