#include "poolwise/query/detail/rows_beside.hpp"

#include <cmath>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/pool/unit_rows.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"

namespace poolwise {
namespace {

void check_rows(const std::string& call, const char* all, const char* one, matrix_view<const float> rows,
                index_t features) {
  if (rows.rows == 0 || rows.cols != features)
    throw shape_error(call + ": " + all + " [" + std::to_string(rows.rows) + ", " + std::to_string(rows.cols) +
                      "] but the embeddings have " + std::to_string(features) +
                      " features; give at least one " + one + ", of as many");
  for (index_t r = 0; r < rows.rows; ++r)
    if (!all_finite(rows.row(r), rows.cols))
      throw value_error(call + ": " + one + " " + std::to_string(r) +
                        " holds a value that is not finite; mend it");
}

}  // namespace

void check_queries(const char* call, const stage_input& x) {
  const matrix_view<const float> queries = *x.pool.queries;
  const vector_view<const float> weights = x.pool.query_weights;
  check_rows(call, "the queries are", "query", queries, x.pool.embeddings->cols);
  const std::string opening = std::string(call) + ": ";
  if (!weights.empty() && weights.size != queries.rows)
    throw shape_error(opening + "there are " + std::to_string(weights.size) + " weights for " +
                      std::to_string(queries.rows) + " queries; give one for each, or none");
  double total = weights.empty() ? 1 : 0;
  for (index_t q = 0; q < weights.size; ++q) {
    if (!(weights[q] >= 0 && std::isfinite(weights[q])))
      throw value_error(opening + "query " + std::to_string(q) + " has no weight of 0 or more; mend it");
    total += double(weights[q]);
  }
  if (total == 0) throw value_error(opening + "all queries have weight 0; give one of them more");
}

void check_private(const char* call, const stage_input& x) {
  check_rows(call, "the private rows are", "private row", *x.pool.private_rows, x.pool.embeddings->cols);
}

std::vector<double> directions(matrix_view<const float> rows) {
  std::vector<double> units;
  units.reserve(std::size_t(rows.rows * rows.cols));
  for (index_t i = 0; i < rows.rows; ++i) {
    const double scale = inverse_length(rows.row(i), rows.cols);
    for (index_t c = 0; c < rows.cols; ++c) units.push_back(scale * double(rows(i, c)));
  }
  return units;
}

std::vector<float> distances_to_beside(const stage_input& x, finite_rows points,
                                       matrix_view<const float> beside) {
  const std::vector<float> scaled = scaled_rows(host_of(x.on), beside, x.unit);
  return distances_to(x.on, points,
                      finite_rows::judged(matrix_view<const float>{scaled.data(), beside.rows, beside.cols}));
}

}  // namespace poolwise
