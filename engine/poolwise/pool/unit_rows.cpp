#include "poolwise/pool/unit_rows.hpp"

#include <cmath>

#include "poolwise/core/detail/parallel.hpp"

namespace poolwise {

std::vector<float> unit_rows(cpu on, matrix_view<const float> x) {
  std::vector<float> scaled(std::size_t(x.rows * x.cols));
  parallel_blocks(on, x.rows, 256, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const float* const row = x.row(i);
      double sum = 0;
      for (index_t c = 0; c < x.cols; ++c) sum += double(row[c]) * double(row[c]);
      const double length = std::sqrt(sum);
      for (index_t c = 0; c < x.cols; ++c) scaled[std::size_t(i * x.cols + c)] = float(double(row[c]) / length);
    }
  });
  return scaled;
}

std::vector<float> scaled_rows(cpu on, matrix_view<const float> x, double scale) {
  std::vector<float> scaled(std::size_t(x.rows * x.cols));
  parallel_blocks(on, x.rows, 256, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      for (index_t c = 0; c < x.cols; ++c) scaled[std::size_t(i * x.cols + c)] = float(double(x(i, c)) * scale);
  });
  return scaled;
}

}  // namespace poolwise
