// k-means and cells: FAISS takes the means, nearest() assigns.
#include <faiss/Clustering.h>
#include <faiss/Index.h>
#include <faiss/impl/FaissException.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/interruption.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/graph/detail/faiss_cpu.hpp"
#include "poolwise/graph/detail/neighbours_cuda.hpp"
#include "poolwise/graph/neighbours.hpp"

namespace poolwise {
namespace {

constexpr stream kmeans_stream{6};

/// The index that FAISS's Clustering asks for the nearest centroid of every row: nearest(), which is exact on
/// every device. FAISS asks for copies of rows that are finite.
class canonical_index : public faiss::Index {
 public:
  canonical_index(where on, index_t cols) : faiss::Index(cols), on_(std::move(on)) {}

  // The type of ids is faiss::Index::idx_t before FAISS 1.7.4 and faiss::idx_t since; both are 64 bits.
  void add(std::int64_t n, const float* x) override {
    centroids_.insert(centroids_.end(), x, x + n * d);
    ntotal += n;
  }
  void reset() override {
    centroids_.clear();
    ntotal = 0;
  }
  void search(std::int64_t n, const float* x, std::int64_t, float* d2, std::int64_t* ids,
              const faiss::SearchParameters* = nullptr) const override {
    const auto centroids = require_finite(on_, "kmeans", "centroids", {centroids_.data(), ntotal, d});
    nearest(on_, finite_rows::judged({x, n, d}), centroids, {d2, n}, {ids, n});
  }

 private:
  where on_;
  std::vector<float> centroids_;
};

/// `count` rows of `rows`, ascending: those whose random bits are lowest.
std::vector<index_t> drawn_rows(index_t rows, index_t count, std::uint64_t seed) {
  std::vector<index_t> drawn(static_cast<std::size_t>(rows));
  std::iota(drawn.begin(), drawn.end(), index_t(0));
  if (count == rows) return drawn;
  const auto before = [&](index_t a, index_t b) {
    const auto bits_a = random_bits(seed, kmeans_stream, std::uint64_t(a));
    const auto bits_b = random_bits(seed, kmeans_stream, std::uint64_t(b));
    return bits_a < bits_b || (bits_a == bits_b && a < b);
  };
  std::nth_element(drawn.begin(), drawn.begin() + count, drawn.end(), before);
  drawn.resize(std::size_t(count));
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

/// The rows to train on, without padding, in host memory.
std::vector<float> training_rows(const where& on, matrix_view<const float> points,
                                 const kmeans_options& options) {
  const index_t count = options.train_rows == 0 ? points.rows : options.train_rows;
  const std::vector<index_t> drawn = drawn_rows(points.rows, count, options.seed);
  std::vector<float> rows(std::size_t(count * points.cols));
  if constexpr (has_cuda)
    if (const auto* device = std::get_if<cuda>(&on)) {
      rows_to_host_cuda(*device, "kmeans", points, drawn, rows.data());
      return rows;
    }
  for (index_t i = 0; i < count; ++i)
    std::copy_n(points.row(drawn[std::size_t(i)]), points.cols, rows.data() + i * points.cols);
  return rows;
}

void check_kmeans(const where& on, matrix_view<const float> points, matrix_view<float> centroids,
                  const kmeans_options& options) {
  require_build_for(on, "kmeans");
  const auto refuse = [](const std::string& what) { throw shape_error("kmeans: " + what); };
  const index_t train = options.train_rows == 0 ? points.rows : options.train_rows;
  if (centroids.cols != points.cols)
    refuse("centroids has " + std::to_string(centroids.cols) + " columns but points has " +
           std::to_string(points.cols) + "; pass as many");
  if (points.cols == 0) refuse("points has 0 columns; pass at least one");
  if (train < 0 || train > points.rows)
    refuse("train_rows is " + std::to_string(train) + " but points has " + std::to_string(points.rows) +
           " rows; pass at most as many, or 0 for all");
  if (centroids.rows < 1 || centroids.rows > train)
    refuse(std::to_string(centroids.rows) + " clusters of " + std::to_string(train) +
           " rows to train on; ask for 1 to " + std::to_string(train));
  if (options.weights.size != 0 && options.weights.size != points.rows)
    refuse("weights has " + std::to_string(options.weights.size) + " places but points has " +
           std::to_string(points.rows) + " rows; pass one per row, or none");
  if (options.fixed < 0 || options.fixed > centroids.rows)
    refuse(std::to_string(options.fixed) + " centroids of " + std::to_string(centroids.rows) +
           " are fixed; fix at most all");
  if ((options.fixed > 0 || options.weights.size > 0) &&
      (options.train_rows != 0 || std::holds_alternative<cuda>(on)))
    refuse("weights and fixed centroids are for all rows, in host memory; pass no train_rows, and no cuda{}");
  for (const float weight : options.weights)
    if (!(weight > 0 && weight <= std::numeric_limits<float>::max()))
      throw value_error("kmeans: a weight is " + std::to_string(weight) + "; pass finite numbers above 0");
  if (options.iterations < 1)
    throw value_error("kmeans: " + std::to_string(options.iterations) + " iterations; pass at least 1");
  require_reachable(on, "kmeans", {{"points", points}, {"centroids", centroids}});
}

/// Where rows are assigned that lie in host memory now.
where from_host(const where& on) {
  if (const auto* device = std::get_if<cuda>(&on)) return offload{{device->device}, device->memory};
  return on;
}

/// The rows of each of `cells` cells, of the cell of every row.
cell_order order_by_cell(const std::vector<index_t>& cell, index_t cells) {
  cell_order order;
  order.begin.assign(std::size_t(cells + 1), 0);
  for (const index_t c : cell) ++order.begin[std::size_t(c + 1)];
  std::partial_sum(order.begin.begin(), order.begin.end(), order.begin.begin());
  order.rows.resize(cell.size());
  std::vector<index_t> next(order.begin.begin(), order.begin.end() - 1);
  for (std::size_t i = 0; i < cell.size(); ++i)
    order.rows[std::size_t(next[std::size_t(cell[i])]++)] = index_t(i);
  return order;
}

/// Each free centroid at the mean of its rows; one that has none, where the row lies that is farthest from all.
void move_to_means(finite_rows points, const std::vector<index_t>& which, const std::vector<float>& d2,
                   const kmeans_options& options, matrix_view<float> centroids) {
  const index_t cols = points.cols();
  std::vector<double> sums(std::size_t(centroids.rows * cols)), weights(std::size_t(centroids.rows));
  for (index_t i = 0; i < points.rows(); ++i) {
    const double weight = options.weights.empty() ? 1 : double(options.weights[i]);
    const index_t c = which[std::size_t(i)];
    weights[std::size_t(c)] += weight;
    for (index_t f = 0; f < cols; ++f)
      sums[std::size_t(c * cols + f)] += weight * double(points.view().row(i)[f]);
  }
  std::vector<index_t> empty;
  for (index_t c = options.fixed; c < centroids.rows; ++c) {
    const double weight = weights[std::size_t(c)];
    if (weight == 0) empty.push_back(c);
    for (index_t f = 0; f < cols && weight > 0; ++f)
      centroids(c, f) = float(sums[std::size_t(c * cols + f)] / weight);
  }
  std::vector<index_t> farthest(empty.empty() ? 0 : d2.size());
  std::iota(farthest.begin(), farthest.end(), index_t(0));
  const auto end = farthest.begin() + std::min<std::ptrdiff_t>(std::ssize(farthest), std::ssize(empty));
  std::partial_sort(farthest.begin(), end, farthest.end(), [&](index_t a, index_t b) {
    const float far_a = d2[std::size_t(a)], far_b = d2[std::size_t(b)];
    return far_a > far_b || (far_a == far_b && a < b);
  });
  for (auto row = farthest.begin(); row != end && d2[std::size_t(*row)] > 0; ++row)
    std::copy_n(points.view().row(*row), cols, centroids.row(empty[std::size_t(row - farthest.begin())]));
}

/// Lloyd's iterations beside centroids that stay. Not by FAISS, which splits clusters to fill empty ones: where
/// fixed centroids own the rows it finds none to split and never ends.
void move_free_centroids(const where& on, finite_rows points, matrix_view<float> centroids,
                         const kmeans_options& options) {
  const index_t cols = points.cols(), free = centroids.rows - options.fixed;
  require_finite(host_of(on), "kmeans", "fixed centroids",
                 {centroids.data, options.fixed, cols, centroids.stride});
  const std::vector<index_t> drawn = drawn_rows(points.rows(), free, options.seed);
  for (index_t c = 0; c < free; ++c)
    std::copy_n(points.view().row(drawn[std::size_t(c)]), cols, centroids.row(options.fixed + c));
  std::vector<float> d2(std::size_t(points.rows()));
  std::vector<index_t> which(d2.size());
  for (int turn = 0; turn < options.iterations && free > 0; ++turn) {
    heed_interruption();
    nearest(on, points, finite_rows::judged(centroids), {d2.data(), points.rows()},
            {which.data(), points.rows()});
    move_to_means(points, which, d2, options, centroids);
  }
}

}  // namespace

void kmeans(const where& on, point_rows given, matrix_view<float> centroids, const kmeans_options& options) {
  check_kmeans(on, given, centroids, options);
  const finite_rows points = given.require_finite(on, "kmeans", "points");
  if (options.fixed > 0) return move_free_centroids(on, points, centroids, options);
  const std::vector<float> rows = training_rows(on, points, options);

  faiss::ClusteringParameters parameters;
  parameters.niter = options.iterations;
  parameters.seed = int(random_bits(options.seed, kmeans_stream, ~std::uint64_t{0}) >> 33);
  parameters.min_points_per_centroid = 1;  // fewer make FAISS print
  parameters.max_points_per_centroid = std::numeric_limits<int>::max();
  faiss::Clustering clustering(int(points.cols()), int(centroids.rows), parameters);
  canonical_index index(from_host(on), points.cols());
  with_faiss(threads_of(host_of(on)), [&] {
    clustering.train(index_t(rows.size()) / points.cols(), rows.data(), index,
                     options.weights.empty() ? nullptr : options.weights.data);
  });

  if constexpr (has_cuda)
    if (const auto* device = std::get_if<cuda>(&on))
      return rows_to_device_cuda(*device, "kmeans", clustering.centroids.data(), centroids);
  for (index_t c = 0; c < centroids.rows; ++c)
    std::copy_n(clustering.centroids.data() + c * centroids.cols, centroids.cols, centroids.row(c));
}

cell_order ivf_cells(const where& on, point_rows points, point_rows centroids) {
  require_build_for(on, "ivf_cells");
  std::vector<index_t> cell(std::size_t(points.rows()));
  if constexpr (has_cuda)
    if (const auto* device = std::get_if<cuda>(&on)) {
      nearest_to_host_cuda(*device, "ivf_cells", points, centroids, cell.data());
      return order_by_cell(cell, centroids.rows());
    }
  std::vector<float> d2(cell.size());
  nearest(on, points, centroids, {d2.data(), points.rows()}, {cell.data(), points.rows()});
  return order_by_cell(cell, centroids.rows());
}

}  // namespace poolwise
