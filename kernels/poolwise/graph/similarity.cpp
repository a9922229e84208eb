#include "poolwise/graph/similarity.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/distance_tiles.hpp"
#include "poolwise/graph/knn_method.hpp"

namespace poolwise {
namespace {

constexpr index_t row_block = 1024;  // rows a thread takes at a time
constexpr index_t most_rows = index_t(1) << 32;

[[noreturn]] void refuse(const char* call, const std::string& what) {
  throw value_error(std::string(call) + ": " + what);
}

float median(std::vector<float> values) {
  const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

using pairs = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

/// The pairs i < j of points within a radius; nothing if they are more than `most`.
std::optional<std::vector<pairs>> pairs_within(cpu on, finite_rows points, float radius_d2, index_t most) {
  const distance_tiles tiles(points, points);
  std::vector<pairs> found(std::size_t(blocks_of(points.rows(), tiles.block())));
  std::atomic<index_t> count = 0;
  parallel_blocks(on, points.rows(), tiles.block(), [&](index_t block, index_t begin, index_t end) {
    if (count > most) return;
    pairs& mine = found[std::size_t(block)];
    const auto reach = [&](index_t, index_t) { return radius_d2; };
    distance_tiles::block_of_points(tiles, begin, end)
        .decide(begin, points.rows(), reach, [&](index_t i, index_t j, float d2) {
          if (j <= i || d2 > radius_d2 || ++count > most) return;
          mine.emplace_back(std::uint32_t(i), std::uint32_t(j));
        });
  });
  if (count > most) return {};
  return found;
}

}  // namespace

/// `for_each_pair(f)` calls f(i, j, similarity), i not j, twice the same: in any order, a pair any number of
/// times.
template <class ForEachPair>
similarity_graph::similarity_graph(cpu on, index_t rows, ForEachPair&& for_each_pair)
    : begin_(std::size_t(rows) + 1, 1) {
  begin_[0] = 0;
  for_each_pair([&](index_t i, index_t j, float) {
    ++begin_[std::size_t(i) + 1];
    ++begin_[std::size_t(j) + 1];
  });
  std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
  edges_.resize(std::size_t(begin_.back()));
  std::vector<index_t> end(begin_.begin(), begin_.end() - 1);
  const auto list = [&](index_t row, index_t other, float similarity) {
    edges_[std::size_t(end[std::size_t(row)]++)] = {std::uint32_t(other), similarity};
  };
  for (index_t i = 0; i < rows; ++i) list(i, i, 1);
  for_each_pair([&](index_t i, index_t j, float similarity) {
    list(i, j, similarity);
    list(j, i, similarity);
  });

  const auto at = [&](index_t e) { return edges_.begin() + e; };
  parallel_blocks(on, rows, row_block, [&](index_t, index_t from, index_t to) {
    for (index_t i = from; i < to; ++i) {
      const auto first = at(begin_[std::size_t(i)]), last = at(begin_[std::size_t(i) + 1]);
      std::sort(first, last, [](const edge& a, const edge& b) {
        return a.row < b.row || (a.row == b.row && a.similarity > b.similarity);
      });
      const auto same = [](const edge& a, const edge& b) { return a.row == b.row; };
      end[std::size_t(i)] = std::unique(first, last, same) - edges_.begin();
    }
  });
  index_t kept = 0;
  for (index_t i = 0; i < rows; ++i) {
    const index_t first = std::exchange(begin_[std::size_t(i)], kept);
    kept = std::move(at(first), at(end[std::size_t(i)]), at(kept)) - edges_.begin();
  }
  begin_[std::size_t(rows)] = kept;
  edges_.resize(std::size_t(kept));
  edges_.shrink_to_fit();
}

namespace {

/// The number of rows. Refuses lists that make no graph.
index_t rows_of(matrix_view<const index_t> neighbours, matrix_view<const float> similarity) {
  const char* const call = "similarity_graph";
  if (neighbours.rows != similarity.rows || neighbours.cols != similarity.cols)
    throw shape_error(std::string(call) + ": neighbours is [" + std::to_string(neighbours.rows) + ", " +
                      std::to_string(neighbours.cols) + "] but similarity is [" +
                      std::to_string(similarity.rows) + ", " + std::to_string(similarity.cols) +
                      "]; pass one similarity per neighbour");
  if (neighbours.rows > most_rows)
    throw shape_error(std::string(call) + ": got " + std::to_string(neighbours.rows) +
                      " rows; it takes at most " + std::to_string(most_rows));
  for (index_t i = 0; i < neighbours.rows; ++i)
    for (index_t n = 0; n < neighbours.cols; ++n) {
      const index_t other = neighbours(i, n);
      if (other < -1 || other >= neighbours.rows)
        refuse(call, "row " + std::to_string(i) + " lists row " + std::to_string(other) +
                         " but there are rows 0 to " + std::to_string(neighbours.rows - 1) +
                         "; list one of them, or -1 for none");
      if (const float s = similarity(i, n); other >= 0 && !(s >= 0 && s <= 1))
        refuse(call, "the similarity of rows " + std::to_string(i) + " and " + std::to_string(other) + " is " +
                         std::to_string(s) + "; it must be from 0 to 1");
    }
  return neighbours.rows;
}

/// The median over rows of the squared distance to their farthest listed neighbour.
float median_farthest(matrix_view<const index_t> lists, matrix_view<const float> d2) {
  std::vector<float> farthest(std::size_t(lists.rows), 0.0f);
  for (index_t i = 0; i < lists.rows; ++i)
    for (index_t n = 0; n < lists.cols && lists(i, n) >= 0; ++n) farthest[std::size_t(i)] = d2(i, n);
  return median(std::move(farthest));
}

/// The squared distance of each row to the nearest of another label.
std::vector<float> distances_to_others(cpu on, finite_rows points, vector_view<const index_t> labels) {
  std::vector<float> nearest_d2(std::size_t(points.rows()), std::numeric_limits<float>::infinity());
  const distance_tiles tiles(points, points);
  parallel_blocks(on, points.rows(), tiles.block(), [&](index_t, index_t begin, index_t end) {
    const auto reach = [&](index_t i, index_t) { return nearest_d2[std::size_t(i)]; };
    distance_tiles::block_of_points(tiles, begin, end)
        .decide(0, points.rows(), reach, [&](index_t i, index_t j, float d2) {
          if (labels[i] != labels[j]) nearest_d2[std::size_t(i)] = std::min(nearest_d2[std::size_t(i)], d2);
        });
  });
  return nearest_d2;
}

}  // namespace

similarity_graph::similarity_graph(cpu on, matrix_view<const index_t> neighbours,
                                   matrix_view<const float> similarity)
    : similarity_graph(on, rows_of(neighbours, similarity), [&](auto&& add) {
        for (index_t i = 0; i < neighbours.rows; ++i)
          for (index_t n = 0; n < neighbours.cols; ++n) {
            const index_t other = neighbours(i, n);
            if (other >= 0 && other != i && similarity(i, n) > 0) add(i, other, similarity(i, n));
          }
      }) {}

// At distance 0 the quotient may be 0 / 0, at an infinite one it may be of two infinities.
float similarity_law::at(float d2) const {
  if (d2 == 0) return 1;
  if (std::isinf(d2)) return 0;
  return gaussian ? float(fixed_exp(-double(d2) / double(scale_d2))) : 1 / (1 + d2 / scale_d2);
}

similarity_graph knn_similarities(const where& on, point_rows points, index_t neighbours, float half_d2,
                                  knn_method method, knn_report* made) {
  similarity_law law{.scale_d2 = half_d2};
  return knn_similarities(on, points, neighbours, law, method, made);
}

similarity_graph knn_similarities(const where& on, point_rows points, index_t neighbours, similarity_law& law,
                                  knn_method method, knn_report* made) {
  const char* const call = "knn_similarities";
  require_build_for(on, call);
  if (std::holds_alternative<cuda>(on))
    refuse(call, "makes a graph in host memory, and cuda{} means arrays on a device; pass offload{}");
  if (!(law.scale_d2 >= 0 && law.scale_d2 <= std::numeric_limits<float>::max()))
    refuse(call, (law.gaussian ? "scale_d2 is " : "half_d2 is ") + std::to_string(law.scale_d2) +
                     "; pass a finite number above 0, or 0 for the median");
  if (neighbours < 1) refuse(call, "got " + std::to_string(neighbours) + " neighbours; pass at least 1");
  const finite_rows finite = points.require_finite(on, call, "points");
  const index_t rows = finite.rows(), each = std::min(neighbours, std::max<index_t>(0, rows - 1));
  std::vector<index_t> which(std::size_t(rows * each));
  std::vector<float> similarity(which.size());
  const matrix_view<index_t> lists{which.data(), rows, each};
  const matrix_view<float> values{similarity.data(), rows, each};
  knn_report report;
  if (each > 0) report = knn_graph_by(method, on, finite, lists, values);
  if (made != nullptr) *made = report;

  if (law.scale_d2 == 0 && each > 0) law.scale_d2 = median_farthest(lists, values);
  for (float& d2 : similarity) d2 = law.at(d2);
  return {host_of(on), lists, values};
}

std::optional<similarity_graph> radius_graph(const where& on, point_rows points, float radius_d2,
                                             index_t most_pairs) {
  const char* const call = "radius_graph";
  const cpu host = require_cpu(on, call);
  if (!(radius_d2 >= 0 && radius_d2 <= std::numeric_limits<float>::max()))
    refuse(call, "radius_d2 is " + std::to_string(radius_d2) + "; it must be a finite number, 0 or more");
  if (points.rows() > most_rows)
    throw shape_error(std::string(call) + ": got " + std::to_string(points.rows()) +
                      " rows; it takes at most " + std::to_string(most_rows));
  const finite_rows finite = points.require_finite(on, call, "points");
  if (finite.rows() == 0) return similarity_graph(host, {}, {});
  const auto found = pairs_within(host, finite, radius_d2, most_pairs);
  if (!found) return {};
  return similarity_graph(host, finite.rows(), [&](auto&& add) {
    for (const pairs& some : *found)
      for (const auto& [i, j] : some) add(i, j, 1.0f);
  });
}

float pure_radius_d2(const where& on, point_rows points, vector_view<const index_t> labels, double purity) {
  const char* const call = "pure_radius_d2";
  const cpu host = require_cpu(on, call);
  if (labels.size != points.rows())
    throw shape_error(std::string(call) + ": labels has " + std::to_string(labels.size) +
                      " places but points has " + std::to_string(points.rows()) + " rows; pass one per row");
  if (!(purity >= 0 && purity <= 1))
    refuse(call, "purity is " + std::to_string(purity) + "; it must be from 0 to 1");
  for (index_t i = 0; i < labels.size; ++i)
    if (labels[i] < 0)
      refuse(call, "the label of row " + std::to_string(i) + " is " + std::to_string(labels[i]) +
                       "; it must be 0 or more");
  std::vector<float> impure_at = distances_to_others(host, points.require_finite(on, call, "points"), labels);
  const auto may_be_impure = std::size_t(double(points.rows()) - std::ceil(purity * double(points.rows())));
  if (may_be_impure == impure_at.size()) return std::numeric_limits<float>::max();
  const auto first_too_many = impure_at.begin() + std::ptrdiff_t(may_be_impure);
  std::nth_element(impure_at.begin(), first_too_many, impure_at.end());
  return *first_too_many == 0 ? -1 : std::nextafter(*first_too_many, 0.0f);
}

}  // namespace poolwise
