// Neighbour lists: products exclude pairs, or FAISS proposes some by an inverted file, and the canonical
// distance decides.
#include "poolwise/distance/neighbours.hpp"

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFFlat.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/distance_tiles.hpp"
#include "poolwise/distance/detail/faiss_cpu.hpp"
#include "poolwise/distance/detail/neighbours_cuda.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {
namespace {

constexpr index_t tile_rows = 1024;  // points a call to FAISS, its own block for a GEMM
constexpr index_t point_block = 16;  // points a thread settles at a time

/// Orders as the lists are ordered: nearer first, ties to the lower reference.
using neighbour = std::pair<float, index_t>;

/// The `most` first of all that it is offered. Those that are too many leave together, when they are as many.
class nearest_kept {
 public:
  explicit nearest_kept(index_t most) : most_(std::size_t(most)) { kept_.reserve(2 * most_); }

  void offer(neighbour one) {
    if (!(one < last_)) return;
    kept_.push_back(one);
    if (kept_.size() == 2 * most_) drop_farthest();
  }

  void clear() {
    kept_.clear();
    last_ = beyond;
  }

  /// What distance those from `first` on may have and be kept; -1 where none may.
  float reach(index_t first) const { return last_.first > 0 || first < last_.second ? last_.first : -1; }

  /// Writes them in order, and -1 at an infinite distance where fewer were offered.
  void write(index_t* which, float* d2) {
    std::sort(kept_.begin(), kept_.end());
    kept_.resize(most_, {std::numeric_limits<float>::infinity(), -1});
    for (std::size_t n = 0; n < most_; ++n) {
      which[n] = kept_[n].second;
      if (d2 != nullptr) d2[n] = kept_[n].first;
    }
  }

 private:
  static constexpr neighbour beyond{std::numeric_limits<float>::infinity(),
                                    std::numeric_limits<index_t>::max()};

  void drop_farthest() {
    const auto last = kept_.begin() + std::ptrdiff_t(most_ - 1);
    std::nth_element(kept_.begin(), last, kept_.end());
    last_ = *last;
    kept_.resize(most_);
  }

  std::size_t most_;
  std::vector<neighbour> kept_;
  neighbour last_ = beyond;  // what comes after it is not kept
};

/// Where the lists go.
struct lists {
  matrix_view<index_t> which;
  matrix_view<float> d2;

  void write(index_t row, nearest_kept& kept) const {
    kept.write(which.row(row), d2.data == nullptr ? nullptr : d2.row(row));
  }
};

/// What FAISS names for each point of a tile, nearest first as it rounds; -1 where it has no more.
class proposals {
 public:
  explicit proposals(index_t each) : each_(each), d2_(std::size_t(tile_rows * each)), id_(d2_.size()) {}

  index_t each() const { return each_; }
  float* d2(index_t i) { return d2_.data() + i * each_; }
  std::int64_t* id(index_t i) { return id_.data() + i * each_; }

 private:
  index_t each_;
  std::vector<float> d2_;
  std::vector<std::int64_t> id_;
};

void exact_search(cpu on, matrix_view<const float> points, matrix_view<const float> references,
                  bool leave_out_self, const lists& to) {
  const distance_tiles tiles(points, references);
  parallel_blocks(on, points.rows, tiles.block(), [&](index_t, index_t begin, index_t end) {
    std::vector<nearest_kept> kept(std::size_t(end - begin), nearest_kept(to.which.cols));
    const auto of = [&](index_t i) -> nearest_kept& { return kept[std::size_t(i - begin)]; };
    const auto reach = [&](index_t i, index_t first) { return of(i).reach(first); };
    const auto settled = [&](index_t i, index_t j, float d2) {
      if (!leave_out_self || j != i) of(i).offer({d2, j});
    };
    distance_tiles::block_of_points block(tiles, begin, end);
    // Rows that lie side by side are often near each other.
    const index_t home = leave_out_self ? begin : 0;
    block.settle(home, references.rows, reach, settled);
    block.settle(0, home, reach, settled);
    for (index_t i = begin; i < end; ++i) to.write(i, of(i));
  });
}

void graph_by_cells(cpu on, matrix_view<const float> points, matrix_view<const float> centroids, index_t probes,
                    const lists& to) {
  const index_t rows = points.rows, cols = points.cols;
  std::vector<float> copy, centroid_copy;
  const float* const packed = dense(points, copy);
  const openmp_threads scope(threads_of(on));
  faiss::IndexFlatL2 coarse(cols);
  coarse.add(centroids.rows, dense(centroids, centroid_copy));
  faiss::IndexIVFFlat index(&coarse, std::size_t(cols), std::size_t(centroids.rows));

  // The cells are ours, not FAISS's, whose rounding can depend on the number of threads.
  std::vector<index_t> cells(std::size_t(rows * probes));
  std::vector<float> cell_d2(cells.size());
  nearest_neighbours(on, points, centroids, {cells.data(), rows, probes}, {cell_d2.data(), rows, probes});
  std::vector<std::int64_t> own(static_cast<std::size_t>(rows));
  for (index_t i = 0; i < rows; ++i) own[std::size_t(i)] = cells[std::size_t(i * probes)];
  index.add_core(rows, packed, nullptr, own.data());

  index.nprobe = std::size_t(probes);
  proposals named(with_spare(to.which.cols + 1));
  for (index_t begin = 0; begin < rows; begin += tile_rows) {
    const index_t tile = std::min(rows - begin, tile_rows);
    index.search_preassigned(tile, packed + begin * cols, named.each(), cells.data() + begin * probes,
                             cell_d2.data() + begin * probes, named.d2(0), named.id(0), false);
    parallel_blocks(on, tile, point_block, [&](index_t, index_t first, index_t last) {
      nearest_kept kept(to.which.cols);
      for (index_t i = first; i < last; ++i) {
        const index_t row = begin + i;
        for (index_t p = 0; p < named.each(); ++p)
          if (const index_t other = named.id(i)[p]; other >= 0 && other != row)
            kept.offer({canonical_squared_distance(points.row(row), points.row(other), cols), other});
        to.write(row, kept);
        kept.clear();
      }
    });
  }
}

/// A refusal in the name of one call.
class requirements {
 public:
  explicit requirements(const char* call) : call_(call) {}

  void lists_fit(const char* name, const lists& to, index_t rows, index_t choices) const {
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

  void probes_fit(index_t probes, index_t cells) const {
    if (probes < 1 || probes > cells)
      refuse(std::to_string(probes) + " probes into " + std::to_string(cells) + " cells; pass 1 to " +
             std::to_string(cells));
  }

  void devices_can(const where& on, const lists& to, index_t references) const {
    if (std::holds_alternative<cpu>(on)) return;
    if (to.which.cols > most_device_neighbours)
      refuse("got " + std::to_string(to.which.cols) + " neighbours; a device takes at most " +
             std::to_string(most_device_neighbours));
    if (references > most_device_references)
      refuse("got " + std::to_string(references) + " references; a device takes at most " +
             std::to_string(most_device_references));
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw shape_error(std::string(call_) + ": " + what);
  }

  const char* call_;
};

void search(const where& on, const char* call, matrix_view<const float> points,
            matrix_view<const float> references, bool leave_out_self, const lists& to) {
  if (points.rows == 0) return;
  require_finite(on, call, "points", points);
  if (!leave_out_self) require_finite(on, call, "references", references);
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

void nearest_neighbours(const where& on, matrix_view<const float> points, matrix_view<const float> references,
                        matrix_view<index_t> which, matrix_view<float> d2) {
  const char* const call = "nearest_neighbours";
  require_build_for(on, call);
  const requirements require(call);
  require.same_features("references", references, points);
  require.lists_fit("which", {which, d2}, points.rows, references.rows);
  require.devices_can(on, {which, d2}, references.rows);
  search(on, call, points, references, false, {which, d2});
}

void knn_graph(const where& on, matrix_view<const float> points, matrix_view<index_t> neighbours,
               matrix_view<float> d2) {
  const char* const call = "knn_graph";
  require_build_for(on, call);
  const requirements require(call);
  require.lists_fit("neighbours", {neighbours, d2}, points.rows, points.rows - 1);
  require.devices_can(on, {neighbours, d2}, points.rows);
  search(on, call, points, points, true, {neighbours, d2});
}

void knn_graph_ivf(const where& on, matrix_view<const float> points, matrix_view<const float> centroids,
                   index_t probes, matrix_view<index_t> neighbours, matrix_view<float> d2) {
  const char* const call = "knn_graph_ivf";
  require_build_for(on, call);
  const requirements require(call);
  require.same_features("centroids", centroids, points);
  require.lists_fit("neighbours", {neighbours, d2}, points.rows, points.rows - 1);
  require.probes_fit(probes, centroids.rows);
  require.devices_can(on, {neighbours, d2}, points.rows);
  if (!std::holds_alternative<cpu>(on) && !has_faiss_gpu)
    throw no_cuda_error(std::string(call) +
                        ": this build's FAISS has no GPU part; build with one that has, or pass cpu{}");
  require_finite(on, call, "points", points);
  require_finite(on, call, "centroids", centroids);
  if constexpr (has_faiss_gpu) {
    if (const auto* device = std::get_if<cuda>(&on))
      return graph_by_cells_cuda(*device, call, points, centroids, probes, neighbours, d2);
    if (const auto* devices = std::get_if<offload>(&on))
      return graph_by_cells_offload(*devices, call, points, centroids, probes, neighbours, d2);
  }
  graph_by_cells(require_cpu(on, call), points, centroids, probes, {neighbours, d2});
}

}  // namespace poolwise
