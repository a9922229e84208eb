#include "poolwise/query/detail/graph_rows.hpp"

#include "poolwise/pool/detail/gather.hpp"

namespace poolwise {
namespace {

std::vector<index_t> rows_not_barred(const stage_input& x) {
  std::vector<index_t> rows;
  for (index_t i = 0; i < x.rows(); ++i)
    if (x.limit.barred.empty() || x.limit.barred[i] == 0) rows.push_back(i);
  return rows;
}

}  // namespace

graph_rows::graph_rows(const stage_input& x)
    : limit_(x.limit), cols_(x.pool.embeddings->cols), rows_(rows_not_barred(x)), run_(x.run, rows_) {
  points_.reserve(std::size_t((index_t(rows_.size()) + x.labelled.rows) * cols_));
  gather_into(host_of(x.on), *x.pool.embeddings, rows_, points_);
  for (index_t i = 0; i < x.labelled.rows; ++i) {
    labelled_.push_back(index_t(rows_.size()) + i);
    points_.insert(points_.end(), x.labelled.row(i), x.labelled.row(i) + cols_);
  }
  limit_.barred = {};
  limit_.cost = extended(limit_.cost, cost_);
  limit_.group = extended(limit_.group, group_);
  if (limit_.apart) limit_.apart->points = points();
}

std::vector<candidate> graph_rows::in_stage(std::vector<candidate> picks) const {
  for (candidate& c : picks) c.row = rows_[std::size_t(c.row)];
  return picks;
}

template <class T>
vector_view<const T> graph_rows::extended(vector_view<const T> values, std::vector<T>& into) const {
  if (values.empty()) return {};
  into = gather(values, rows_);
  into.resize(std::size_t(count()), T(0));
  return {into.data(), count()};
}

std::uint64_t graph_rows_bytes(const strategy_size& size) {
  return (size.rows + size.labelled) * (2 * 4 * size.features + 4 * 8);
}

std::uint64_t lists_bytes(const strategy_size& size) {
  return knn_graph_bytes(size.neighbours, index_t(size.rows + size.labelled), index_t(size.features));
}

similarity_graph neighbour_graph(const stage_input& x, const graph_rows& rows) {
  knn_report made;
  similarity_graph graph = knn_similarities(x.on, rows.points(), x.count("neighbours"), 0, x.neighbours, &made);
  if (x.lists != nullptr) *x.lists = made;
  return graph;
}

std::uint64_t neighbour_graph_bytes(const strategy_size& size) {
  // The lists, twice the graph while it shrinks to what it holds, and what the picks take.
  const auto listed = std::uint64_t(size.given->count("neighbours"));
  const std::uint64_t row = listed * (8 + 4) + 2 * 8 * (2 * listed + 1) + 3 * 8 + 21;
  return graph_rows_bytes(size) + (size.rows + size.labelled) * row + lists_bytes(size);
}

}  // namespace poolwise
