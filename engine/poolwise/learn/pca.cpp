#include "poolwise/learn/pca.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/products.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/learn/detail/checks.hpp"
#include "poolwise/learn/detail/row_product.hpp"

namespace poolwise {
namespace {

constexpr index_t panel = 2 * product_line<double>;  // columns of the covariance that are summed together
constexpr index_t covariance_block = 256;            // rows: a panel of them stays in the nearest cache
constexpr index_t transform_block = 64;

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

/// Rows less the mean, by panels of columns: element (i, j) is at (j / panel, i, j % panel).
class centred_panels {
 public:
  explicit centred_panels(index_t cols) : panels_(blocks_of(cols, panel)) {
    values_.resize(std::size_t(panels_ * covariance_block * panel));
  }

  void fill(matrix_view<const float> x, const Eigen::VectorXd& mean) {
    rows_ = x.rows;
    parallel_blocks(cpu{}, x.cols, panel, [&](index_t p, index_t begin, index_t end) {
      double* to = values_.data() + p * covariance_block * panel;
      for (index_t i = 0; i < rows_; ++i, to += panel)
        for (index_t j = begin; j < end; ++j) to[j - begin] = double(x(i, j)) - mean[j];
    });
  }

  index_t count() const { return panels_; }
  matrix_view<const double> operator()(index_t p) const {
    return {values_.data() + p * covariance_block * panel, rows_, panel};
  }

 private:
  index_t panels_, rows_ = 0;
  std::vector<double> values_;
};

/// The covariance (ddof 0): its lower triangle, and what else the panels hold. Every entry is one sum in the
/// order of the rows.
Eigen::MatrixXd covariance_of(matrix_view<const float> x, const Eigen::VectorXd& mean) {
  centred_panels panels(x.cols);
  const index_t width = panels.count() * panel;
  Eigen::MatrixXd sums =
      Eigen::MatrixXd::Zero(width, width);  // by columns: column j holds what j makes with others
  for (index_t begin = 0; begin < x.rows; begin += covariance_block) {
    panels.fill({x.row(begin), std::min(covariance_block, x.rows - begin), x.cols, x.stride}, mean);
    parallel_blocks(cpu{}, panels.count(), 1, [&](index_t p, index_t, index_t) {
      for (index_t q = p; q < panels.count(); ++q)
        add_products({panels(p).data, 1, panel}, panels(q),
                     {sums.data() + p * panel * width + q * panel, panel, panel, width});
    });
  }
  return sums.topLeftCorner(x.cols, x.cols) / double(x.rows);
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
    std::vector<float> centred;
    centred.reserve(std::size_t((end - begin) * cols));
    for (index_t i = begin; i < end; ++i)
      std::transform(x.row(i), x.row(i) + cols, mean.begin(), std::back_inserter(centred), std::minus<float>());
    project({centred.data(), end - begin, cols}, {out.row(begin), end - begin, kept, out.stride});
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
