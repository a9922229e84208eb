// Which rows of a pool can be judged.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "poolwise/core/where.hpp"
#include "poolwise/pool/pool.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {

/// Marks, [rows] of 0 or 1, the rows of which one of the parts says nothing: no distribution among the outputs
/// or those of some member, a label without a probability, a prediction or an embedding that is not finite.
/// Reads each of the parts once. Gives the largest size of a value in the finite embeddings; 0 where these are
/// not among the parts. Rows that are `aside` do not count there, and those of them whose distances leave the
/// range of fp32 are marked, too.
float mark_invalid(const where& on, const pool_inputs& pool, parts which, std::vector<std::uint8_t>& marks,
                   const std::function<bool(index_t)>& aside = {});

/// Why a row that is marked for these parts is invalid, as the end of an error message: "holds NaN in column
/// 3".
std::string why_invalid(const pool_inputs& pool, parts which, index_t row);

/// The first of the invalid rows, why it is, and how many of the pool are `like_that`, as an error message.
std::string describe_invalid(const pool_inputs& pool, parts which, const nan_rows& invalid,
                             const char* like_that);

}  // namespace poolwise
