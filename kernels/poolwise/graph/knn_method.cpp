#include "poolwise/graph/knn_method.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/graph/detail/neighbours_cuda.hpp"
#include "poolwise/graph/detail/small_world.hpp"
#include "poolwise/graph/neighbours.hpp"

namespace poolwise {
namespace {

constexpr stream sample_stream{10};

constexpr double exact_work = 1e13;  // about 70 s on two cores with byte products
constexpr index_t tuned_on = 256, reported_on = 512;
constexpr index_t rows_a_cell = 64, kmeans_iterations = 10, most_probes = 256, most_breadth = 1024;

/// Some points, and the exact neighbours of each among all others.
class sample {
 public:
  sample(const where& on, finite_rows points, index_t neighbours, index_t count, index_t first)
      : points_(points), each_(neighbours) {
    // One of each part of the rows, at a random place.
    const index_t parts = std::min(count, points.rows());
    for (index_t s = 0; s < parts; ++s) {
      const index_t begin = points.rows() * s / parts, end = points.rows() * (s + 1) / parts;
      rows_.push_back(begin + index_t(random_bits(0, sample_stream, std::uint64_t(first + s)) %
                                      std::uint64_t(end - begin)));
    }
    for (const index_t row : rows_)
      places_.insert(places_.end(), points.row(row), points.row(row) + points.cols());
    const index_t with_self = each_ + 1;
    std::vector<index_t> found(rows_.size() * std::size_t(with_self));
    nearest_neighbours(on, places(), points, {found.data(), this->count(), with_self});
    for (index_t s = 0; s < this->count(); ++s) {
      const auto list = found.begin() + s * with_self;
      const auto self =
          std::find(list, list + each_, rows_[std::size_t(s)]);  // the last place goes, if no other
      which_.insert(which_.end(), list, self);
      which_.insert(which_.end(), self + 1, list + with_self);
    }
  }

  index_t count() const { return index_t(rows_.size()); }
  index_t row(index_t s) const { return rows_[std::size_t(s)]; }
  vector_view<const index_t> rows() const { return {rows_.data(), count()}; }
  finite_rows places() const { return finite_rows::judged({places_.data(), count(), points_.cols()}); }
  const index_t* neighbours_of(index_t s) const { return which_.data() + s * each_; }

  /// The share of the neighbours in lists `of(s)` that are no farther than the last exact one.
  template <class ListOf>
  double recall(ListOf&& of) const {
    index_t near = 0;
    for (index_t s = 0; s < count(); ++s) {
      const float last = distance(s, neighbours_of(s)[each_ - 1]);
      const index_t* const list = of(s);
      near += std::count_if(list, list + each_,
                            [&](index_t other) { return other >= 0 && distance(s, other) <= last; });
    }
    return double(near) / double(count() * each_);
  }

 private:
  float distance(index_t s, index_t other) const {
    return canonical_squared_distance(points_.row(row(s)), points_.row(other), points_.cols());
  }

  finite_rows points_;
  index_t each_;
  std::vector<index_t> rows_, which_;
  std::vector<float> places_;
};

index_t cells_of(index_t rows) { return std::min(index_t(4 * std::sqrt(double(rows))), (rows + 7) / 8); }

/// The fewest cells that each point has to look into.
index_t probes_for(const where& on, finite_rows points, finite_rows centroids, const sample& of, index_t each) {
  const index_t most = std::min(most_probes, centroids.rows());
  std::vector<index_t> cells(std::size_t(of.count() * most)), cell(static_cast<std::size_t>(each));
  nearest_neighbours(on, of.places(), centroids, {cells.data(), of.count(), most});
  std::vector<index_t> found_at(std::size_t(most) + 1, 0);  // in the cell of each rank; and beyond all
  std::vector<float> places(std::size_t(each * points.cols())), d2(cell.size());
  for (index_t s = 0; s < of.count(); ++s) {
    for (index_t n = 0; n < each; ++n)
      std::copy_n(points.row(of.neighbours_of(s)[n]), points.cols(), places.data() + n * points.cols());
    const auto listed = finite_rows::judged({places.data(), each, points.cols()});
    nearest(on, listed, centroids, {d2.data(), each}, {cell.data(), each});
    const auto first = cells.begin() + s * most;
    for (const index_t c : cell) ++found_at[std::size_t(std::find(first, first + most, c) - first)];
  }
  const double wanted = wanted_recall * double(of.count() * each);
  double found = 0;
  index_t probes = 0;
  while (probes < most && found < wanted) found += double(found_at[std::size_t(probes++)]);
  return probes;
}

knn_report by_cells(const where& on, finite_rows points, const sample& tuning, matrix_view<index_t> neighbours,
                    matrix_view<float> d2) {
  knn_report made{.method = knn_method::ivf};
  made.cells = cells_of(points.rows());
  made.train_rows = std::min(points.rows(), rows_a_cell * made.cells);
  std::vector<float> values(std::size_t(made.cells * points.cols()));
  const matrix_view<float> means{values.data(), made.cells, points.cols()};
  kmeans(on, points, means, {.train_rows = made.train_rows, .iterations = kmeans_iterations});
  const finite_rows centroids = require_finite(on, "knn_graph_by", "centroids", means);
  made.probes = probes_for(on, points, centroids, tuning, neighbours.cols);
  knn_graph_ivf(on, points, centroids, made.probes, neighbours, d2);
  return made;
}

knn_report by_walks(cpu on, finite_rows points, const sample& tuning, matrix_view<index_t> neighbours,
                    matrix_view<float> d2) {
  const index_t each = neighbours.cols;
  const hnsw_options options;
  small_world world(points, options.links, options.breadth_of_making);
  std::vector<index_t> found(std::size_t(tuning.count() * each));
  index_t breadth = options.breadth;
  for (;; breadth *= 2) {
    world.search(on, tuning.rows(), breadth, {{found.data(), tuning.count(), each}, {}});
    if (breadth >= most_breadth ||
        tuning.recall([&](index_t s) { return found.data() + s * each; }) >= wanted_recall)
      break;
  }
  world.search(on, {}, breadth, {neighbours, d2});
  return {.method = knn_method::hnsw, .links = options.links, .breadth = breadth};
}

/// Refuses all that is wrong with an approximation of the lists but the values of the rows.
void check_approximation(knn_method method, const where& on, matrix_view<const float> points,
                         const neighbour_lists& to) {
  const char* const call = "knn_graph_by";
  if (std::holds_alternative<cuda>(on))
    throw value_error(std::string(call) +
                      ": measures recall on host memory, and cuda{} means arrays on a device; pass offload{}");
  require_build_for(on, call);
  if (!std::holds_alternative<cpu>(on) && (method == knn_method::hnsw || !has_faiss_gpu))
    throw no_cuda_error(std::string(call) + ": on a device neighbours by " + name_of(method) +
                        (method == knn_method::hnsw ? " are not found" : " need a FAISS with a GPU part") +
                        "; take the CPU (--device cpu), or all neighbours (--neighbours exact)");
  check_knn_lists(call, points, to);
}

}  // namespace

const char* name_of(knn_method method) {
  constexpr const char* names[] = {"auto", "exact", "ivf", "hnsw"};
  return names[int(method)];
}

knn_method parse_knn_method(const std::string& name) {
  for (const auto method : {knn_method::automatic, knn_method::exact, knn_method::ivf, knn_method::hnsw})
    if (name == name_of(method)) return method;
  throw value_error("neighbours by \"" + name +
                    "\" are unknown; pass \"auto\", \"exact\", \"ivf\" or \"hnsw\"");
}

knn_method resolved(knn_method asked, const where& on, index_t rows, index_t cols) {
  if (asked != knn_method::automatic) return asked;
  const bool quick = double(rows) * double(rows) * double(cols) <= exact_work;
  return quick || !std::holds_alternative<cpu>(on) ? knn_method::exact : knn_method::ivf;
}

std::uint64_t knn_graph_bytes(knn_method method, index_t rows, index_t cols) {
  const auto n = std::uint64_t(rows), row_bytes = std::uint64_t(cols) * sizeof(float);
  const auto threads = std::uint64_t(threads_of(cpu{})), mib = std::uint64_t{1} << 20;
  const auto sampled = std::uint64_t(tuned_on + reported_on) * (row_bytes + 4096);
  if (method == knn_method::ivf) {
    const auto cells = std::uint64_t(cells_of(rows));
    const std::uint64_t training = std::min(n, cells * std::uint64_t(rows_a_cell)) * (row_bytes + 16) + 8 * n;
    const std::uint64_t searching = n * (row_bytes + 20) + 32 * mib;
    return sampled + std::max(training, searching) + 5 * cells * row_bytes + threads * 24 * mib;
  }
  if (method == knn_method::hnsw)
    return sampled + n * (500 + threads) + threads * 12 * mib + 64 * mib + 65'536 * row_bytes;
  return threads * 12 * mib;
}

knn_report knn_graph_by(knn_method method, const where& on, point_rows given, matrix_view<index_t> neighbours,
                        matrix_view<float> d2) {
  method = resolved(method, on, given.rows(), given.cols());
  if (method == knn_method::exact) {
    knn_graph(on, given, neighbours, d2);
    return {};
  }
  check_approximation(method, on, given, {neighbours, d2});
  const finite_rows points = given.require_finite(on, "knn_graph_by", "points");
  const sample tuning(on, points, neighbours.cols, tuned_on, reported_on);
  knn_report made = method == knn_method::ivf ? by_cells(on, points, tuning, neighbours, d2)
                                              : by_walks(std::get<cpu>(on), points, tuning, neighbours, d2);
  const sample reported(on, points, neighbours.cols, reported_on, 0);
  made.recall = reported.recall([&](index_t s) { return neighbours.row(reported.row(s)); });
  made.sampled = reported.count();
  return made;
}

}  // namespace poolwise
