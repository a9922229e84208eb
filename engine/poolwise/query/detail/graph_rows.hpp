// What strategies over a graph of rows share.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "poolwise/graph/similarity.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// What a graph is made of: the rows that may be picked and the labelled ones, which count as picked. Equal
/// rows are one vertex. Vertices come in the order of their first rows, labelled rows after the others.
class graph_rows {
 public:
  explicit graph_rows(const stage_input& x);

  index_t count() const { return index_t(weights_.size()); }
  /// Those of the vertices.
  finite_rows points() const {
    return finite_rows::judged(matrix_view<const float>{points_.data(), count(), cols_});
  }
  /// [vertices] how many rows each is.
  vector_view<const float> weights() const { return {weights_.data(), count()}; }
  /// Vertices, each once.
  const std::vector<index_t>& labelled() const { return labelled_; }
  /// [rows of the stage] the vertex of each; -1 where it is barred.
  const std::vector<index_t>& vertex() const { return vertex_; }

 private:
  index_t cols_;
  std::vector<index_t> vertex_, labelled_;
  std::vector<float> weights_, points_;
};

/// What graph_rows takes.
std::uint64_t graph_rows_bytes(const strategy_size& size);

/// What lists of neighbours take beside themselves, by the method of `size`.
std::uint64_t lists_bytes(const strategy_size& size);

/// The graph of nearest neighbours of `rows`, those of x, as many as the parameter `neighbours` says, and what
/// it takes. A law whose scale is 0 is given one. Made once where a strategy is asked again of the same rows,
/// as under a budget.
std::shared_ptr<const similarity_graph> neighbour_graph(const stage_input& x, const graph_rows& rows,
                                                        similarity_law& law);
std::shared_ptr<const similarity_graph> neighbour_graph(const stage_input& x, const graph_rows& rows);
std::uint64_t neighbour_graph_bytes(const strategy_size& size);

}  // namespace poolwise
