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
#include "poolwise/score/score.hpp"

namespace poolwise {

/// Rows g_i = a_i (x) h_i (outer products), never formed:
/// |g_i - g_j|^2 = |a_i|^2 |h_i|^2 + |a_j|^2 |h_j|^2 - 2 (a_i . a_j)(h_i . h_j).
struct factored_rows {
  matrix_view<const float> a;  ///< [rows, classes]
  matrix_view<const float> h;  ///< [rows, features]
  bool bias = false;           ///< as if every h had one more feature, 1
};

/// The same as a call takes them.
struct factored_points {
  point_rows a, h;
  bool bias = false;

  factored_points(point_rows of_classes, point_rows of_features, bool with_bias = false)
      : a(of_classes), h(of_features), bias(with_bias) {}
  factored_points(const factored_rows& x) : a(x.a), h(x.h), bias(x.bias) {}
};

/// Where k-means++ begins.
enum class first_center {
  largest_norm,  ///< as the published BADGE code does
  random,        ///< uniform, as k-means++ is defined
};

/// k-means++ seeding: each next row is drawn with probability proportional to its squared distance to the
/// nearest row picked so far. On `points`, or on factored rows. Library-only: the engine draws by badge.
///
/// returns  picks in order; score = the squared distance the pick was drawn with (its squared norm for the
///          first). When every distance left is 0, the lowest eligible row.
/// throws   shape_error; value_error (NaN, infinity, squared distances beyond fp32; see check_allowance);
///          no_cuda_error.
/// Distances of factored rows: the four canonical dots, put together in double, raised to 0 if negative;
/// exactly 0 for equal rows. Draws are functions of the seed and of their number, sums are kept per fixed block
/// of rows: the same picks for any thread count and CPU target. Arthur & Vassilvitskii 2007.
/// Rows are drawn by stale distances and accepted by true ones, which is exact in distribution: reads the rows
/// once a sweep, of which a thousand picks take about four. Memory: 4 B a row, 12 B where factored.
std::vector<candidate> kmeans_pp(const where& on, point_rows points, const allowance& limit, std::uint64_t seed,
                                 first_center first = first_center::random, batch_run* run = nullptr);
std::vector<candidate> kmeans_pp(const where& on, const factored_points& points, const allowance& limit,
                                 std::uint64_t seed, first_center first = first_center::largest_norm,
                                 batch_run* run = nullptr);

/// Gradients of output_gradient, all of them below 2^-20 since the model is certain of every row, are
/// multiplied by the power of two that brings the largest to [1, 2), so that their squares are within fp32:
/// that changes no draw. a  [rows, classes], in host memory, no row across another. returns  that power; 1
/// where a is left as it is.
double widen_gradient(const where& on, matrix_view<float> a);
/// The same of some of the rows, the largest of all of which is known.
double widen_gradient(const where& on, matrix_view<float> a, float largest);
float largest_gradient(const where& on, matrix_view<const float> a);

/// BADGE: k-means++ on the gradients that each row's predicted label would send to the last layer.
///
/// x         [rows, classes]   model outputs, which hold what `kind` says
/// features  [rows, features]  what the last layer is fed; where they were judged before, so was x
/// bias      whether that layer has one
/// widened   if not null, is given the power of two that widen_gradient multiplies the gradients by
/// returns, throws  as kmeans_pp of a = output_gradient and h = features. Memory beside its own: 4 B a value of
/// x. Ash et al., ICLR 2020.
std::vector<candidate> badge(const where& on, const real_matrix& x, outputs kind, point_rows features,
                             const allowance& limit, std::uint64_t seed, bool bias = true,
                             first_center first = first_center::largest_norm, batch_run* run = nullptr,
                             double* widened = nullptr);

/// What kmeans_pp of factored rows allocates on a CPU at most, the picks of a sweep apart.
constexpr std::uint64_t kmeans_pp_bytes(std::uint64_t rows) { return rows * (4 + 8 + 1); }

}  // namespace poolwise
