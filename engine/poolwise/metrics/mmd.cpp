#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"
#include "poolwise/metrics/drift.hpp"

namespace poolwise {
namespace {

constexpr stream division_stream{31};
constexpr index_t row_block = 16;

using matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

matrix rows_together(matrix_view<const float> first, matrix_view<const float> second) {
  matrix rows(first.rows + second.rows, first.cols);
  for (index_t i = 0; i < rows.rows(); ++i) {
    const float* const from = i < first.rows ? first.row(i) : second.row(i - first.rows);
    for (index_t c = 0; c < first.cols; ++c) rows(i, c) = double(from[c]);
  }
  require_finite("maximum_mean_discrepancy", {rows.data(), std::size_t(rows.size())});
  return rows;
}

/// Differences are squared, rather than products taken: near rows keep their digits.
matrix squared_distances_of(const matrix& rows, cpu on) {
  matrix d2(rows.rows(), rows.rows());
  parallel_blocks(on, rows.rows(), row_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      for (index_t j = 0; j < rows.rows(); ++j) d2(i, j) = (rows.row(i) - rows.row(j)).squaredNorm();
  });
  return d2;
}

/// The median distance of two rows that differ; 0 where none do.
double median_of_distances(const matrix& d2) {
  std::vector<double> apart;
  for (index_t i = 0; i < d2.rows(); ++i)
    for (index_t j = 0; j < i; ++j)
      if (d2(i, j) > 0) apart.push_back(d2(i, j));
  if (apart.empty()) return 0;
  const auto middle = apart.begin() + std::ptrdiff_t(apart.size() / 2);
  std::nth_element(apart.begin(), middle, apart.end());
  if (apart.size() % 2 == 1) return std::sqrt(*middle);
  return (std::sqrt(*std::max_element(apart.begin(), middle)) + std::sqrt(*middle)) / 2;
}

/// The kernel between all rows, 0 of a row with itself, and what of it lies in a division of the rows in two.
struct kernel_sums {
  matrix kernel;
  std::vector<double> of_row;
  double total = 0;

  kernel_sums(matrix d2, double bandwidth, cpu on) : kernel(std::move(d2)), of_row(std::size_t(kernel.rows())) {
    parallel_blocks(on, kernel.rows(), row_block, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        double sum = 0;
        for (index_t j = 0; j < kernel.cols(); ++j) {
          double& k = kernel(i, j);
          k = i == j ? 0 : std::exp(-k / (2 * bandwidth * bandwidth));
          sum += k;
        }
        of_row[std::size_t(i)] = sum;
      }
    });
    total = std::accumulate(of_row.begin(), of_row.end(), 0.0);
  }

  /// MMD^2 of these rows against all others: all sums follow from that within them.
  double squared(std::span<const index_t> part) const {
    double within = 0, of_part = 0;
    for (const index_t i : part) {
      const double* const row = kernel.data() + i * kernel.cols();
      for (const index_t j : part) within += row[j];
      of_part += of_row[std::size_t(i)];
    }
    const double m = double(part.size()), n = double(kernel.rows()) - m;
    const double across = of_part - within, others = total - within - 2 * across;
    return within / (m * (m - 1)) + others / (n * (n - 1)) - 2 * across / (m * n);
  }
};

/// `size` of `all` rows, by the first steps of a shuffle.
std::vector<index_t> drawn_rows(index_t all, index_t size, std::uint64_t seed, index_t permutation) {
  std::vector<index_t> order(static_cast<std::size_t>(all));
  std::iota(order.begin(), order.end(), index_t(0));
  for (index_t i = 0; i < size; ++i) {
    const double u = random_unit(seed, division_stream, std::uint64_t(i), std::uint32_t(permutation));
    std::swap(order[std::size_t(i)], order[std::size_t(i + index_t(u * double(all - i)))]);
  }
  order.resize(std::size_t(size));
  std::sort(order.begin(), order.end());
  return order;
}

void require_samples(matrix_view<const float> first, matrix_view<const float> second,
                     const mmd_options& options) {
  const std::string call = "maximum_mean_discrepancy: ";
  if (first.rows < 2 || second.rows < 2 || first.cols != second.cols || first.cols < 1)
    throw shape_error(call + "the samples are [" + std::to_string(first.rows) + ", " +
                      std::to_string(first.cols) + "] and [" + std::to_string(second.rows) + ", " +
                      std::to_string(second.cols) + "]; pass at least 2 rows each, of the same columns");
  if (!(options.bandwidth >= 0 && std::isfinite(options.bandwidth)))
    throw value_error(call + "bandwidth is " + std::to_string(options.bandwidth) +
                      "; pass a distance, or 0 for the median");
  if (options.permutations < 0)
    throw value_error(call + "permutations is " + std::to_string(options.permutations) +
                      "; pass 0 or more, such as 999");
}

}  // namespace

mmd_test maximum_mean_discrepancy(matrix_view<const float> first, matrix_view<const float> second,
                                  const mmd_options& options, cpu on) {
  require_samples(first, second, options);
  matrix d2 = squared_distances_of(rows_together(first, second), on);
  mmd_test test;
  test.bandwidth = options.bandwidth > 0 ? options.bandwidth : median_of_distances(d2);
  if (test.bandwidth == 0) return test;
  const kernel_sums sums(std::move(d2), test.bandwidth, on);
  // MMD^2 is the same of either sample: the smaller one is cheaper.
  const bool of_first = first.rows <= second.rows;
  const index_t all = first.rows + second.rows, size = of_first ? first.rows : second.rows;
  std::vector<index_t> part(static_cast<std::size_t>(size));
  std::iota(part.begin(), part.end(), of_first ? index_t(0) : first.rows);
  test.squared = sums.squared(part);
  // Divisions that are equal in truth must not be told apart by the order of their sums.
  const double as_far = test.squared - 1e-12;
  std::vector<char> reached(static_cast<std::size_t>(options.permutations));
  parallel_blocks(on, options.permutations, 1, [&](index_t permutation, index_t, index_t) {
    reached[std::size_t(permutation)] =
        sums.squared(drawn_rows(all, size, options.seed, permutation)) >= as_far;
  });
  const auto count = std::count(reached.begin(), reached.end(), char(1));
  test.p = double(1 + count) / double(1 + options.permutations);
  return test;
}

}  // namespace poolwise
