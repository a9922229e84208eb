// Neighbour lists by the method that the size of the pool asks for, and how good they are.
#pragma once

#include <cstdint>
#include <string>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"

namespace poolwise {

/// How neighbour lists are made.
enum class knn_method {
  automatic,  ///< exact where that takes a minute or two, an approximation beyond; see resolved()
  exact,      ///< knn_graph
  ivf,        ///< knn_graph_ivf
  hnsw,       ///< knn_graph_hnsw
};

/// "auto", "exact", "ivf" or "hnsw".
const char* name_of(knn_method method);
/// throws value_error for another name.
knn_method parse_knn_method(const std::string& name);

/// The method that `asked` means for points of this shape: a function of the shape, and of whether a device
/// computes, alone.
///
/// automatic is exact on devices, and on a CPU up to rows^2 * cols = 1e13: 395,000 rows of 64 columns, 140,000
/// of 512. Beyond it is ivf.
knn_method resolved(knn_method asked, const where& on, index_t rows, index_t cols);

/// How neighbour lists were made. Fields of other methods are 0.
struct knn_report {
  knn_method method = knn_method::exact;
  index_t cells = 0, probes = 0;   ///< of ivf
  index_t train_rows = 0;          ///< that the cells come from, by k-means
  index_t links = 0, breadth = 0;  ///< of hnsw
  /// The share of listed neighbours that are as near as the exact ones, over the lists of `sampled` points; 1
  /// and no point for exact lists.
  double recall = 1;
  index_t sampled = 0;
  /// Of a graph of similarities: that at the end of a list, mean over rows. No row beyond a list, which counts
  /// as unlike, is more like it. 0 where all rows are listed.
  double beyond = 0;
};

/// The neighbours that approximations are tuned to find, by a sample of 256 points that the reported recall
/// knows nothing of.
inline constexpr double wanted_recall = 0.98;

/// Bytes that knn_graph_by() allocates for a resolved method on a CPU, at most, beside its lists.
std::uint64_t knn_graph_bytes(knn_method method, index_t rows, index_t cols);

/// knn_graph() by `method`.
///
/// points  [rows, cols]; host memory, but for exact lists
/// throws  what the call of the method throws; value_error for an approximation on cuda{}.
/// ivf: 4 sqrt(rows) cells by k-means on 64 rows a cell, and as many probes, up to 256, as the sample wants.
/// hnsw: 16 links, and walks as broad, from 64 up to 1024, as it wants. The lists are a function of the points
/// alone. Recall is measured against nearest_neighbours() of 512 points, one of each part of the rows, drawn
/// apart from those that were tuned on.
knn_report knn_graph_by(knn_method method, const where& on, point_rows points, matrix_view<index_t> neighbours,
                        matrix_view<float> d2 = {});

}  // namespace poolwise
