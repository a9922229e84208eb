// The rows most worth labelling, straight from the model's outputs: no score reaches memory.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/score/score.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {

struct best_of_rows {
  std::vector<candidate> best;  ///< best first
  nan_rows invalid;             ///< rows without a distribution that were not barred; none of them is in `best`
};

/// The best min(k, rows to choose from) rows of x by one acquisition: what `score` and `top_k` give together.
///
/// x       [rows, cols]      as for `score`.
/// k       at least 0.
/// barred  [rows] or empty   rows whose entry is not 0 are passed over.
/// throws  shape_error, value_error as `score` and `top_k` do, but not for invalid rows; no_cuda_error.
/// The same picks for any thread count, tile and number of devices. Between backends scores differ in their
/// last bits, and so may rows that lie as close. Reads x once, and one row in a thousand once more for the
/// threshold behind which scores are kept; all again where the rows' order deceives the sample. Scores lie in
/// the caches: a block of rows a thread on the CPU, 8 MiB on a device. Candidates take 16 B, some 1.5 k of them
/// at least. On a device it waits for the answer.
best_of_rows best_rows(const where& on, const real_matrix& x, outputs kind, acquisition which, index_t k,
                       vector_view<const std::uint8_t> barred = {});

}  // namespace poolwise
