// Neighbour lists: FAISS proposes by GEMM or by an inverted file, the canonical distance decides.
#include "poolwise/distance/neighbours.hpp"

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/utils/Heap.h>
#include <faiss/utils/distances.h>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/error_bound.hpp"
#include "poolwise/distance/detail/faiss_cpu.hpp"
#include "poolwise/distance/detail/neighbours_cuda.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {
namespace {

constexpr index_t tile_rows = 1024;  // points a call to FAISS, its own block for a GEMM
constexpr index_t point_block = 16;  // points a thread settles at a time
constexpr index_t scan_step = 256;   // references a scan takes at a time

/// Orders as the lists are ordered: nearer first, ties to the lower reference.
using neighbour = std::pair<float, index_t>;

/// The `most` first of all that it is offered.
class nearest_kept {
 public:
  explicit nearest_kept(index_t most) : most_(std::size_t(most)) { kept_.reserve(most_); }

  void offer(neighbour one) {
    if (kept_.size() == most_) {
      if (!(one < kept_.front())) return;
      std::pop_heap(kept_.begin(), kept_.end());
      kept_.pop_back();
    }
    kept_.push_back(one);
    std::push_heap(kept_.begin(), kept_.end());
  }

  void clear() { kept_.clear(); }
  bool full() const { return kept_.size() == most_; }
  float farthest_d2() const { return kept_.front().first; }

  /// Writes them in order, and -1 at an infinite distance where fewer were offered.
  void write(index_t* which, float* d2) {
    std::sort_heap(kept_.begin(), kept_.end());
    kept_.resize(most_, {std::numeric_limits<float>::infinity(), -1});
    for (std::size_t n = 0; n < most_; ++n) {
      which[n] = kept_[n].second;
      if (d2 != nullptr) d2[n] = kept_[n].first;
    }
  }

 private:
  std::size_t most_;
  std::vector<neighbour> kept_;
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

class exact_search {
 public:
  exact_search(cpu on, matrix_view<const float> points, matrix_view<const float> references,
               bool leave_out_self, const lists& to)
      : on_(on),
        points_(points),
        references_(references),
        leave_out_self_(leave_out_self),
        to_(to),
        bound_(references.cols, largest_norm2(on, references)) {}

  void run() const {
    std::vector<float> reference_copy, point_copy;
    const float* const packed = dense(references_, reference_copy);
    proposals named(std::min(references_.rows, with_spare(to_.which.cols + leave_out_self_)));
    for (index_t begin = 0; begin < points_.rows; begin += tile_rows) {
      const auto tile = rows_between(points_, begin, std::min(points_.rows, begin + tile_rows));
      propose(dense(tile, point_copy), tile.rows, packed, named);
      parallel_blocks(on_, tile.rows, point_block, [&](index_t, index_t first, index_t last) {
        nearest_kept kept(to_.which.cols);
        for (index_t i = first; i < last; ++i) {
          settle(begin + i, named.d2(i), named.id(i), named.each(), kept);
          to_.write(begin + i, kept);
          kept.clear();
        }
      });
    }
  }

 private:
  static float largest_norm2(cpu on, matrix_view<const float> references) {
    std::vector<float> norm2(std::size_t(references.rows));
    squared_norms(on, references, {norm2.data(), references.rows});
    return *std::max_element(norm2.begin(), norm2.end());
  }

  void propose(const float* points, index_t rows, const float* packed, proposals& named) const {
    const openmp_threads scope(threads_of(on_));
    faiss::float_maxheap_array_t heaps{std::size_t(rows), std::size_t(named.each()), named.id(0), named.d2(0)};
    faiss::knn_L2sqr(points, packed, std::size_t(references_.cols), std::size_t(rows),
                     std::size_t(references_.rows), &heaps);
  }

  void offer(index_t row, index_t reference, float d2, nearest_kept& kept) const {
    if (!leave_out_self_ || reference != row) kept.offer({d2, reference});
  }

  /// FAISS's distance of each pair is within the bound of the canonical one, so what it did not name, being no
  /// nearer than its last proposal, is farther than all that were kept if that proposal is by more than the
  /// bound.
  void settle(index_t row, const float* proposed_d2, const std::int64_t* proposed, index_t each,
              nearest_kept& kept) const {
    const float* const point = points_.row(row);
    for (index_t p = 0; p < each; ++p)
      offer(row, proposed[p], canonical_squared_distance(point, references_.row(proposed[p]), points_.cols),
            kept);
    if (each == references_.rows) return;
    const double bound = bound_.of(canonical_dot(point, point, points_.cols));
    if (kept.full() && double(proposed_d2[each - 1]) > double(kept.farthest_d2()) + bound) return;
    kept.clear();
    scan(row, kept);
  }

  void scan(index_t row, nearest_kept& kept) const {
    float d2[scan_step];
    for (index_t begin = 0; begin < references_.rows; begin += scan_step) {
      const auto some = rows_between(references_, begin, std::min(references_.rows, begin + scan_step));
      canonical_squared_distances(some, points_.row(row), d2);
      for (index_t j = 0; j < some.rows; ++j) offer(row, begin + j, d2[j], kept);
    }
  }

  cpu on_;
  matrix_view<const float> points_, references_;
  bool leave_out_self_;
  lists to_;
  error_bound bound_;
};

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
  exact_search(require_cpu(on, call), points, references, leave_out_self, to).run();
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
