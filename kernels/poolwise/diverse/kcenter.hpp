// k-center greedy. Picks are those of a loop that takes the best eligible row and lowers all gains by it, tens
// to hundreds of them for one pass over the rows.
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

/// What kcenter allocates on a CPU at most, `covered` and the picks of a sweep apart.
constexpr std::uint64_t kcenter_bytes(std::uint64_t rows) { return rows * (4 + 4 + 4 + 1); }

}  // namespace poolwise
