// nearest: FAISS proposes by GEMM, the canonical distance decides.
#include <faiss/utils/Heap.h>
#include <faiss/utils/distances.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/offload.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/error_bound.hpp"
#include "poolwise/distance/detail/faiss_cpu.hpp"
#include "poolwise/distance/detail/nearest_cuda.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {
namespace {

constexpr index_t proposals = 8;     // references that FAISS names for each point
constexpr index_t tile_rows = 4096;  // points a call to FAISS, its own block for a GEMM
constexpr index_t point_block = 64;  // points a thread settles at a time

// References of a scan that are compared with all points of a block while they stay in the L1 cache.
constexpr index_t scan_bytes = 24 * 1024;
constexpr index_t most_scanned = 1024;

// Up to so many reference elements a scan takes no longer than the proposals do (bench/kernels/distance.cpp).
constexpr index_t scan_elements = 1 << 17;

struct neighbour {
  float d2 = std::numeric_limits<float>::infinity();
  index_t reference = 0;
};

/// Nearer first; ties to the lower reference.
bool nearer(const neighbour& a, const neighbour& b) {
  return a.d2 < b.d2 || (a.d2 == b.d2 && a.reference < b.reference);
}

/// best[i] = the nearest of all references to row i of points.
void scan(matrix_view<const float> points, matrix_view<const float> references, neighbour* best) {
  const index_t row_bytes = std::max<index_t>(1, references.cols) * index_t(sizeof(float));
  const index_t step = std::clamp<index_t>(scan_bytes / row_bytes, 4, most_scanned);
  std::fill_n(best, points.rows, neighbour{});
  float d2[most_scanned];
  for (index_t begin = 0; begin < references.rows; begin += step) {
    const auto some = rows_between(references, begin, std::min(references.rows, begin + step));
    for (index_t i = 0; i < points.rows; ++i) {
      canonical_squared_distances(some, points.row(i), d2);
      const float* const low = std::min_element(d2, d2 + some.rows);  // the first of equals
      if (*low < best[i].d2) best[i] = {*low, begin + (low - d2)};
    }
  }
}

/// The proposals for some points, nearest first as FAISS rounds.
struct proposal_table {
  std::vector<float> d2 = std::vector<float>(std::size_t(tile_rows * proposals));
  std::vector<std::int64_t> reference = std::vector<std::int64_t>(std::size_t(tile_rows * proposals));
};

/// With e the bound, every reference j has |faiss_j - canonical_j| <= e. So once canonical_b is known for some
/// b, a j with faiss_j > canonical_b + e has canonical_j > canonical_b: it is not the nearest, nor tied.
/// False if the last proposal is still within reach, so that others may be, too.
bool settle(const float* point, matrix_view<const float> references, const float* proposed_d2,
            const std::int64_t* proposed, double bound, neighbour& best) {
  if (std::isinf(bound)) return false;
  bool any = false;
  for (index_t p = 0; p < proposals; ++p) {
    if (any && double(proposed_d2[p]) > double(best.d2) + bound) return true;
    const float d2 = canonical_squared_distance(point, references.row(proposed[p]), references.cols);
    if (const neighbour other{d2, proposed[p]}; !any || nearer(other, best)) best = other;
    any = true;
  }
  return false;
}

class nearest_search {
 public:
  nearest_search(cpu on, matrix_view<const float> references)
      : on_(on), references_(references), bound_(references.cols, largest_norm2(on, references)) {}

  /// Calls result(i, neighbour) for each row i of points.
  template <class Result>
  void by_scan(matrix_view<const float> points, Result&& result) const {
    parallel_blocks(on_, points.rows, point_block, [&](index_t, index_t begin, index_t end) {
      neighbour best[point_block];
      scan(rows_between(points, begin, end), references_, best);
      for (index_t i = begin; i < end; ++i) result(i, best[i - begin]);
    });
  }

  template <class Result>
  void by_proposals(matrix_view<const float> points, Result&& result) const {
    std::vector<float> reference_copy, point_copy;
    const float* const packed = dense(references_, reference_copy);
    proposal_table table;
    for (index_t begin = 0; begin < points.rows; begin += tile_rows) {
      const auto tile = rows_between(points, begin, std::min(points.rows, begin + tile_rows));
      propose(dense(tile, point_copy), tile.rows, packed, table);
      parallel_blocks(on_, tile.rows, point_block, [&](index_t, index_t first, index_t last) {
        for (index_t i = first; i < last; ++i) result(begin + i, settle_row(tile.row(i), i, table));
      });
    }
  }

 private:
  static float largest_norm2(cpu on, matrix_view<const float> references) {
    std::vector<float> norm2(std::size_t(references.rows));
    squared_norms(on, references, {norm2.data(), references.rows});
    return *std::max_element(norm2.begin(), norm2.end());
  }

  void propose(const float* points, index_t rows, const float* packed, proposal_table& table) const {
    const openmp_threads scope(threads_of(on_));
    faiss::float_maxheap_array_t heaps{std::size_t(rows), std::size_t(proposals), table.reference.data(),
                                       table.d2.data()};
    faiss::knn_L2sqr(points, packed, std::size_t(references_.cols), std::size_t(rows),
                     std::size_t(references_.rows), &heaps);
  }

  neighbour settle_row(const float* point, index_t i, const proposal_table& table) const {
    const double bound = bound_.of(canonical_dot(point, point, references_.cols));
    const index_t at = i * proposals;
    neighbour best;
    if (!settle(point, references_, table.d2.data() + at, table.reference.data() + at, bound, best))
      scan({point, 1, references_.cols}, references_, &best);
    return best;
  }

  cpu on_;
  matrix_view<const float> references_;
  error_bound bound_;
};

void check_nearest(const where& on, matrix_view<const float> points, matrix_view<const float> references,
                   vector_view<float> d2, vector_view<index_t> which) {
  const auto refuse = [](const std::string& what) { throw shape_error("nearest: " + what); };
  if (references.rows == 0) refuse("got no references; pass at least one");
  if (references.cols != points.cols)
    refuse("references has " + std::to_string(references.cols) + " columns but points has " +
           std::to_string(points.cols) + "; pass both from the same features");
  if (d2.size != points.rows)
    refuse("d2 has " + std::to_string(d2.size) + " places but points has " + std::to_string(points.rows) +
           " rows; pass one place per row");
  if (!which.empty() && which.size != points.rows)
    refuse("which has " + std::to_string(which.size) + " places but points has " + std::to_string(points.rows) +
           " rows; pass one place per row, or none");
  require_finite(on, "nearest", "points", points);
  require_finite(on, "nearest", "references", references);
}

[[maybe_unused]] void offload_nearest(const offload& on, matrix_view<const float> points,
                                      matrix_view<const float> references, vector_view<float> d2,
                                      vector_view<index_t> which) {
  if (points.rows == 0) return;
  if constexpr (has_cuda) {
    const whole<matrix_view<const float>> all{references};
    if (which.empty())
      for_each_tile(
          on, "nearest",
          [](const device_tile& tile, auto some, auto every, auto least) {
            nearest_cuda(tile.on, some, every, least, {});
          },
          points, all, d2);
    else
      for_each_tile(
          on, "nearest",
          [](const device_tile& tile, auto some, auto every, auto least, auto reference) {
            nearest_cuda(tile.on, some, every, least, reference);
          },
          points, all, d2, which);
  }
}

}  // namespace

void nearest(const where& on, matrix_view<const float> points, matrix_view<const float> references,
             vector_view<float> d2, vector_view<index_t> which) {
  require_build_for(on, "nearest");
  check_nearest(on, points, references, d2, which);
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on))
      return nearest_cuda(*device, points, references, d2, which);
    if (const auto* devices = std::get_if<offload>(&on))
      return offload_nearest(*devices, points, references, d2, which);
  }
  const cpu host = require_cpu(on, "nearest");
  const auto write = [&](index_t i, neighbour found) {
    d2[i] = found.d2;
    if (!which.empty()) which[i] = found.reference;
  };
  const nearest_search search(host, references);
  if (references.rows <= proposals || references.rows * references.cols <= scan_elements)
    search.by_scan(points, write);
  else
    search.by_proposals(points, write);
}

}  // namespace poolwise
