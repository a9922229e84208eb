#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/query/detail/rows_beside.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// A row times a power of two, where fp32 does not hold the square of its length: its direction stays.
class measurable_row {
 public:
  const float* of(const float* row, index_t cols, float largest) {
    const double scale = distance_scale(largest, cols);
    if (scale == 1) return row;
    values_.assign(row, row + cols);
    for (float& value : values_) value = float(double(value) * scale);
    return values_.data();
  }

 private:
  std::vector<float> values_;
};

/// The cosine of a row to each query, weighted: the largest, or their mean. A row or a query of zeros is like
/// nothing: its cosine is 0.
void score_similar(const stage_input& x, vector_view<float> scores) {
  check_queries("similar", x);
  const matrix_view<const float> queries = *x.pool.queries, rows = *x.pool.embeddings;
  const vector_view<const float> weights = x.pool.query_weights;
  const bool mean = x.what->given["mean"] != 0;
  std::vector<measurable_row> scaled(std::size_t(queries.rows));
  std::vector<const float*> query;
  std::vector<double> factor;  // of a query: its weight over its norm
  double total = 0;
  for (index_t q = 0; q < queries.rows; ++q) {
    const double weight = weights.empty() ? 1 : double(weights[q]);
    query.push_back(
        scaled[std::size_t(q)].of(queries.row(q), queries.cols, largest_size(queries.row(q), queries.cols)));
    const double norm = std::sqrt(double(canonical_dot(query.back(), query.back(), queries.cols)));
    factor.push_back(norm > 0 ? weight / norm : 0);
    total += weight;
  }
  parallel_blocks(host_of(x.on), rows.rows, 256, [&](index_t, index_t begin, index_t end) {
    measurable_row scaled_row;
    for (index_t i = begin; i < end; ++i) {
      const float size = largest_size(rows.row(i), rows.cols);
      if (!(size <= std::numeric_limits<float>::max())) {
        scores[i] = std::numeric_limits<float>::quiet_NaN();
        continue;
      }
      const float* const row = scaled_row.of(rows.row(i), rows.cols, size);
      const double norm = std::sqrt(double(canonical_dot(row, row, rows.cols)));
      double sum = 0, largest = -std::numeric_limits<double>::infinity();
      for (index_t q = 0; q < queries.rows; ++q) {
        const double cosine =
            factor[std::size_t(q)] * double(canonical_dot(row, query[std::size_t(q)], rows.cols));
        sum += cosine;
        largest = std::max(largest, cosine);
      }
      scores[i] = norm > 0 ? float((mean ? sum / total : largest) / norm) : 0.0f;
    }
  });
}

}  // namespace

std::vector<strategy_entry> strategies_of_similar() {
  return {{.name = "similar",
           .kind = "acquisition",
           .formula = "max_q w_q cos(x, q), q of the queries; mean=1: sum_q w_q cos(x, q) / sum_q w_q",
           .source = "Salton et al. 1975",
           .on_devices = "none",
           .needs = part::embeddings | part::queries,
           .parameters =
               {{"mean", 0, {0, 1, false, true}, "1: the mean over the queries; 0: the most similar one"}},
           .aliases = {"cosine"},
           .score = score_similar}};
}

}  // namespace poolwise
