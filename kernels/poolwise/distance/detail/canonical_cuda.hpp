// The canonical tree on a CUDA device. Views lie in device memory; nothing waits.
#pragma once

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// d2[i] = canonical_squared_distance(points.row(i), center, points.cols).
void squared_distances_cuda(const cuda& on, matrix_view<const float> points, vector_view<const float> center,
                            vector_view<float> d2);

/// d2[i] = canonical_dot(points.row(i), points.row(i), points.cols).
void squared_norms_cuda(const cuda& on, matrix_view<const float> points, vector_view<float> d2);

}  // namespace poolwise
