// Row scores on a CUDA device. Views lie in device memory; nothing waits.
#pragma once

#include <cstdint>
#include <span>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

class device_memory;

/// What a row, or a part of it, leaves behind; see fold_cuda.cuh. One of its largest elements is in none of
/// the sums. Logits: of e^d and of e^d d / ln 2 with d = z - largest. Probabilities: of p and of p log2 p.
struct row_state {
  float largest, second;
  float rest, weighted;
  float lowest;         // of the probabilities, if negative
  std::int32_t argmax;  // the first column with the largest, where it was asked for
};

/// What gives a row's probabilities: e^(x - largest) scale of logits, x scale of probabilities. The scale is
/// NaN for a row without a distribution, and so are the others.
struct row_record {
  float largest, scale;
  float entropy, least_confidence;
};

void score_cuda(const cuda& on, const real_matrix& x, outputs kind, std::span<const acquisition> which,
                matrix_view<float> scores);

void output_gradient_cuda(const cuda& on, const real_matrix& x, outputs kind, matrix_view<float> a);

/// records[i] = that of x's row i, argmax[i] = its predicted class, unless `argmax` is null.
void record_rows_cuda(device_memory& memory, const real_matrix& x, outputs kind, row_record* records,
                      std::int32_t* argmax);

}  // namespace poolwise
