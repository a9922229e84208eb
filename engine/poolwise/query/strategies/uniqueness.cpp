#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/graph/knn_method.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/detail/linear_model.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr double weights[] = {0.6, 0.3, 0.1};

/// Of the rows that may be picked alone: a near copy of a labelled row is no less unique for it.
void score_uniqueness(const stage_input& x, vector_view<float> scores) {
  const std::vector<std::uint8_t> counts = rows_that_count(x);
  std::vector<index_t> rows;
  for (index_t i = 0; i < x.rows(); ++i) {
    scores[i] = counts[std::size_t(i)] != 0 ? 0 : std::numeric_limits<float>::quiet_NaN();
    if (counts[std::size_t(i)] != 0) rows.push_back(i);
  }
  const index_t count = index_t(rows.size()), near = std::min<index_t>(3, count - 1);
  if (near < 1) return;
  const cpu on = host_of(x.on);
  std::vector<float> points = gather(on, *x.pool.embeddings, rows);
  float largest = 0;
  for (const float value : points) largest = std::max(largest, std::abs(value));
  const double scale =
      distance_scale(largest, x.pool.embeddings->cols);  // so that fp32 holds squared distances
  if (scale != 1)
    for (float& value : points) value = float(double(value) * scale);
  std::vector<index_t> which(std::size_t(count * near));
  std::vector<float> d2(which.size());
  const finite_rows judged =
      finite_rows::judged(matrix_view<const float>{points.data(), count, x.pool.embeddings->cols});
  const knn_report made = knn_graph_by(resolved(x.asked->neighbours, x.on, count, judged.cols()), x.on, judged,
                                       {which.data(), count, near}, {d2.data(), count, near});
  if (x.lists != nullptr) *x.lists = made;
  for (index_t n = 0; n < count; ++n) {
    double sum = 0;
    for (index_t k = 0; k < near; ++k) {
      const float away = d2[std::size_t(n * near + k)];
      if (std::isfinite(away)) sum += weights[k] * std::sqrt(double(away));
    }
    scores[rows[std::size_t(n)]] = float(sum / (x.unit * scale));
  }
}

std::uint64_t bytes(const strategy_size& size) {
  return lists_bytes(size) +
         size.rows * (size.features * sizeof(float) + 4 * sizeof(index_t) + 3 * sizeof(float) + 1);
}

}  // namespace

std::vector<strategy_entry> strategies_of_uniqueness() {
  return {{.name = "uniqueness",
           .kind = "acquisition",
           .formula = "0.6 d_1 + 0.3 d_2 + 0.1 d_3, the distances to the 3 nearest rows",
           .source = "FiftyOne",
           .on_devices = "graph",
           .needs = part::embeddings,
           .does = trait::compares_rows | trait::lists_neighbours,
           .score = score_uniqueness,
           .bytes = bytes}};
}

}  // namespace poolwise
