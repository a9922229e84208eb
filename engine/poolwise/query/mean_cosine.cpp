#include <algorithm>
#include <cmath>
#include <limits>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"

namespace poolwise {
namespace {

constexpr index_t most_blocks = 256;

/// The mean of the rows that count, each times scale_of(row) unless that is NaN.
template <class Scale>
std::vector<double> mean_of(cpu on, matrix_view<const float> rows,
                            const std::function<bool(index_t row)>& counts, Scale scale_of) {
  const index_t block = std::max<index_t>(4096, blocks_of(rows.rows, most_blocks));
  const index_t width = rows.cols + 1;  // sums, and of how many rows
  std::vector<double> sums(std::size_t(blocks_of(rows.rows, block) * width));
  parallel_blocks(on, rows.rows, block, [&](index_t b, index_t begin, index_t end) {
    double* const sum = sums.data() + b * width;
    for (index_t i = begin; i < end; ++i) {
      const double scale = scale_of(rows.row(i));
      if (std::isnan(scale) || !counts(i)) continue;
      for (index_t f = 0; f < rows.cols; ++f) sum[f] += scale * double(rows(i, f));
      sum[rows.cols] += 1;
    }
  });
  std::vector<double> mean(std::size_t(width), 0.0);
  for (std::size_t s = 0; s < sums.size(); ++s) mean[s % mean.size()] += sums[s];
  const double count = std::max(1.0, mean.back());
  mean.pop_back();
  for (double& value : mean) value /= count;
  return mean;
}

}  // namespace

std::vector<double> mean_direction(cpu on, matrix_view<const float> rows,
                                   const std::function<bool(index_t row)>& counts) {
  return mean_of(on, rows, counts, [&](const float* row) { return inverse_length(row, rows.cols); });
}

std::vector<double> mean_row(cpu on, matrix_view<const float> rows,
                             const std::function<bool(index_t row)>& counts) {
  return mean_of(on, rows, counts, [&](const float* row) {
    return all_finite(row, rows.cols) ? 1.0 : std::numeric_limits<double>::quiet_NaN();
  });
}

std::uint64_t mean_direction_bytes(std::uint64_t features) {
  return std::uint64_t(most_blocks + 1) * (features + 1) * sizeof(double);
}

double mean_cosine(const float* row, const std::vector<double>& mean) {
  const auto cols = index_t(mean.size());
  return row_dot(row, mean.data(), cols) * inverse_length(row, cols);
}

}  // namespace poolwise
