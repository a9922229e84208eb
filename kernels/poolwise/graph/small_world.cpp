#include "poolwise/graph/detail/small_world.hpp"

#include <faiss/Index.h>
#include <faiss/IndexHNSW.h>
#include <faiss/impl/DistanceComputer.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/graph/detail/faiss_cpu.hpp"

namespace poolwise {
namespace {

constexpr index_t tile_rows = 65'536;  // a thread of FAISS's clears a byte a point for each tile
constexpr index_t row_block = 256;

/// FAISS's own computes each value of a row after the other in the builds that are for every x86-64.
class canonical_distances : public faiss::DistanceComputer {
 public:
  explicit canonical_distances(matrix_view<const float> points) : points_(points) {}

  // The type of ids is faiss::Index::idx_t before FAISS 1.7.4 and faiss::idx_t since; both are 64 bits.
  void set_query(const float* x) override { query_ = x; }
  float operator()(std::int64_t i) override {
    return canonical_squared_distance(query_, points_.row(i), points_.cols);
  }
  float symmetric_dis(std::int64_t i, std::int64_t j) override {
    return canonical_squared_distance(points_.row(i), points_.row(j), points_.cols);
  }

 private:
  matrix_view<const float> points_;
  const float* query_ = nullptr;
};

/// FAISS takes this for the place where the points are kept; they stay where they are.
class canonical_storage : public faiss::Index {
 public:
  explicit canonical_storage(matrix_view<const float> points) : faiss::Index(points.cols), points_(points) {}

  void add(std::int64_t n, const float*) override { ntotal += n; }
  void reset() override { ntotal = 0; }
  void search(std::int64_t, const float*, std::int64_t, float*, std::int64_t*,
              const faiss::SearchParameters* = nullptr) const override {}
  faiss::DistanceComputer* get_distance_computer() const override { return new canonical_distances(points_); }

 private:
  matrix_view<const float> points_;
};

}  // namespace

struct small_world::index {
  index(matrix_view<const float> points, int links)
      : view{dense(points, copy), points.rows, points.cols}, storage(view), graph(&storage, links) {}

  std::vector<float> copy;
  matrix_view<const float> view;
  canonical_storage storage;
  faiss::IndexHNSW graph;
};

small_world::small_world(matrix_view<const float> points, index_t links, index_t breadth_of_making)
    : index_(std::make_unique<index>(points, int(links))) {
  index_->graph.hnsw.efConstruction = int(breadth_of_making);
  with_faiss(1, [&] { index_->graph.add(points.rows, index_->view.data); });
}

small_world::~small_world() = default;

void small_world::search(cpu on, vector_view<const index_t> rows, index_t breadth, const neighbour_lists& to) {
  const auto& view = index_->view;
  const index_t each = to.which.cols + 1;                      // a point finds itself
  index_->graph.hnsw.efSearch = int(std::max(breadth, each));  // FAISS 1.7.3 heeds no SearchParameters here
  std::vector<float> queries, d2(std::size_t(std::min(to.which.rows, tile_rows) * each));
  std::vector<std::int64_t> found(d2.size());
  for (index_t from = 0; from < to.which.rows; from += tile_rows) {
    const index_t tile = std::min(to.which.rows - from, tile_rows);
    const auto point = [&](index_t i) { return rows.empty() ? from + i : rows[from + i]; };
    const float* x = view.row(from);
    if (!rows.empty()) {
      queries.resize(std::size_t(tile * view.cols));
      for (index_t i = 0; i < tile; ++i)
        std::copy_n(view.row(point(i)), view.cols, queries.data() + i * view.cols);
      x = queries.data();
    }
    with_faiss(threads_of(on), [&] { index_->graph.search(tile, x, each, d2.data(), found.data()); });
    parallel_blocks(on, tile, row_block, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        nearest_kept kept(to.which.cols);
        for (index_t n = i * each; n < (i + 1) * each; ++n)
          if (const index_t other = found[std::size_t(n)]; other >= 0 && other != point(i))
            kept.offer({d2[std::size_t(n)], other});
        to.write(from + i, kept);
      }
    });
  }
}

}  // namespace poolwise
