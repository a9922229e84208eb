// Neighbour lists by an inverted file: points that look into a cell meet its rows as a product.
#include <algorithm>
#include <cmath>
#include <compare>
#include <numeric>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/distance_tiles.hpp"
#include "poolwise/graph/detail/neighbour_lists.hpp"
#include "poolwise/graph/neighbours.hpp"

namespace poolwise {
namespace {

constexpr index_t most_probes = 1 << 22;  // cells of points that are known at a time
constexpr index_t most_listed = 1 << 17;  // neighbours on the lists of a thread
constexpr index_t row_block = 1024;       // rows a thread copies at a time

// Points that meet a cell together: many, since its rows are quantised anew for each such group.
index_t group_rows(index_t cols) { return std::clamp<index_t>((index_t{1} << 20) / cols, 96, 960); }

/// The rows in the order of their cells.
std::vector<float> in_order(cpu on, matrix_view<const float> points, const std::vector<index_t>& order) {
  std::vector<float> rows(std::size_t(points.rows * points.cols));
  parallel_blocks(on, points.rows, row_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      std::copy_n(points.row(order[std::size_t(i)]), points.cols, rows.data() + i * points.cols);
  });
  return rows;
}

/// The centroids, those side by side that are near each other: the points of a block then share cells.
std::vector<float> side_by_side(cpu on, finite_rows centroids) {
  std::vector<index_t> order(std::size_t(centroids.rows()));
  std::iota(order.begin(), order.end(), index_t(0));
  if (const auto heaps = index_t(std::sqrt(double(centroids.rows()))); heaps >= 8) {
    std::vector<float> middle(std::size_t(heaps * centroids.cols()));
    const matrix_view<float> means{middle.data(), heaps, centroids.cols()};
    kmeans(on, centroids, means, {.iterations = 10});
    order = ivf_cells(on, centroids, require_finite(on, "ivf_cells", "centroids", means)).rows;
  }
  return in_order(on, centroids, order);
}

/// A cell, and a point of a block that looks into it.
struct probe {
  bool foreign;  // a point meets its own cell first: most of what is near it lies there
  index_t cell, point;

  bool same_cell(const probe& other) const { return foreign == other.foreign && cell == other.cell; }
  friend auto operator<=>(const probe&, const probe&) = default;
};

/// Rows side by side, and what they are in `order`.
struct cell_rows {
  matrix_view<const float> rows;
  const index_t* order;
};

/// The points of one block and their lists. Points are numbered from the first of the block.
class probing_points {
 public:
  probing_points(cell_rows points, index_t neighbours)
      : points_(points), kept_(std::size_t(points.rows.rows), nearest_kept(neighbours)) {}

  /// `cells` [points, probes], each point's own cell first.
  template <class Cell>
  void look_into(matrix_view<const index_t> cells, Cell&& cell) {
    std::vector<probe> probes;
    probes.reserve(std::size_t(cells.rows * cells.cols));
    for (index_t i = 0; i < cells.rows; ++i)
      for (index_t p = 0; p < cells.cols; ++p) probes.push_back({p > 0, cells(i, p), i});
    std::sort(probes.begin(), probes.end());
    const std::ptrdiff_t most = group_rows(points_.rows.cols);
    for (auto first = probes.begin(); first != probes.end();) {
      const auto last = std::find_if(first, first + std::min(most, probes.end() - first),
                                     [&](const probe& one) { return !one.same_cell(*first); });
      meet({&*first, last - first}, cell(first->cell));
      first = last;
    }
  }

  void write(const neighbour_lists& to) {
    for (std::size_t i = 0; i < kept_.size(); ++i) to.write(points_.order[i], kept_[i]);
  }

 private:
  void meet(vector_view<const probe> some, const cell_rows& cell) {
    const index_t cols = points_.rows.cols;
    group_.resize(std::size_t(some.size * cols));
    for (index_t n = 0; n < some.size; ++n)
      std::copy_n(points_.rows.row(some[n].point), cols, group_.data() + n * cols);
    const auto kept = [&](index_t n) -> nearest_kept& { return kept_[std::size_t(some[n].point)]; };
    // Rows of a cell ascend, but those of other cells came before: any of them may be lower.
    const auto reach = [&](index_t n, index_t) { return kept(n).reach(-1); };
    const auto decided = [&](index_t n, index_t j, float d2) {
      if (cell.order[j] != points_.order[some[n].point]) kept(n).offer({d2, cell.order[j]});
    };
    const distance_tiles tiles({group_.data(), some.size, cols}, cell.rows, filter_);
    distance_tiles::block_of_points(tiles, 0, some.size).decide(0, cell.rows.rows, reach, decided);
  }

  cell_rows points_;
  std::vector<nearest_kept> kept_;
  std::vector<float> group_;
  pair_filter filter_{distance_tiles::enough_references};
};

}  // namespace

void graph_by_cells(cpu on, finite_rows points, finite_rows given, index_t probes, const neighbour_lists& to) {
  const std::vector<float> ordered = side_by_side(on, given);
  const auto centroids = finite_rows::judged({ordered.data(), given.rows(), given.cols()});
  const cell_order order = ivf_cells(on, points, centroids);
  const std::vector<float> copy = in_order(on, points, order.rows);
  const auto sorted = finite_rows::judged({copy.data(), points.rows(), points.cols()});
  const auto between = [&](index_t begin, index_t end) {
    return cell_rows{rows_between(sorted, begin, end), order.rows.data() + begin};
  };
  const auto cell = [&](index_t c) {
    return between(order.begin[std::size_t(c)], order.begin[std::size_t(c) + 1]);
  };
  const index_t tile = std::min(points.rows(), std::max<index_t>(row_block, most_probes / probes));
  // The more points look into a cell together, the better; but there is to be work for every thread.
  const index_t block = std::clamp<index_t>(std::min(tile / (4 * threads_of(on)), most_listed / to.which.cols),
                                            96, row_block * 4);
  std::vector<index_t> cells(std::size_t(tile * probes));
  for (index_t from = 0; from < points.rows(); from += tile) {
    const index_t rows = std::min(points.rows() - from, tile);
    const matrix_view<index_t> nearest_cells{cells.data(), rows, probes};
    nearest_neighbours(on, rows_between(sorted, from, from + rows), centroids, nearest_cells);
    parallel_blocks(on, rows, block, [&](index_t, index_t begin, index_t end) {
      probing_points some(between(from + begin, from + end), to.which.cols);
      some.look_into({nearest_cells.row(begin), end - begin, probes}, cell);
      some.write(to);
    });
  }
}

}  // namespace poolwise
