#include <algorithm>
#include <cmath>
#include <limits>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"

namespace poolwise {
namespace {

constexpr index_t most_blocks = 256;

template <class T>
double dot(const float* x, const T* y, index_t cols) {
  double sum[4] = {};
  index_t c = 0;
  for (; c + 4 <= cols; c += 4)
    for (index_t k = 0; k < 4; ++k) sum[k] += double(x[c + k]) * double(y[c + k]);
  for (; c < cols; ++c) sum[0] += double(x[c]) * double(y[c]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

double inverse_length(const float* x, index_t cols) {
  const double squares = dot(x, x, cols);
  if (!std::isfinite(squares)) return std::numeric_limits<double>::quiet_NaN();
  return squares > 0 ? 1 / std::sqrt(squares) : 0;
}

}  // namespace

std::vector<double> mean_direction(cpu on, matrix_view<const float> rows,
                                   const std::function<bool(index_t row)>& counts) {
  const index_t block = std::max<index_t>(4096, blocks_of(rows.rows, most_blocks));
  const index_t width = rows.cols + 1;  // sums, and of how many rows
  std::vector<double> sums(std::size_t(blocks_of(rows.rows, block) * width));
  parallel_blocks(on, rows.rows, block, [&](index_t b, index_t begin, index_t end) {
    double* const sum = sums.data() + b * width;
    for (index_t i = begin; i < end; ++i) {
      const double scale = inverse_length(rows.row(i), rows.cols);
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

std::uint64_t mean_direction_bytes(std::uint64_t features) {
  return std::uint64_t(most_blocks + 1) * (features + 1) * sizeof(double);
}

double mean_cosine(const float* row, const std::vector<double>& mean) {
  const auto cols = index_t(mean.size());
  return dot(row, mean.data(), cols) * inverse_length(row, cols);
}

}  // namespace poolwise
