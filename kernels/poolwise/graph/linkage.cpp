#include "poolwise/graph/linkage.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {
namespace {

struct merge {
  index_t a, b;  ///< rows of either cluster
  float height;
};

/// All merges down to one cluster.
class linkage {
 public:
  linkage(cpu on, finite_rows points, vector_view<const float> weights)
      : rows_(points.rows()), distance_(std::size_t(rows_ * rows_)), size_(weights.begin(), weights.end()) {
    size_.resize(std::size_t(rows_), 1.0f);
    parallel_blocks(on, rows_, 16, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        for (index_t j = 0; j < rows_; ++j)
          at(i, j) = i == j
                         ? std::numeric_limits<float>::infinity()
                         : std::sqrt(canonical_squared_distance(points.row(i), points.row(j), points.cols()));
    });
  }

  std::vector<merge> merges() {
    std::vector<merge> made;
    std::vector<index_t> chain;
    index_t first = 0;  // the first cluster that is there; one is known by its lowest row
    while (index_t(made.size()) + 1 < rows_) {
      if (chain.empty()) {
        while (size_[std::size_t(first)] == 0) ++first;
        chain.push_back(first);
      }
      const index_t last = chain.back(), before = chain.size() > 1 ? chain[chain.size() - 2] : -1;
      const index_t next = nearest_of(last, before);
      if (next != before) {
        chain.push_back(next);
        continue;
      }
      made.push_back({std::min(last, next), std::max(last, next), at(last, next)});
      unite(made.back());
      chain.resize(chain.size() - 2);
    }
    return made;
  }

 private:
  float& at(index_t i, index_t j) { return distance_[std::size_t(i * rows_ + j)]; }

  /// Ties go to the one before in the chain, so that it ends, and to the lower.
  index_t nearest_of(index_t i, index_t before) {
    index_t found = before;
    float least = before < 0 ? std::numeric_limits<float>::infinity() : at(i, before);
    for (index_t j = 0; j < rows_; ++j)
      if (size_[std::size_t(j)] > 0 && j != i && (found < 0 || at(i, j) < least)) found = j, least = at(i, j);
    return found;
  }

  void unite(const merge& of) {
    const float a = size_[std::size_t(of.a)], b = size_[std::size_t(of.b)];
    for (index_t k = 0; k < rows_; ++k) {
      if (size_[std::size_t(k)] == 0 || k == of.a || k == of.b) continue;
      at(of.a, k) = at(k, of.a) = (a * at(of.a, k) + b * at(of.b, k)) / (a + b);
    }
    size_[std::size_t(of.a)] = a + b;
    size_[std::size_t(of.b)] = 0;
  }

  index_t rows_;
  std::vector<float> distance_, size_;  // a cluster that is gone has size 0
};

}  // namespace

std::vector<index_t> average_linkage(const where& on, point_rows given, vector_view<const float> weights,
                                     index_t fewest, float height) {
  const char* const call = "average_linkage";
  const cpu host = require_cpu(on, call);
  const std::string opening = std::string(call) + ": ";
  if (!weights.empty() && weights.size != given.rows())
    throw shape_error(opening + "weights has " + std::to_string(weights.size) + " places but points has " +
                      std::to_string(given.rows()) + " rows; pass one per row, or none");
  for (const float weight : weights)
    if (!(weight > 0 && weight <= std::numeric_limits<float>::max()))
      throw value_error(opening + "a weight is " + std::to_string(weight) + "; pass finite numbers above 0");
  if (fewest < 1 || !(height >= 0))
    throw value_error(opening + "got " + std::to_string(fewest) + " clusters at a height of " +
                      std::to_string(height) + "; pass at least 1, and a height of 0 or more");
  const finite_rows points = given.require_finite(host, call, "points");
  std::vector<index_t> cluster(std::size_t(points.rows()));
  std::iota(cluster.begin(), cluster.end(), index_t(0));
  if (points.rows() == 0) return cluster;
  std::vector<merge> merges = linkage(host, points, weights).merges();
  std::stable_sort(merges.begin(), merges.end(),
                   [](const merge& a, const merge& b) { return a.height < b.height; });
  const auto root = [&](index_t i) {
    while (cluster[std::size_t(i)] != i)
      i = cluster[std::size_t(i)] = cluster[std::size_t(cluster[std::size_t(i)])];
    return i;
  };
  index_t left = points.rows();
  for (const merge& one : merges) {
    if (left <= fewest || one.height > height) break;
    const index_t a = root(one.a), b = root(one.b);
    cluster[std::size_t(std::max(a, b))] = std::min(a, b);
    --left;
  }
  std::vector<index_t> number(cluster.size(), -1);
  index_t numbers = 0;
  for (index_t i = 0; i < points.rows(); ++i) {
    index_t& of = number[std::size_t(root(i))];
    if (of < 0) of = numbers++;
    number[std::size_t(i)] = of;
  }
  return number;
}

}  // namespace poolwise
