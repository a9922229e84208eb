#include "poolwise/diverse/probcover.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/coverage.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/graph/similarity.hpp"

namespace poolwise {
namespace {

// Clusters stand for classes, as many as there will be labels.
std::vector<index_t> clusters_of(const where& on, finite_rows points, index_t labels,
                                 const probcover_options& options) {
  const index_t count = std::min({std::max<index_t>(2, labels), options.most_clusters, points.rows()});
  std::vector<float> centroids(std::size_t(count * points.cols())), d2(std::size_t(points.rows()));
  std::vector<index_t> cluster(d2.size());
  const matrix_view<float> means{centroids.data(), count, points.cols()};
  kmeans(on, points, means, {.seed = options.seed});
  nearest(on, points, finite_rows::judged(means), {d2.data(), points.rows()}, {cluster.data(), points.rows()});
  return cluster;
}

similarity_graph balls(cpu on, finite_rows points, const std::vector<index_t>& cluster,
                       const probcover_options& options) {
  float radius_d2 = pure_radius_d2(on, points, {cluster.data(), points.rows()}, options.purity);
  // No radius is pure where rows at distance 0 are in different clusters; every radius is where all are in one.
  if (radius_d2 < 0 || radius_d2 == std::numeric_limits<float>::max()) radius_d2 = 0;
  const index_t most_pairs = options.most_pairs_a_row * points.rows();
  auto graph = radius_graph(on, points, radius_d2, most_pairs);
  while (!graph) {
    if (radius_d2 == 0)
      throw value_error("probcover: more than " + std::to_string(options.most_pairs_a_row) +
                        " pairs a row are at distance 0; leave equal rows out, or scale tiny embeddings up");
    radius_d2 /= 2;
    graph = radius_graph(on, points, radius_d2, most_pairs);
  }
  return *std::move(graph);
}

}  // namespace

std::vector<candidate> probcover(const where& on, point_rows points, const allowance& limit,
                                 std::span<const index_t> labelled, const probcover_options& options,
                                 batch_run* run, vector_view<const float> weights,
                                 std::span<const index_t> vertex) {
  const cpu host = host_of(on);
  const finite_rows finite = points.require_distances(host, "probcover", "points");
  if (limit.picks == 0 || finite.rows() == 0) return {};
  const auto cluster = clusters_of(on, finite, index_t(labelled.size()) + limit.picks, options);
  return facility_location(host, balls(host, finite, cluster, options), limit, labelled, weights, run, vertex);
}

std::uint64_t probcover_bytes(std::uint64_t rows, std::uint64_t cols, const probcover_options& options) {
  constexpr std::uint64_t faiss = std::uint64_t{64} << 20;
  const std::uint64_t row = 4 * cols + 4 * 8 + std::uint64_t(options.most_pairs_a_row) * 48 + 3 * 8 + 16;
  return faiss + rows * row + 4 * std::uint64_t(options.most_clusters) * cols * sizeof(float);
}

}  // namespace poolwise
