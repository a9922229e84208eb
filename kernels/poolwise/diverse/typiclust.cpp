#include "poolwise/diverse/typiclust.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/diverse/detail/copies.hpp"
#include "poolwise/graph/neighbours.hpp"

namespace poolwise {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw value_error("typiclust: " + what); }

std::vector<float> typicalities(const where& on, finite_rows points, const typiclust_options& options,
                                knn_report& made) {
  const index_t each = std::min(options.neighbours, points.rows() - 1);
  if (each == 0) return {std::numeric_limits<float>::infinity()};
  std::vector<index_t> which(std::size_t(points.rows() * each));
  std::vector<float> d2(which.size()), typicality;
  made = knn_graph_by(options.method, on, points, {which.data(), points.rows(), each},
                      {d2.data(), points.rows(), each});
  for (index_t i = 0; i < points.rows(); ++i) {
    double sum = 0;
    for (index_t n = 0; n < each; ++n) sum += std::sqrt(double(d2[std::size_t(i * each + n)]));
    typicality.push_back(float(double(each) / sum));
  }
  return typicality;
}

/// The vertices of a cluster that have no label, most typical first.
struct cluster {
  index_t labels = 0, size = 0;
  std::vector<candidate> vertices;
  std::size_t tried = 0;
};

std::vector<cluster> clusters_of(const where& on, finite_rows points, index_t count,
                                 const std::vector<bool>& has_label, const typiclust_options& options,
                                 knn_report& made) {
  std::vector<float> centroids(std::size_t(count * points.cols()));
  const matrix_view<float> means{centroids.data(), count, points.cols()};
  kmeans(on, points, means, {.seed = options.seed});
  const cell_order cells = ivf_cells(on, points, require_finite(on, "typiclust", "centroids", means));
  const std::vector<float> typicality = typicalities(on, points, options, made);
  std::vector<cluster> clusters(static_cast<std::size_t>(count));
  for (std::size_t c = 0; c < clusters.size(); ++c) {
    cluster& of = clusters[c];
    of.size = cells.begin[c + 1] - cells.begin[c];
    for (index_t n = cells.begin[c]; n < cells.begin[c + 1]; ++n) {
      const index_t row = cells.rows[std::size_t(n)];
      if (has_label[std::size_t(row)])
        ++of.labels;
      else
        of.vertices.push_back({row, typicality[std::size_t(row)]});
    }
    std::sort(of.vertices.begin(), of.vertices.end(), before);
  }
  std::stable_sort(clusters.begin(), clusters.end(), [](const cluster& a, const cluster& b) {
    return a.labels < b.labels || (a.labels == b.labels && a.size > b.size);
  });
  return clusters;
}

/// Refuses all that is wrong with a call but the values of its rows. Returns which rows have a label.
std::vector<bool> check_typiclust(const where& on, index_t rows, const allowance& limit,
                                  std::span<const index_t> labelled, const typiclust_options& options,
                                  std::span<const index_t> vertex) {
  require_build_for(on, "typiclust");
  if (std::holds_alternative<cuda>(on))
    refuse("reads arrays in host memory, and cuda{} means arrays on a device; pass offload{}");
  if (options.neighbours < 1 || options.most_clusters < 1)
    refuse("got " + std::to_string(options.neighbours) + " neighbours and at most " +
           std::to_string(options.most_clusters) + " clusters; pass at least 1 of each");
  check_allowance("typiclust", limit, vertex.empty() ? rows : index_t(vertex.size()));
  check_vertices("typiclust", vertex, rows, limit);
  refuse_per_cost("typiclust", limit);
  std::vector<bool> has_label(std::size_t(rows), false);
  for (const index_t row : labelled) {
    if (row < 0 || row >= rows)
      refuse("labelled row " + std::to_string(row) + " is not among points, which has rows 0 to " +
             std::to_string(rows - 1));
    has_label[std::size_t(row)] = true;
  }
  return has_label;
}

/// The candidates that are copies of each vertex, ascending.
class copies {
 public:
  copies(std::span<const index_t> vertex, index_t vertices) : begin_(std::size_t(vertices) + 1, 0) {
    for (const index_t v : vertex)
      if (v >= 0) ++begin_[std::size_t(v) + 1];
    std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
    rows_.resize(std::size_t(begin_.back()));
    std::vector<index_t> end(begin_.begin(), begin_.end() - 1);
    for (std::size_t i = 0; i < vertex.size(); ++i)
      if (vertex[i] >= 0) rows_[std::size_t(end[std::size_t(vertex[i])]++)] = index_t(i);
  }

  std::span<const index_t> of(index_t vertex) const {
    const index_t from = begin_[std::size_t(vertex)];
    return {rows_.data() + from, std::size_t(begin_[std::size_t(vertex) + 1] - from)};
  }

 private:
  std::vector<index_t> begin_, rows_;
};

/// The most typical vertex of each cluster in their order, round by round.
std::vector<candidate> pick_in_turn(std::vector<cluster> clusters, const copies& candidates,
                                    const allowance& limit) {
  remaining left(limit);
  std::vector<candidate> picks;
  const auto pick_from = [&](cluster& from) {
    while (from.tried < from.vertices.size()) {
      // A row once passed over stays so.
      const auto [vertex, typicality] = from.vertices[from.tried++];
      for (const index_t row : candidates.of(vertex)) {
        if (!left.eligible(row)) continue;
        picks.push_back({row, typicality});
        left.take(row);
        return true;
      }
    }
    return false;
  };
  for (bool any = true; any && left.picks() > 0;) {
    any = false;
    for (cluster& from : clusters)
      if (left.picks() > 0) any = pick_from(from) || any;
  }
  return picks;
}

}  // namespace

std::vector<candidate> typiclust(const where& on, point_rows given, const allowance& limit,
                                 std::span<const index_t> labelled, const typiclust_options& options,
                                 knn_report* made, std::span<const index_t> vertex) {
  const std::vector<bool> has_label = check_typiclust(on, given.rows(), limit, labelled, options, vertex);
  const finite_rows points = given.require_distances(on, "typiclust", "points");
  if (points.rows() == 0 || limit.picks == 0) return {};
  const index_t labels = std::count(has_label.begin(), has_label.end(), true);
  const index_t count =
      std::min({labels + std::min(limit.picks, points.rows()), options.most_clusters, points.rows()});
  knn_report report;
  std::vector<cluster> clusters = clusters_of(on, points, count, has_label, options, report);
  if (made != nullptr) *made = report;
  std::vector<index_t> own(vertex.empty() ? std::size_t(points.rows()) : 0);
  std::iota(own.begin(), own.end(), index_t(0));
  const copies candidates(vertex.empty() ? std::span<const index_t>(own) : vertex, points.rows());
  std::vector<candidate> picks = pick_in_turn(std::move(clusters), candidates, limit);
  if (!vertex.empty()) add_copies(index_t(vertex.size()), limit, picks);
  return picks;
}

}  // namespace poolwise
