// Neighbour lists: products exclude pairs, and the canonical distance decides.
#include "poolwise/graph/neighbours.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/distance_tiles.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/graph/detail/neighbour_lists.hpp"
#include "poolwise/graph/detail/neighbours_cuda.hpp"
#include "poolwise/graph/detail/small_world.hpp"

namespace poolwise {
namespace {

void exact_search(cpu on, matrix_view<const float> points, matrix_view<const float> references,
                  bool leave_out_self, const neighbour_lists& to) {
  const distance_tiles tiles(points, references);
  parallel_blocks(on, points.rows, tiles.block(), [&](index_t, index_t begin, index_t end) {
    std::vector<nearest_kept> kept(std::size_t(end - begin), nearest_kept(to.which.cols));
    const auto of = [&](index_t i) -> nearest_kept& { return kept[std::size_t(i - begin)]; };
    const auto reach = [&](index_t i, index_t first) { return of(i).reach(first); };
    const auto decided = [&](index_t i, index_t j, float d2) {
      if (!leave_out_self || j != i) of(i).offer({d2, j});
    };
    distance_tiles::block_of_points block(tiles, begin, end);
    // Rows that lie side by side are often near each other.
    const index_t home = leave_out_self ? begin : 0;
    block.decide(home, references.rows, reach, decided);
    block.decide(0, home, reach, decided);
    for (index_t i = begin; i < end; ++i) to.write(i, of(i));
  });
}

/// A refusal in the name of one call.
class requirements {
 public:
  explicit requirements(const char* call) : call_(call) {}

  void lists_fit(const char* name, const neighbour_lists& to, index_t rows, index_t choices) const {
    if (to.which.rows != rows)
      refuse(std::string(name) + " has " + std::to_string(to.which.rows) + " rows but points has " +
             std::to_string(rows) + "; pass one row per point");
    if (to.which.cols < 1 || to.which.cols > choices)
      refuse(std::string(name) + " has " + std::to_string(to.which.cols) + " columns but there are " +
             std::to_string(choices) + " to choose from; ask for 1 to " + std::to_string(choices));
    if (to.d2.data != nullptr && (to.d2.rows != rows || to.d2.cols != to.which.cols))
      refuse("d2 is [" + std::to_string(to.d2.rows) + ", " + std::to_string(to.d2.cols) + "] but " + name +
             " is [" + std::to_string(rows) + ", " + std::to_string(to.which.cols) +
             "]; pass one place per neighbour, or none");
  }

  void same_features(const char* name, matrix_view<const float> other, matrix_view<const float> points) const {
    if (other.cols != points.cols)
      refuse(std::string(name) + " has " + std::to_string(other.cols) + " columns but points has " +
             std::to_string(points.cols) + "; pass both from the same features");
  }

  void devices_can(const where& on, const neighbour_lists& to, index_t references) const {
    if (std::holds_alternative<cpu>(on)) return;
    if (to.which.cols > most_device_neighbours)
      refuse("got " + std::to_string(to.which.cols) + " neighbours; a device takes at most " +
             std::to_string(most_device_neighbours));
    if (references > most_device_references)
      refuse("got " + std::to_string(references) + " references; a device takes at most " +
             std::to_string(most_device_references));
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw shape_error(std::string(call_) + ": " + what);
  }

 private:
  const char* call_;
};

void search(const where& on, const char* call, finite_rows points, finite_rows references, bool leave_out_self,
            const neighbour_lists& to) {
  require_reachable(on, call, {{"which", to.which}, {"d2", to.d2}});
  if constexpr (has_cuda) {
    const index_t self = leave_out_self ? 0 : not_among_references;
    if (const auto* device = std::get_if<cuda>(&on))
      return neighbours_cuda(*device, call, points, references, self, to.which, to.d2);
    if (const auto* devices = std::get_if<offload>(&on))
      return neighbours_offload(*devices, call, points, references, self, to.which, to.d2);
  }
  exact_search(require_cpu(on, call), points, references, leave_out_self, to);
}

}  // namespace

void check_knn_lists(const char* call, matrix_view<const float> points, const neighbour_lists& to) {
  requirements(call).lists_fit("neighbours", to, points.rows, points.rows - 1);
}

void nearest_neighbours(const where& on, point_rows points, point_rows references, matrix_view<index_t> which,
                        matrix_view<float> d2) {
  const char* const call = "nearest_neighbours";
  require_build_for(on, call);
  const requirements require(call);
  require.same_features("references", references, points);
  require.lists_fit("which", {which, d2}, points.rows(), references.rows());
  require.devices_can(on, {which, d2}, references.rows());
  if (points.rows() == 0) return;
  const finite_rows finite = points.require_finite(on, call, "points");
  search(on, call, finite, references.require_finite(on, call, "references"), false, {which, d2});
}

void knn_graph(const where& on, point_rows points, matrix_view<index_t> neighbours, matrix_view<float> d2) {
  const char* const call = "knn_graph";
  require_build_for(on, call);
  check_knn_lists(call, points, {neighbours, d2});
  requirements(call).devices_can(on, {neighbours, d2}, points.rows());
  const finite_rows finite = points.require_finite(on, call, "points");
  search(on, call, finite, finite, true, {neighbours, d2});
}

void knn_graph_ivf(const where& on, point_rows given, point_rows given_centroids, index_t probes,
                   matrix_view<index_t> neighbours, matrix_view<float> d2) {
  const char* const call = "knn_graph_ivf";
  require_build_for(on, call);
  const requirements require(call);
  require.same_features("centroids", given_centroids, given);
  if (given.cols() == 0) require.refuse("points has 0 columns; pass at least one");
  check_knn_lists(call, given, {neighbours, d2});
  if (const index_t cells = given_centroids.rows(); probes < 1 || probes > cells)
    require.refuse(std::to_string(probes) + " probes into " + std::to_string(cells) + " cells; pass 1 to " +
                   std::to_string(cells));
  require.devices_can(on, {neighbours, d2}, given.rows());
  if (!std::holds_alternative<cpu>(on) && !has_faiss_gpu)
    throw no_cuda_error(std::string(call) +
                        ": this build's FAISS has no GPU part; build with one that has, or pass cpu{}");
  const finite_rows points = given.require_finite(on, call, "points"),
                    centroids = given_centroids.require_finite(on, call, "centroids");
  if constexpr (has_faiss_gpu) {
    if (const auto* device = std::get_if<cuda>(&on))
      return graph_by_cells_cuda(*device, call, points, centroids, probes, neighbours, d2);
    if (const auto* devices = std::get_if<offload>(&on))
      return graph_by_cells_offload(*devices, call, points, centroids, probes, neighbours, d2);
  }
  graph_by_cells(std::get<cpu>(on), points, centroids, probes, {neighbours, d2});
}

void knn_graph_hnsw(const where& on, point_rows points, matrix_view<index_t> neighbours, matrix_view<float> d2,
                    const hnsw_options& options) {
  const char* const call = "knn_graph_hnsw";
  const cpu host = require_cpu(on, call);
  check_knn_lists(call, points, {neighbours, d2});
  if (options.links < 2 || options.breadth_of_making < 1 || options.breadth < 1)
    throw value_error(std::string(call) + ": got " + std::to_string(options.links) + " links and breadths of " +
                      std::to_string(options.breadth_of_making) + " and " + std::to_string(options.breadth) +
                      "; pass at least 2 links, and breadths of at least 1");
  if (points.rows() > small_world::most_rows)
    requirements(call).refuse("got " + std::to_string(points.rows()) + " points; it takes at most " +
                              std::to_string(small_world::most_rows));
  small_world(points.require_finite(on, call, "points"), options.links, options.breadth_of_making)
      .search(host, {}, options.breadth, {neighbours, d2});
}

}  // namespace poolwise
