// The best rows on CUDA devices. `cuda`: views lie in device memory; `offload`: in host memory. All wait.
#pragma once

#include <cstdint>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/score/score.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {

nan_rows find_nan_cuda(const cuda& on, vector_view<const float> scores, vector_view<const std::uint8_t> barred);
nan_rows find_nan_cuda(const offload& on, vector_view<const float> scores,
                       vector_view<const std::uint8_t> barred);

/// Shows the rows first_row, first_row + 1, ... with their scores to `state`, and returns the NaN among them,
/// counted from the first.
nan_rows keep_best_cuda(const cuda& on, const char* call, vector_view<const float> scores, index_t first_row,
                        vector_view<const std::uint8_t> barred, top_k_state& state);
nan_rows keep_best_cuda(const offload& on, const char* call, vector_view<const float> scores, index_t first_row,
                        vector_view<const std::uint8_t> barred, top_k_state& state);

/// Shows every row of x with its score to `state`.
nan_rows keep_best_rows_cuda(const cuda& on, const char* call, const real_matrix& x, outputs kind,
                             acquisition which, vector_view<const std::uint8_t> barred, top_k_state& state);
nan_rows keep_best_rows_cuda(const offload& on, const char* call, const real_matrix& x, outputs kind,
                             acquisition which, vector_view<const std::uint8_t> barred, top_k_state& state);

}  // namespace poolwise
