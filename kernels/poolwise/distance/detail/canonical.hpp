// The canonical tree over many rows at once, on the calling thread: what the drivers hand to their threads.
#pragma once

#include "poolwise/core/types.hpp"

namespace poolwise {

/// d2[i] = canonical_squared_distance(x.row(i), y, x.cols), for every row of x.
void canonical_squared_distances(matrix_view<const float> x, const float* y, float* d2);

/// dot[i] = canonical_dot(x.row(i), y, x.cols), for every row of x.
void canonical_dots(matrix_view<const float> x, const float* y, float* dot);

/// norm[i] = canonical_dot(x.row(i), x.row(i), x.cols), for every row of x.
void canonical_squared_norms(matrix_view<const float> x, float* norm);

/// d2[j] = canonical_squared_distance(x, y[j], cols), for rows y[j] that lie anywhere.
void canonical_squared_distances(const float* x, vector_view<const float* const> y, index_t cols, float* d2);

/// d2[i] = canonical_squared_distance(x[i], y[i], cols).
void canonical_squared_distances(vector_view<const float* const> x, const float* const* y, index_t cols,
                                 float* d2);

/// dot[j] = canonical_dot(x, y[j], cols).
void canonical_dots(const float* x, vector_view<const float* const> y, index_t cols, float* dot);

/// dot[i] = canonical_dot(x[i], y[i], cols).
void canonical_dots(vector_view<const float* const> x, const float* const* y, index_t cols, float* dot);

}  // namespace poolwise
