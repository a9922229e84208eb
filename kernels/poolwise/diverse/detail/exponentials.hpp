// Exponentials of many numbers, with the same bits on every CPU target.
#pragma once

#include "poolwise/core/types.hpp"

namespace poolwise {

/// x[i] = exp(scale * x[i]) where every scale * x[i] is at most 0; exp(0) is 1 and what is below 2^-127 is 0.
/// The relative error is below 6.5e-7 + 2.8e-9 |scale * x[i]|, but for results below the normal floats, which
/// fall short.
void exponentials(float scale, float* x, index_t size);

}  // namespace poolwise
