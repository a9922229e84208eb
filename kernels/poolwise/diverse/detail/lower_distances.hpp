// A pass over a pool that takes the minimum of every row's squared distance and those to some new centres.
#pragma once

#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/detail/quantised_rows.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"

namespace poolwise {

/// Lowers distances of the rows of one matrix, pass after pass.
///
/// A tile of rows meets all centres while it is in the cache (pair_sweep.hpp). Products of quantised rows bound
/// |x|^2 + |c|^2 - 2 x.c; where the bound leaves open whether a pair lowers the row's distance, the canonical
/// distance decides. The result has its bits in every case.
class distance_sweeper {
 public:
  distance_sweeper(cpu on, matrix_view<const float> points) : on_(on), points_(points) {}

  /// distance[i] = min(distance[i], canonical squared distance of row i to each of the rows `centers`). A
  /// negative distance[i] stays.
  void lower(const std::vector<index_t>& centers, float* distance);

  /// As lower, for these rows i alone, each of which stands there once.
  void lower_some(const std::vector<index_t>& rows, const std::vector<index_t>& centers, float* distance) {
    lower_runs(rows, 1, index_t(rows.size()), centers, distance);
  }

  /// As lower, for the first `count` rows of runs of `length` neighbours alone, which begin with rows `first`.
  void lower_runs(const std::vector<index_t>& first, index_t length, index_t count,
                  const std::vector<index_t>& centers, float* distance);

  /// As lower_runs, by centers that are not rows of the matrix: a row of `centers` each.
  void lower_runs_by(const std::vector<index_t>& first, index_t length, index_t count,
                     matrix_view<const float> centers, float* distance);

 private:
  cpu on_;
  matrix_view<const float> points_;
  pair_filter filter_;
};

/// The same for outer products.
class outer_product_sweeper {
 public:
  outer_product_sweeper(cpu on, const factored_rows& points) : on_(on), points_(points) {}

  /// norm2 [rows] is |a_i|^2 (|h_i|^2 + bias), of canonical squared norms up to largest_norm2.
  void lower(vector_view<const double> norm2, const std::vector<index_t>& centers, float* distance);

  /// By centers that are not rows of the factors, each with its norm2.
  void lower_by_others(vector_view<const double> norm2, const factored_rows& centers,
                       vector_view<const double> center_norm2, float* distance);

 private:
  cpu on_;
  factored_rows points_;
  pair_filter filter_;
};

/// The squared distance of outer products from their squared norms and the canonical products of their factors.
/// The three products of equal rows are the same double, so that these are at distance 0 exactly. What rounding
/// makes negative is raised to 0.
inline float outer_squared_distance(double norm2, double other_norm2, float a_dot, float h_dot, bool bias) {
  const double d = norm2 + other_norm2 - 2 * (double(a_dot) * (double(h_dot) + double(bias)));
  return float(d > 0 ? d : 0);
}

}  // namespace poolwise
