// nearest on a CUDA device. Views lie in device memory; nothing waits.
#pragma once

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// As nearest, of finite rows: shapes and values have been checked.
void nearest_cuda(const cuda& on, matrix_view<const float> points, matrix_view<const float> references,
                  vector_view<float> d2, vector_view<index_t> which);

}  // namespace poolwise
