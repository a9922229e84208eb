// Typical rows of many clusters: a batch for when there are few labels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/graph/knn_method.hpp"

namespace poolwise {

struct typiclust_options {
  index_t neighbours = 20;      ///< that typicality looks at; all others where there are fewer
  index_t most_clusters = 500;  ///< of k-means, which else makes one for each labelled row and each pick
  std::uint64_t seed = 0;       ///< of k-means, which trains on all rows
  knn_method method = knn_method::exact;  ///< how neighbours are found
};

/// TypiClust: from the clusters with the fewest labels, the largest first, the most typical row each; and so on
/// round by round. Ties go to the lower cluster and to the lower row.
///
///   typicality_i = 1 / mean of the distances of row i to its nearest neighbours
///
/// points    [rows, cols], finite; host memory
/// labelled  rows that have a label; none of them is picked
/// made      how the neighbours were found is written there, if it is not null
/// vertex    [candidates] the row of points that each candidate is a copy of; -1 for one that `limit` bars.
///           Limits and picks then count candidates. Of copies the first that `limit` allows stands for all;
///           the others, and copies of labelled rows, come last, in order, with score 0. Empty: the rows of
///           points are the candidates.
/// returns   picks in order; score = typicality, infinite where all neighbours are at distance 0. Fewer than
///           asked when rows or budget run out: a cluster without a row that may be picked is passed over.
/// throws    value_error (a NaN, an infinity, squared distances beyond fp32, a labelled row or a vertex out of
/// range, fewer than one
///           neighbour or cluster, cuda{}; see check_allowance); what knn_graph_by and kmeans throw for `on`.
/// Neighbours are among all rows, labelled ones too; where an approximation finds too few, the others count as
/// infinitely far. Distances are roots of canonical ones, their mean is in
/// double: the same picks for any number of threads and, by exact lists, on every device. The time is that of
/// knn_graph_by and of kmeans. Memory: 12 B a row and neighbour, and a copy of the points for kmeans. Hacohen,
/// Dekel & Weinshall, ICML 2022. (The authors' code takes squared distances, to neighbours within the cluster,
/// and leaves out clusters of five rows and fewer.)
std::vector<candidate> typiclust(const where& on, point_rows points, const allowance& limit,
                                 std::span<const index_t> labelled = {}, const typiclust_options& options = {},
                                 knn_report* made = nullptr, std::span<const index_t> vertex = {});

/// What typiclust allocates at most beside what the lists take while they are made (knn_graph_bytes).
constexpr std::uint64_t typiclust_bytes(std::uint64_t rows, std::uint64_t cols,
                                        const typiclust_options& options = {}) {
  const std::uint64_t faiss = std::uint64_t{64} << 20;
  const std::uint64_t row = 4 * cols + std::uint64_t(options.neighbours) * (8 + 4) + 8 * 8;
  return faiss + rows * row + 4 * std::uint64_t(options.most_clusters) * cols * sizeof(float);
}

}  // namespace poolwise
