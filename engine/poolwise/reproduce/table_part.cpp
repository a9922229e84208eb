#include "poolwise/reproduce/detail/table_part.hpp"

#include <cmath>
#include <numeric>

#include "poolwise/reproduce/detail/numpy_random.hpp"

namespace poolwise {

table_part parted(const labelled_table& data, std::span<const index_t> train, std::span<const index_t> test) {
  table_part part;
  part.trained = index_t(train.size());
  part.cols = data.cols;
  for (const auto& rows : {train, test})
    for (const index_t row : rows) {
      part.labels.push_back(data.labels[std::size_t(row)]);
      part.features.insert(part.features.end(), data.view().row(row), data.view().row(row) + data.cols);
    }
  return part;
}

table_part standardised(table_part part) {
  const double count = double(part.trained);
  for (index_t j = 0; j < part.cols; ++j) {
    double mean = 0, squares = 0, drift = 0;
    for (index_t i = 0; i < part.trained; ++i) mean += part.view()(i, j);
    mean /= count;
    for (index_t i = 0; i < part.trained; ++i) {
      const double d = part.view()(i, j) - mean;
      squares += d * d;
      drift += d;
    }
    const double variance = (squares - drift * drift / count) / count;
    const double tiny = 1e-15 * mean * mean;  // rounding may leave so much of a constant column
    const double deviation = variance > tiny ? std::sqrt(variance) : 1;
    for (index_t i = 0; i < part.rows(); ++i) {
      double& x = part.features[std::size_t(i * part.cols + j)];
      x = (x - mean) / deviation;
    }
  }
  return part;
}

std::vector<index_t> shuffled_rows(index_t rows, std::uint64_t seed) {
  std::vector<index_t> all(static_cast<std::size_t>(rows));
  std::iota(all.begin(), all.end(), index_t(0));
  numpy_random(seed).shuffle(std::span(all));
  return all;
}

}  // namespace poolwise
