// k-center greedy. Picks are those of a loop that takes the best eligible row and lowers all gains by it, tens
// to hundreds of them for one pass over the rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/diverse/batch_run.hpp"

namespace poolwise {

/// k-center greedy: again and again the row farthest from everything labelled or picked.
///
/// points   [rows, cols], finite.
/// covered  [rows] >= 0, squared canonical distance of each row to its nearest labelled item (see `nearest`),
///          or empty for infinity: by the total order, the first pick is the first row of a positive weight.
/// weights  [rows] >= 0, finite, or empty for 1: the gain is weight * squared distance, and 0 for weight 0.
/// returns  picks in order; score = the gain at the time of the pick, never rising. Fewer than asked when
///          rows or budget run out. Never a row twice, even when all gains are 0.
/// throws   shape_error; value_error (NaN, infinity, a negative weight, squared distances beyond fp32; see
///          check_allowance); no_cuda_error.
/// The same picks and scores for any thread count, CPU target, device, number of devices and memory ceiling.
/// A 2-approximation of the k-center optimum. Gonzalez 1985; Sener & Savarese, ICLR 2018.
/// The exact threshold batch: a sweep reads the rows, but for runs of them that cannot matter any more, and a
/// thousand picks take about five. It is a product of rows and picks, in bytes where the CPU multiplies those
/// (AVX-512 VNNI), else in words. Memory: 4 B a row, 8 B with weights, up to 2 B an element of 16,384 picks.
/// On devices limits stay in host memory, and the call waits twice a sweep: for the best rows and for the picks
/// among them. Memory there: 4 B a row, what limits and weights take, up to a quarter of it for the best 4096
/// rows and, where it suffices, bf16 copies of the rows (2 B an element, 16 B a row). Offloaded, a device holds
/// its share of the rows, or has it sent again for every sweep.
std::vector<candidate> kcenter(const where& on, point_rows points, const allowance& limit,
                               vector_view<const float> covered = {}, vector_view<const float> weights = {},
                               batch_run* run = nullptr);

/// kcenter beside rows that have a label: `covered` is the squared distance to the nearest of `labelled`, [any,
/// cols]. The same picks and scores as with that of every row. On a CPU, with `many_labelled` rows and more,
/// where nothing but the number of picks limits and `run` begins anew, it is found of few rows: bounds by some
/// labelled rows show of the others that they are no picks. Then `run` is told of all picks at once. throws as
/// kcenter.
std::vector<candidate> kcenter_beside(const where& on, finite_rows points, finite_rows labelled,
                                      const allowance& limit, vector_view<const float> weights = {},
                                      batch_run* run = nullptr);

/// With so many labelled rows a comparison of all rows with all of them is worth avoiding.
inline constexpr index_t many_labelled = 1024;

/// So many rows at most are compared with all labelled ones, and picks are made among so many of them, before
/// kcenter_beside does without bounds.
constexpr index_t most_compared(index_t rows) { return rows / 8; }
constexpr index_t most_leaders(index_t rows, index_t picks) {
  return std::min(most_compared(rows), 16384 + 32 * std::min(picks, rows));
}

/// What kcenter_beside allocates beside kcenter_bytes, at most: copies of rows and of the labelled ones.
constexpr std::uint64_t kcenter_beside_bytes(index_t rows, index_t picks, index_t features, index_t labelled) {
  if (labelled < many_labelled) return 0;
  const index_t copies = std::max<index_t>(most_leaders(rows, picks), 4096) + labelled;
  return std::uint64_t(copies) * (std::uint64_t(features) * 4 + 64) +
         std::uint64_t(most_compared(rows)) * 6 * sizeof(candidate);
}

/// What kcenter allocates on a CPU at most, `covered` and the picks of a sweep apart.
constexpr std::uint64_t kcenter_bytes(std::uint64_t rows) { return rows * (4 + 4 + 4 + 1); }

}  // namespace poolwise
