// Batches that a determinantal point process finds likely: rows of high quality that do not repeat each other.
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

/// How alike two rows x and y are:
enum class dpp_similarity {
  rbf,     ///< exp(-|x - y|^2 / (2 bandwidth^2)) of the canonical squared distance
  linear,  ///< the canonical dot product; on rows of norm 1 the cosine. Its rank is at most the columns.
};

struct dpp_kernel {
  dpp_similarity kind = dpp_similarity::rbf;
  double bandwidth = 0;  ///< of rbf, > 0; 0: `median_distance` of the points
};

/// The median distance between rows, the usual bandwidth of rbf: over all pairs of up to 512 rows, taken at
/// even steps, that are not at distance 0; 1 if all are.
/// throws value_error for a NaN, an infinity or squared distances beyond fp32; no_cuda_error.
/// Gretton et al., "A kernel two-sample test", JMLR 2012, sec. 8.
/// Library-only: dpp takes it where no bandwidth is given.
double median_distance(const where& on, point_rows points);

/// Greedy MAP of the determinantal point process L_ij = quality_i K(x_i, x_j) quality_j: again and again the
/// row that raises ln det L of the picks most, which is the row of the largest quality^2 * variance, where the
/// variance of a row is K(x, x) less what the picks explain of it.
///
/// points   [rows, cols], finite.
/// quality  [rows] >= 0, finite, or empty for 1.
/// returns  picks in order; score = the gain at the time of the pick, by which det L grew; it never rises.
///          Fewer than asked when rows or budget run out. Never a row twice.
/// throws   shape_error; value_error (NaN, infinity, a negative quality, a bandwidth that is no positive
///          number, gains or squared distances beyond fp32; see check_allowance); no_cuda_error.
/// A variance below 2^-16 of K(x, x) is rounding: it counts as 0. Once all gains are 0 - the rank of L is used
/// up, or quality is 0 - the lowest rows follow, which lower no gain.
/// Pivoted Cholesky in fp32, its products canonical and variances in double: the same picks and scores for any
/// thread count and CPU target. Rounding of the distances and the factor moves a gain by some 1e-6 of K(x, x).
/// The exact threshold batch: a sweep adds the columns of tens of picks to the factor and reads it once. The
/// work is that of rows * picks * (picks / 2 + cols) products. Memory: 4 B * rows * picks for the factor, 16 B
/// a row, 4 B * picks^2 / 2, and a row of the factor for each of a shortlist.
/// Kulesza & Taskar 2012; Chen, Zhang & Zhou, "Fast greedy MAP inference for determinantal point process to
/// improve recommendation diversity", NeurIPS 2018.
std::vector<candidate> dpp(const where& on, point_rows points, const allowance& limit,
                           vector_view<const float> quality = {}, dpp_kernel kernel = {},
                           batch_run* run = nullptr);

/// What dpp allocates at most: the factor, in blocks of 16 columns, of all rows, of the picks, and of the rows
/// of a shortlist.
constexpr std::uint64_t dpp_bytes(std::uint64_t rows, std::uint64_t picks) {
  const std::uint64_t columns = picks / 16 * 16 + 16, shortlist = rows < 4096 ? rows : 4096;
  return 4 * columns * (rows + picks + shortlist) + rows * (4 + 8 + 4);
}

}  // namespace poolwise
