// Diverse batches: greedy selections over the rows of one matrix of candidates. Picks are those of a loop that
// takes the best eligible row and lowers all gains by it, tens to hundreds of them for one pass over the rows.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/allowance.hpp"

namespace poolwise {

/// Where a selection stands between two passes over the pool.
struct batch_state {
  std::vector<candidate> picks;  ///< in order, with their scores
  index_t proposals = 0;         ///< of kmeans_pp: rows drawn, accepted or not

  friend bool operator==(const batch_state&, const batch_state&) = default;
};

/// A selection under way. From where another one of the same inputs stood it goes on to the same batch.
struct batch_run {
  batch_state begin = {};                                 ///< what it goes on from
  std::function<void(const batch_state&)> advanced = {};  ///< called after every pass that made picks
  index_t sweeps = 0;                                     ///< passes over the pool for the picks of a batch
  index_t proposals = 0;                                  ///< of kmeans_pp: rows drawn, accepted or not
  index_t gains = 0;  ///< of batch_bald: gains computed after all picks so far, in sweeps or one by one
  index_t exact = 0;  ///< of batch_bald: the first so many picks count every joint configuration
};

/// Refuses, in the name of `call`, to go on from picks that a selection with this limit cannot have made.
/// throws value_error (a row out of range, picked twice or not allowed; more picks than asked for).
void check_begin(const char* call, const batch_run* run, const allowance& limit, index_t rows);

/// k-center greedy: again and again the row farthest from everything labelled or picked.
///
/// points   [rows, cols], finite.
/// covered  [rows] >= 0, squared canonical distance of each row to its nearest labelled item (see `nearest`),
///          or empty for infinity: by the total order, the first pick is the first row of a positive weight.
/// weights  [rows] >= 0, finite, or empty for 1: the gain is weight * squared distance, and 0 for weight 0.
/// returns  picks in order; score = the gain at the time of the pick, never rising. Fewer than asked when
///          rows or budget run out. Never a row twice, even when all gains are 0.
/// throws   shape_error; value_error (NaN, infinity, a negative weight; see check_allowance); no_cuda_error.
/// The same picks and scores for any thread count, CPU target, device, number of devices and memory ceiling.
/// A 2-approximation of the k-center optimum. Gonzalez 1985; Sener & Savarese, ICLR 2018.
/// The exact threshold batch: a sweep reads the rows, but for runs of them that cannot matter any more, and a
/// thousand picks take about five. It is a product of rows and picks, in bytes where the CPU multiplies those
/// (AVX-512 VNNI), else in words. Memory: 4 B a row, 8 B with weights, up to 2 B an element of 16,384 picks.
/// On devices limits stay in host memory, and the call waits twice a sweep: for the best rows and for the picks
/// among them. Memory there: 4 B a row, what limits and weights take, up to a quarter of it for the best 4096
/// rows and, where it suffices, bf16 copies of the rows (2 B an element, 16 B a row). Offloaded, a device holds
/// its share of the rows, or has it sent again for every sweep.
std::vector<candidate> kcenter(const where& on, matrix_view<const float> points, const allowance& limit,
                               vector_view<const float> covered = {}, vector_view<const float> weights = {},
                               batch_run* run = nullptr);

/// Rows g_i = a_i (x) h_i (outer products), never formed:
/// |g_i - g_j|^2 = |a_i|^2 |h_i|^2 + |a_j|^2 |h_j|^2 - 2 (a_i . a_j)(h_i . h_j).
struct factored_rows {
  matrix_view<const float> a;  ///< [rows, classes]
  matrix_view<const float> h;  ///< [rows, features]
  bool bias = false;           ///< as if every h had one more feature, 1
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

}  // namespace poolwise
