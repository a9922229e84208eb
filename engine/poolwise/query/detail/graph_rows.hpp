// What strategies over a graph of rows share.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/graph/similarity.hpp"
#include "poolwise/query/detail/renumbered_run.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// What a graph is made of: the rows that may be picked, then the labelled ones, which count as picked.
class graph_rows {
 public:
  explicit graph_rows(const stage_input& x);
  graph_rows(const graph_rows&) = delete;
  graph_rows& operator=(const graph_rows&) = delete;

  index_t count() const { return index_t(rows_.size() + labelled_.size()); }
  finite_rows points() const {
    return finite_rows::judged(matrix_view<const float>{points_.data(), count(), cols_});
  }
  const std::vector<index_t>& labelled() const { return labelled_; }
  const allowance& limit() const { return limit_; }
  /// The run of the stage in the numbers of the graph; null where there is none.
  batch_run* run() { return run_.view(); }

  /// Picks by their rows in the graph become picks by their rows in the stage.
  std::vector<candidate> in_stage(std::vector<candidate> picks) const;

 private:
  template <class T>
  vector_view<const T> extended(vector_view<const T> values, std::vector<T>& into) const;

  allowance limit_;
  index_t cols_;
  std::vector<index_t> rows_, labelled_, group_;
  std::vector<std::int64_t> cost_;
  std::vector<float> points_;
  renumbered_run run_;
};

/// What graph_rows takes.
std::uint64_t graph_rows_bytes(const strategy_size& size);

/// What lists of neighbours take beside themselves, by the method of `size`.
std::uint64_t lists_bytes(const strategy_size& size);

/// The graph of nearest neighbours, as many as the parameter `neighbours` says, and what it takes.
similarity_graph neighbour_graph(const stage_input& x, const graph_rows& rows);
std::uint64_t neighbour_graph_bytes(const strategy_size& size);

}  // namespace poolwise
