// Principal components of a pool.
#pragma once

#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// mean [cols], components [kept, cols] orthonormal by falling variance, deviation [kept]: the standard
/// deviation (ddof 0) along each. The sign of a component makes its largest entry in magnitude positive
/// (the first such entry). Components of equal variance are any orthonormal basis of their space.
struct pca {
  index_t cols = 0, kept = 0;
  std::vector<float> mean, components, deviation;

  /// out [rows, kept] = (x - mean) componentsᵀ, in fp32. The bits of a row of `out` depend on that row of x
  /// alone: not on the rows beside it, the threads or the CPU. throws shape_error.
  void transform(matrix_view<const float> x, matrix_view<float> out) const;
};

/// Fits on x [rows, cols]: covariance in double, every entry one sum in the order of the rows, then a symmetric
/// eigenproblem (Eigen). Equal input gives equal bits on any CPU and number of threads.
/// throws shape_error unless rows >= 2 and 1 <= kept <= cols, value_error for a non-finite entry.
/// Reads x three times; takes cols^2 doubles three times over, and 256 rows of doubles; rows cols^2
/// multiply-adds.
pca fit_pca(matrix_view<const float> x, index_t kept);

}  // namespace poolwise
