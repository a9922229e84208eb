// k-means++ seeding, and BADGE by it.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/diverse/batch_run.hpp"

namespace poolwise {

/// Rows g_i = a_i (x) h_i (outer products), never formed:
/// |g_i - g_j|^2 = |a_i|^2 |h_i|^2 + |a_j|^2 |h_j|^2 - 2 (a_i . a_j)(h_i . h_j).
struct factored_rows {
  matrix_view<const float> a;  ///< [rows, classes]
  matrix_view<const float> h;  ///< [rows, features]
  bool bias = false;           ///< as if every h had one more feature, 1
};

/// The same, of factors that were judged before.
struct finite_factored_rows {
  finite_rows a, h;
  bool bias = false;

  operator factored_rows() const { return {a, h, bias}; }
};

/// Where k-means++ begins.
enum class first_center {
  largest_norm,  ///< as the published BADGE code does
  random,        ///< uniform, as k-means++ is defined
};

/// k-means++ seeding: each next row is drawn with probability proportional to its squared distance to the
/// nearest row picked so far. On `points`, or on factored rows, which with a = output_gradient and
/// h = features is BADGE.
///
/// returns  picks in order; score = the squared distance the pick was drawn with (its squared norm for the
///          first). When every distance left is 0, the lowest eligible row.
/// throws   shape_error; value_error (NaN, infinity, squared distances beyond fp32; see check_allowance);
///          no_cuda_error.
/// Distances of factored rows: the four canonical dots, put together in double, raised to 0 if negative;
/// exactly 0 for equal rows. Draws are functions of the seed and of their number, sums are kept per fixed block
/// of rows: the same picks for any thread count and CPU target. Arthur & Vassilvitskii 2007; Ash et al., ICLR
/// 2020.
/// Rows are drawn by stale distances and accepted by true ones, which is exact in distribution: reads the rows
/// once a sweep, of which a thousand picks take about four. Memory: 4 B a row, 12 B where factored.
std::vector<candidate> kmeans_pp(const where& on, matrix_view<const float> points, const allowance& limit,
                                 std::uint64_t seed, first_center first = first_center::random,
                                 batch_run* run = nullptr);
std::vector<candidate> kmeans_pp(const where& on, const factored_rows& points, const allowance& limit,
                                 std::uint64_t seed, first_center first = first_center::largest_norm,
                                 batch_run* run = nullptr);
/// The same, of rows that were judged before.
std::vector<candidate> kmeans_pp(const where& on, finite_rows points, const allowance& limit,
                                 std::uint64_t seed, first_center first = first_center::random,
                                 batch_run* run = nullptr);
/// The same, of rows that were judged before.
std::vector<candidate> kmeans_pp(const where& on, const finite_factored_rows& points, const allowance& limit,
                                 std::uint64_t seed, first_center first = first_center::largest_norm,
                                 batch_run* run = nullptr);

/// Gradients of output_gradient, all of them below 2^-20 since the model is certain of every row, are
/// multiplied by the power of two that brings the largest to [1, 2), so that their squares are within fp32:
/// that changes no draw. a  [rows, classes], in host memory, no row across another. returns  that power; 1
/// where a is left as it is.
double widen_gradient(const where& on, matrix_view<float> a);

/// What kmeans_pp of factored rows allocates on a CPU at most, the picks of a sweep apart.
constexpr std::uint64_t kmeans_pp_bytes(std::uint64_t rows) { return rows * (4 + 8 + 1); }

}  // namespace poolwise
