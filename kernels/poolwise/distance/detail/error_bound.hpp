// How far a distance by GEMM can lie from the canonical one.
#pragma once

#include <cmath>
#include <limits>

#include "poolwise/core/types.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {

/// The rounding error of n roundings in fp32: n u / (1 - n u). Higham, "Accuracy and Stability of Numerical
/// Algorithms", lemma 3.1. Infinite where n u reaches 1 and nothing can be said.
POOLWISE_HD inline double gamma_of(index_t n) {
  const double nu = double(n) * 0x1p-24;
  return nu < 1 ? nu / (1 - nu) : std::numeric_limits<double>::infinity();
}

/// How far FAISS's distance of two rows can lie from their canonical distance.
///
/// With u = 2^-24, n columns, g_k = gamma_of(k), and d = |x - y|^2 exactly:
/// - FAISS forms |x|^2 + |y|^2 - 2 x.y. Each of the three sums of n products carries a relative error of at
///   most g_n against the sum of its terms' magnitudes, whatever the order of summation and with or without
///   fma; two further additions make that g_(n+2). With |x.y| <= |x||y|, also for the magnitudes,
///       |faiss - d| <= g_(n+2) (|x|^2 + |y|^2 + 2 |x||y|) = g_(n+2) (|x| + |y|)^2.
///   For few points FAISS sums squared differences instead: an error of at most g_(n+2) d, which is less.
///   Raising a negative result to 0 brings it nearer to d.
///   On a GPU it sums in fp32 as well (cuBLAS computes in CUBLAS_COMPUTE_32F unless told to use TF32).
/// - The canonical tree rounds a difference (twice, being squared), then ceil(n/16) fmas, then 4 additions:
///       |canonical - d| <= g_(ceil(n/16)+6) d <= g_(ceil(n/16)+6) (|x| + |y|)^2.
/// - An underflow adds at most 2^-150 for each of the 5n products, 2 x.y counting twice.
/// Norms come from the canonical dot, whose own error is at most g_(ceil(n/16)+4) relatively.
class error_bound {
 public:
  POOLWISE_HD error_bound(index_t cols, float largest_reference_norm2)
      : relative_(gamma_of(cols + 2) + gamma_of(cols / canonical_lanes + 7)),
        underflow_(double(cols) * 0x1p-147),
        norm_slack_(1 + 2 * gamma_of(cols / canonical_lanes + 5)),
        largest_norm_(norm(largest_reference_norm2)) {}

  /// For one point against every reference; infinite where the GEMM could leave the range of fp32.
  POOLWISE_HD double of(float point_norm2) const {
    const double reach = norm(point_norm2) + largest_norm_;
    if (!(reach * reach < double(std::numeric_limits<float>::max()) / 2))
      return std::numeric_limits<double>::infinity();
    return relative_ * reach * reach + underflow_;
  }

 private:
  POOLWISE_HD double norm(float norm2) const { return std::sqrt(double(norm2) * norm_slack_ + underflow_); }

  double relative_, underflow_, norm_slack_, largest_norm_;
};

}  // namespace poolwise
