#include "poolwise/query/detail/graph_rows.hpp"

#include <algorithm>
#include <utility>

#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr index_t row_block = 1024;  // rows a thread takes at a time

/// The rows of a stage that are not barred and, numbered after all rows of the stage, the labelled ones.
class embedded_rows {
 public:
  explicit embedded_rows(const stage_input& x) : x_(x), on_(host_of(x.on)) {}

  index_t count() const { return x_.rows() + x_.labelled.rows; }
  index_t cols() const { return x_.pool.embeddings->cols; }
  bool barred(index_t i) const { return i < x_.rows() && !x_.limit.barred.empty() && x_.limit.barred[i] != 0; }
  const float* at(index_t i) const {
    return i < x_.rows() ? x_.pool.embeddings->row(i) : x_.labelled.row(i - x_.rows());
  }

  /// For each row the first that is equal to it; -1 for barred ones.
  std::vector<index_t> first_equal() const {
    std::vector<index_t> first(std::size_t(count()), -1);
    const std::vector<hashed> rows = by_hash();
    for (auto run = rows.begin(); run != rows.end();) {
      const auto end =
          std::find_if(run, rows.end(), [&](const hashed& other) { return other.hash != run->hash; });
      for (auto row = run; row != end; ++row) {
        const auto same = std::find_if(run, row, [&](const hashed& other) {
          return first[std::size_t(other.row)] == other.row && are_equal(other.row, row->row);
        });
        first[std::size_t(row->row)] = same->row;
      }
      settle_pages(on_);
      run = end;
    }
    return first;
  }

 private:
  struct hashed {
    std::uint64_t hash;
    index_t row;
  };

  bool are_equal(index_t i, index_t j) const { return std::equal(at(i), at(i) + cols(), at(j)); }

  /// Ascending, rows of one hash too.
  std::vector<hashed> by_hash() const {
    std::vector<hashed> rows;
    rows.reserve(std::size_t(count()));
    for (index_t i = 0; i < count(); ++i)
      if (!barred(i)) rows.push_back({0, i});
    parallel_blocks(on_, index_t(rows.size()), row_block, [&](index_t, index_t begin, index_t end) {
      std::vector<float> values(static_cast<std::size_t>(cols()));
      for (index_t n = begin; n < end; ++n) {
        const float* from = at(rows[std::size_t(n)].row);
        for (float& value : values) value = *from++ + 0.0f;  // -0 equals 0
        hash of_row;
        of_row.add(values.data(), values.size() * sizeof(float));
        rows[std::size_t(n)].hash = of_row.value();
      }
    });
    std::sort(rows.begin(), rows.end(), [](const hashed& a, const hashed& b) {
      return a.hash < b.hash || (a.hash == b.hash && a.row < b.row);
    });
    return rows;
  }

  const stage_input& x_;
  cpu on_;
};

}  // namespace

graph_rows::graph_rows(const stage_input& x) : cols_(x.pool.embeddings->cols) {
  const embedded_rows rows(x);
  vertex_ = rows.first_equal();
  index_t vertices = 0;
  for (index_t i = 0; i < rows.count(); ++i) vertices += vertex_[std::size_t(i)] == i;
  points_.reserve(std::size_t(vertices * cols_));
  std::vector<bool> has_label(std::size_t(vertices), false);
  for (index_t i = 0; i < rows.count(); ++i) {
    index_t& vertex = vertex_[std::size_t(i)];
    if (vertex < 0) continue;
    if (vertex == i) {
      vertex = count();
      weights_.push_back(0);
      points_.insert(points_.end(), rows.at(i), rows.at(i) + cols_);
      settle_pages(host_of(x.on));
    } else {
      vertex = vertex_[std::size_t(vertex)];  // the first row has its vertex by now
    }
    ++weights_[std::size_t(vertex)];
    if (i < x.rows() || has_label[std::size_t(vertex)]) continue;
    has_label[std::size_t(vertex)] = true;
    labelled_.push_back(vertex);
  }
  vertex_.resize(std::size_t(x.rows()));
}

std::uint64_t graph_rows_bytes(const strategy_size& size) {
  return (size.rows + size.labelled) * (2 * 4 * size.features + 6 * 8);
}

std::uint64_t lists_bytes(const strategy_size& size) {
  return knn_graph_bytes(size.neighbours, index_t(size.rows + size.labelled), index_t(size.features));
}

std::shared_ptr<const similarity_graph> neighbour_graph(const stage_input& x, const graph_rows& rows,
                                                        similarity_law& law) {
  struct made_graph {
    similarity_graph graph;
    similarity_law law;
  };
  if (x.made != nullptr && *x.made) {
    const auto before = std::static_pointer_cast<const made_graph>(*x.made);
    law = before->law;
    return {before, &before->graph};
  }
  knn_report lists;
  similarity_graph graph = knn_similarities(x.on, rows.points(), x.what->given.count("neighbours"), law,
                                            x.asked->neighbours, &lists);
  *x.lists = lists;
  const auto made = std::make_shared<const made_graph>(made_graph{std::move(graph), law});
  if (x.made != nullptr) *x.made = made;
  return {made, &made->graph};
}

std::shared_ptr<const similarity_graph> neighbour_graph(const stage_input& x, const graph_rows& rows) {
  similarity_law law;
  return neighbour_graph(x, rows, law);
}

std::uint64_t neighbour_graph_bytes(const strategy_size& size) {
  // The lists, twice the graph while it shrinks to what it holds, and what the picks take.
  const auto listed = std::uint64_t(size.given->count("neighbours"));
  const std::uint64_t row = listed * (8 + 4) + 2 * 8 * (2 * listed + 1) + 3 * 8 + 28;
  return graph_rows_bytes(size) + (size.rows + size.labelled) * row + lists_bytes(size);
}

}  // namespace poolwise
