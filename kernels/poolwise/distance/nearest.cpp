// nearest: FAISS proposes by GEMM, the canonical distance decides.
#include <faiss/utils/Heap.h>
#include <faiss/utils/distances.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"
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

/// The rounding error of n roundings in fp32: n u / (1 - n u). Higham, "Accuracy and Stability of Numerical
/// Algorithms", lemma 3.1. Infinite where n u reaches 1 and nothing can be said.
double gamma_of(index_t n) {
  const double nu = double(n) * 0x1p-24;
  return nu < 1 ? nu / (1 - nu) : std::numeric_limits<double>::infinity();
}

/// How far FAISS's distance of two rows can lie from their canonical distance.
///
/// With u = 2^-24, n columns, g_k = gamma_of(k), and d = |x - y|^2 exactly:
/// - FAISS forms |x|^2 + |y|^2 - 2 x.y. Each of the three sums of n products carries a relative error of at
///   most g_n against the sum of its terms' magnitudes, whatever the order of summation and with or without
///   fma; two further additions make that g_(n+2). With |x.y| <= |x||y|, also for the magnitudes,
///       |faiss - d| <= g_(n+2) (|x|^2 + |y|^2 + 2 |x||y|) = g_(n+2) (|x| + |y|)^2.
///   For few points FAISS sums squared differences instead: an error of at most g_(n+2) d, which is less.
///   Raising a negative result to 0 brings it nearer to d.
/// - The canonical tree rounds a difference (twice, being squared), then ceil(n/16) fmas, then 4 additions:
///       |canonical - d| <= g_(ceil(n/16)+6) d <= g_(ceil(n/16)+6) (|x| + |y|)^2.
/// - An underflow adds at most 2^-150 for each of the 5n products, 2 x.y counting twice.
/// Norms come from the canonical dot, whose own error is at most g_(ceil(n/16)+4) relatively.
class error_bound {
 public:
  error_bound(index_t cols, float largest_reference_norm2)
      : relative_(gamma_of(cols + 2) + gamma_of(cols / canonical_lanes + 7)),
        underflow_(double(cols) * 0x1p-147),
        norm_slack_(1 + 2 * gamma_of(cols / canonical_lanes + 5)),
        largest_norm_(norm(largest_reference_norm2)) {}

  /// For one point against every reference; infinite where the GEMM could leave the range of fp32.
  double of(float point_norm2) const {
    const double reach = norm(point_norm2) + largest_norm_;
    if (!(reach * reach < double(std::numeric_limits<float>::max()) / 2))
      return std::numeric_limits<double>::infinity();
    return relative_ * reach * reach + underflow_;
  }

 private:
  double norm(float norm2) const { return std::sqrt(double(norm2) * norm_slack_ + underflow_); }

  double relative_, underflow_, norm_slack_, largest_norm_;
};

/// OpenMP regions that others open, here FAISS's, take `threads` threads as long as this lives.
class openmp_threads {
 public:
  explicit openmp_threads(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~openmp_threads() { omp_set_num_threads(before_); }
  openmp_threads(const openmp_threads&) = delete;
  openmp_threads& operator=(const openmp_threads&) = delete;

 private:
  int before_;
};

/// The rows without padding between them, as FAISS takes them; `copy` holds them where they had some.
const float* dense(matrix_view<const float> x, std::vector<float>& copy) {
  if (x.stride == x.cols) return x.data;
  copy.resize(std::size_t(x.rows * x.cols));
  for (index_t i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, copy.data() + i * x.cols);
  return copy.data();
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

}  // namespace

void nearest(const where& on, matrix_view<const float> points, matrix_view<const float> references,
             vector_view<float> d2, vector_view<index_t> which) {
  require_build_for(on, "nearest");
  check_nearest(on, points, references, d2, which);
  if constexpr (has_cuda)
    if (const auto* device = std::get_if<cuda>(&on))
      return nearest_cuda(*device, points, references, d2, which);
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
