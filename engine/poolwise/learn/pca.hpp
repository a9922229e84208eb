// Principal components of a pool.
#pragma once

#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// mean [cols], components [kept, cols] orthonormal by falling variance, deviation [kept]: the standard
/// deviation (ddof 0) along each. The sign of a component makes its largest entry in magnitude positive.
struct pca {
  index_t cols = 0, kept = 0;
  std::vector<float> mean, components, deviation;

  /// out [rows, kept] = (x - mean) componentsᵀ.
  void transform(matrix_view<const float> x, matrix_view<float> out) const;
};

/// Fits on x [rows, cols], rows >= 2: covariance in double by blocks, then a symmetric eigenproblem (Eigen).
/// throws shape_error unless 1 <= kept <= cols, value_error for a non-finite entry.
pca fit_pca(matrix_view<const float> x, index_t kept);

}  // namespace poolwise
