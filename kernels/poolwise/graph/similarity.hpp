// Who resembles whom: graphs over the rows of one matrix, in memory that grows with their edges.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/graph/knn_method.hpp"

namespace poolwise {

/// Rows and how much they resemble each other: s_ij = s_ji from 0 to 1, 0 where there is no edge, s_ii = 1.
///
/// A row is on its own list, so that a sum over a list is a sum over all rows. 8 B an edge and direction.
class similarity_graph {
 public:
  struct edge {
    std::uint32_t row = 0;
    float similarity = 0;

    friend bool operator==(const edge&, const edge&) = default;
  };

  /// From lists such as neighbours.hpp makes, or of any other measure.
  ///
  /// neighbours  [rows, each]  rows; -1 for none
  /// similarity  [rows, each]  from 0 to 1
  /// throws  shape_error; value_error for another row or similarity.
  /// Rows resemble each other if either lists the other; where both do, the larger similarity counts. What a
  /// row says of itself counts for nothing. While it is built it takes 16 B an entry of the lists.
  similarity_graph(cpu on, matrix_view<const index_t> neighbours, matrix_view<const float> similarity);

  index_t rows() const { return index_t(begin_.size()) - 1; }
  /// On all lists: a pair counts twice, a row itself once.
  index_t edges() const { return index_t(edges_.size()); }
  /// Those of a row and itself, ascending.
  vector_view<const edge> of(index_t row) const {
    const index_t from = begin_[std::size_t(row)];
    return {edges_.data() + from, begin_[std::size_t(row) + 1] - from};
  }

 private:
  template <class ForEachPair>
  similarity_graph(cpu on, index_t rows, ForEachPair&& for_each_pair);
  friend std::optional<similarity_graph> radius_graph(const where&, point_rows, float, index_t);

  std::vector<index_t> begin_;  // rows + 1
  std::vector<edge> edges_;
};

/// The graph of nearest neighbours (knn_graph_by), with similarity 1 / (1 + d2 / half_d2), d2 the canonical
/// squared distance: 1 for equal rows, 1/2 at half_d2. It is a function of the two rows and half_d2 alone,
/// unlike one that is measured against the largest distance at hand.
///
/// points      [rows, cols]
/// neighbours  >= 1 of each row; all others where there are fewer
/// half_d2     > 0; or 0 for the median over rows of the squared distance to their farthest listed neighbour
/// method      how neighbours are found; what came of it is written to `made`, if that is not null
/// throws  value_error for other neighbours or half_d2, for a NaN or an infinity in points, and for cuda{},
/// since
///         the graph is made in host memory; what knn_graph_by throws for `on`.
/// By exact lists the time is that of knn_graph, rows^2 * cols, and the bits are the same on every device. They
/// are so for any number of threads by every method.
similarity_graph knn_similarities(const where& on, point_rows points, index_t neighbours, float half_d2 = 0,
                                  knn_method method = knn_method::exact, knn_report* made = nullptr);

/// How alike rows are at a squared distance.
struct similarity_law {
  bool gaussian = false;  ///< exp(-d2 / scale_d2), and not 1 / (1 + d2 / scale_d2)
  float scale_d2 = 0;     ///< > 0, finite; or 0 for the median that knn_similarities takes

  float at(float d2) const;
};

/// The same by another law. A scale of 0 is written. throws value_error for another scale.
similarity_graph knn_similarities(const where& on, point_rows points, index_t neighbours, similarity_law& law,
                                  knn_method method, knn_report* made = nullptr);

/// The graph of all pairs of rows within a radius, with similarity 1.
///
/// points      [rows, cols]
/// radius_d2   >= 0, finite: the squared radius. A canonical squared distance of radius_d2 is within.
/// most_pairs  of different rows, for what they take: 48 B each while the graph is built
/// returns  nothing, and soon, if more pairs lie within
/// throws  value_error for another radius, for a NaN or an infinity in points; no_cuda_error.
/// Products exclude pairs as in nearest_neighbours(), and the canonical distance decides.
std::optional<similarity_graph> radius_graph(const where& on, point_rows points, float radius_d2,
                                             index_t most_pairs);

/// The largest squared radius at which at least `purity` of all rows have a pure ball: none of another label
/// lies within.
///
/// points  [rows, cols]
/// labels  [rows] >= 0: clusters, where classes are not known
/// purity  from 0 to 1
/// returns  the fp32 number below the squared distance of some row to the nearest of another label; the largest
///          of all where no radius is too large; -1 where none is small enough, since equal rows differ in
///          label.
/// throws  shape_error; value_error for a label below 0, another purity, a NaN or an infinity in points;
///         no_cuda_error.
/// With radius_graph it is the graph of ProbCover (Yehuda et al., NeurIPS 2022, sec. 3.3, where it is read off
/// a grid). The time is that of radius_graph, twice, and of the canonical distance of the pairs within pure
/// balls.
float pure_radius_d2(const where& on, point_rows points, vector_view<const index_t> labels, double purity);

}  // namespace poolwise
