#include "poolwise/learn/pca.hpp"

#include <cblas.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/learn/detail/checks.hpp"
#include "poolwise/learn/detail/row_product.hpp"

namespace poolwise {
namespace {

constexpr index_t covariance_block = 1024;  // rows: deep enough for dsyrk, small beside any pool
constexpr index_t transform_block = 256;

void require_shape(matrix_view<const float> x, index_t kept) {
  if (x.rows < 2)
    throw shape_error("fit_pca: x has " + std::to_string(x.rows) + " rows; a variance needs at least two");
  if (kept < 1 || kept > x.cols)
    throw shape_error("fit_pca: asked for " + std::to_string(kept) + " components of " +
                      std::to_string(x.cols) + " columns; keep at least 1 and at most as many as columns");
}

Eigen::VectorXd mean_of(matrix_view<const float> x) {
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(x.cols);
  for (index_t i = 0; i < x.rows; ++i)
    for (index_t j = 0; j < x.cols; ++j) sum[j] += double(x(i, j));
  return sum / double(x.rows);
}

/// The lower triangle of the covariance (ddof 0).
Eigen::MatrixXd covariance_of(matrix_view<const float> x, const Eigen::VectorXd& mean) {
  Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(x.cols, x.cols);
  Eigen::MatrixXd centred(x.cols, std::min(x.rows, covariance_block));  // one column per row of x
  for (index_t begin = 0; begin < x.rows; begin += covariance_block) {
    const index_t count = std::min(covariance_block, x.rows - begin);
    for (index_t i = 0; i < count; ++i)
      for (index_t j = 0; j < x.cols; ++j) centred(j, i) = double(x(begin + i, j)) - mean[j];
    cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, int(x.cols), int(count), 1.0, centred.data(),
                int(x.cols), 1.0, covariance.data(), int(x.cols));
  }
  return covariance / double(x.rows);
}

/// +1 or -1: the sign that makes the largest entry in magnitude positive.
double sign_of(const Eigen::VectorXd& component) {
  Eigen::Index largest = 0;
  component.cwiseAbs().maxCoeff(&largest);
  return component[largest] < 0 ? -1.0 : 1.0;
}

}  // namespace

void pca::transform(matrix_view<const float> x, matrix_view<float> out) const {
  if (x.cols != cols)
    throw shape_error("pca::transform: x has " + std::to_string(x.cols) + " columns but was fitted on " +
                      std::to_string(cols) + "; pass the same features");
  if (out.rows != x.rows || out.cols != kept)
    throw shape_error("pca::transform: out is [" + std::to_string(out.rows) + ", " + std::to_string(out.cols) +
                      "]; pass [" + std::to_string(x.rows) + ", " + std::to_string(kept) +
                      "], the rows of x by the components kept");
  const std::vector<float> zeros(std::size_t(kept), 0.0f);
  const row_product project({components.data(), kept, cols}, {zeros.data(), kept});
  parallel_blocks(cpu{}, x.rows, transform_block, [&](index_t, index_t begin, index_t end) {
    std::vector<float> centred(static_cast<std::size_t>(cols));
    for (index_t i = begin; i < end; ++i) {
      std::transform(x.row(i), x.row(i) + cols, mean.begin(), centred.begin(), std::minus<float>());
      project(centred.data(), out.row(i));
    }
  });
}

pca fit_pca(matrix_view<const float> x, index_t kept) {
  require_shape(x, kept);
  require_finite("fit_pca", x);
  const Eigen::VectorXd mean = mean_of(x);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance_of(x, mean));
  if (solver.info() != Eigen::Success)
    throw value_error("fit_pca: the covariance of x has no eigenvalues in double; scale x towards 1");

  pca fitted;
  fitted.cols = x.cols;
  fitted.kept = kept;
  fitted.mean.assign(mean.begin(), mean.end());
  for (index_t k = 0; k < kept; ++k) {
    const index_t rising = x.cols - 1 - k;  // Eigen's order
    const Eigen::VectorXd component = solver.eigenvectors().col(rising);
    const Eigen::VectorXd with_sign = sign_of(component) * component;
    fitted.components.insert(fitted.components.end(), with_sign.begin(), with_sign.end());
    // Rounding can leave the variance of an empty direction just below zero.
    fitted.deviation.push_back(float(std::sqrt(std::max(0.0, solver.eigenvalues()[rising]))));
  }
  return fitted;
}

}  // namespace poolwise
