// The canonical tree on a CUDA device. Views lie in device memory.
#pragma once

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {

/// d2[i] = canonical_squared_distance(points.row(i), center, points.cols). Does not wait.
void squared_distances_cuda(const cuda& on, matrix_view<const float> points, vector_view<const float> center,
                            vector_view<float> d2);

/// d2[i] = canonical_dot(points.row(i), points.row(i), points.cols). Does not wait.
void squared_norms_cuda(const cuda& on, matrix_view<const float> points, vector_view<float> d2);

/// nonfinite_rows as atomics gather it: the first is all ones as long as there is none.
struct nonfinite_rows_bits {
  unsigned long long first, count;
};

/// Adds the rows of points that hold a NaN or an infinity. The device of `on` is current. Does not wait.
void note_nonfinite_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                         nonfinite_rows_bits* found);

/// Waits for the stream.
nonfinite_rows find_nonfinite_cuda(const cuda& on, const char* call, matrix_view<const float> points);

}  // namespace poolwise
