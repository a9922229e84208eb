// The rows that k-means++ weighs, and the distances between them.
#pragma once

#include <utility>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/diverse/detail/kmeans_pp_cuda.hpp"
#include "poolwise/diverse/detail/lower_distances.hpp"
#include "poolwise/diverse/detail/rows_at_hand.hpp"
#include "poolwise/diverse/detail/stale_rejection.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"

namespace poolwise {

/// The rows of a matrix.
class plain_rows {
 public:
  plain_rows(const where& on, matrix_view<const float> points)
      : on_(on), points_(points), sweeper_(host_of(on), points), at_hand_(host_of(on), points) {}

  index_t count() const { return points_.rows; }

  void squared_norms(index_t begin, index_t end, float* norm2) const {
    canonical_squared_norms(rows_between(points_, begin, end), norm2);
  }

  /// distance[i] = min(distance[i], squared distance of row i to each of the rows `centers`).
  void lower(const std::vector<index_t>& centers, float* distance) {
    if constexpr (has_cuda)
      if (const auto* devices = std::get_if<offload>(&on_))
        return lower_distances_offload(*devices, points_, centers, {distance, count()});
    sweeper_.lower(centers, distance);
  }

  /// Rows with which others are compared one by one.
  void take(index_t row) { at_hand_.add(row); }
  void let_go() { at_hand_.clear(); }
  index_t taken() const { return at_hand_.count(); }

  /// d2[j] = squared distance of `row` and the j-th row that was taken.
  void squared_distances(index_t row, float* d2) const {
    const auto addresses = at_hand_.addresses();
    canonical_squared_distances(points_.row(row), {addresses.data(), index_t(addresses.size())}, points_.cols,
                                d2);
  }

 private:
  where on_;
  matrix_view<const float> points_;
  distance_sweeper sweeper_;
  rows_at_hand at_hand_;
};

/// Outer products a_i (x) h_i by their factors.
class outer_products {
 public:
  outer_products(const where& on, const factored_rows& points)
      : on_(on),
        points_(points),
        sweeper_(host_of(on), points),
        a_at_hand_(host_of(on), points.a),
        h_at_hand_(host_of(on), points.h),
        norm2_(std::size_t(points.a.rows)) {
    parallel_blocks(host_of(on), count(), weight_block,
                    [&](index_t, index_t begin, index_t end) { multiply_norms(begin, end); });
  }

  index_t count() const { return points_.a.rows; }

  void squared_norms(index_t begin, index_t end, float* norm2) const {
    for (index_t i = begin; i < end; ++i) norm2[i - begin] = float(norm2_[std::size_t(i)]);
  }

  void lower(const std::vector<index_t>& centers, float* distance) {
    if constexpr (has_cuda)
      if (const auto* devices = std::get_if<offload>(&on_))
        return lower_distances_offload(*devices, points_, norm2_, centers, {distance, count()});
    sweeper_.lower({norm2_.data(), count()}, centers, distance);
  }

  /// By rows of other factors.
  void lower_by(const outer_products& centers, float* distance) {
    sweeper_.lower_by_others({norm2_.data(), count()}, centers.points_,
                             {centers.norm2_.data(), centers.count()}, distance);
  }

  void take(index_t row) {
    a_at_hand_.add(row);
    h_at_hand_.add(row);
  }
  void let_go() {
    a_at_hand_.clear();
    h_at_hand_.clear();
  }
  index_t taken() const { return h_at_hand_.count(); }

  void squared_distances(index_t row, float* d2) const {
    const auto& [a, h, bias] = points_;
    const std::vector<index_t>& others = h_at_hand_.in_pool();
    const auto a_others = a_at_hand_.addresses(), h_others = h_at_hand_.addresses();
    std::vector<float> a_dot(others.size()), h_dot(others.size());
    canonical_dots(a.row(row), {a_others.data(), index_t(a_others.size())}, a.cols, a_dot.data());
    canonical_dots(h.row(row), {h_others.data(), index_t(h_others.size())}, h.cols, h_dot.data());
    for (std::size_t j = 0; j < others.size(); ++j)
      d2[j] = outer_squared_distance(norm2_[std::size_t(row)], norm2_[std::size_t(others[j])], a_dot[j],
                                     h_dot[j], bias);
  }

 private:
  void multiply_norms(index_t begin, index_t end) {
    float a_norm2[weight_block], h_norm2[weight_block];
    canonical_squared_norms(rows_between(points_.a, begin, end), a_norm2);
    canonical_squared_norms(rows_between(points_.h, begin, end), h_norm2);
    for (index_t i = begin; i < end; ++i) {
      const float a = a_norm2[i - begin], h = h_norm2[i - begin];
      if (a > largest_norm2 || h > largest_norm2) refuse_norm(i);
      norm2_[std::size_t(i)] = double(a) * (double(h) + double(points_.bias));
    }
  }

  where on_;
  factored_rows points_;
  outer_product_sweeper sweeper_;
  rows_at_hand a_at_hand_, h_at_hand_;
  std::vector<double> norm2_;  // |a_i|^2 (|h_i|^2 + bias)
};

}  // namespace poolwise
