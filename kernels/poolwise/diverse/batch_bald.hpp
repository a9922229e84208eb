// Batches by what their labels, taken together, say about the members of a committee.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

/// A configuration is one label for each pick; n picks of C classes have C^n, less those of probability 0.
struct joint_configurations {
  index_t most = 1'000'000;  ///< of the picks and one more row, that are counted one by one
  index_t samples = 1'000;   ///< drawn, of the picks alone, where there would be more
  std::uint64_t seed = 0;    ///< of the draws
};

/// BatchBALD: again and again the row whose label, joined to those of the picks, says most about which member
/// is right. With p^e_i the distribution of member e for row i, members alike likely and labels independent
/// given the member, the gain of i after the picks S is
///
///   I(y_S, y_i; e) - I(y_S; e) = E_{y_S} H[sum_e p(e | y_S) p^e_i] - mean_e H[p^e_i]
///
/// x        [members, rows, classes]  members >= 1, classes >= 1; distributions are scaled to sum to 1.
/// returns  picks in order; score = the gain at the time of the pick, in nats, never below 0. The first is the
///          row of the largest BALD. Fewer than asked when rows or budget run out. Never a row twice.
/// throws   shape_error; value_error (a row without a distribution, barred or not; less than one configuration
///          or sample; see check_allowance); no_cuda_error.
/// Exact while classes^n <= most for n picks, the one at hand among them: 6 picks of 10 classes, 19 of 2.
/// Gains never rise then. Beyond, `samples` configurations of the picks are drawn (systematically, and the same
/// for all rows), all gains are estimated from them, and go on from there: as if the labels of the picks so far
/// were one of these. Gains may rise at a draw; run->exact says how many picks came before the first.
/// Computed in double, compared in fp32. The gain after fewer picks, raised by a bound on rounding, bounds the
/// gain that is due and costs less, so only rows that may come first meet all configurations: the picks, and
/// their bits, are those of a loop that computes every row after every pick; the same for any thread count and
/// CPU target.
/// A gain takes classes * configurations logarithms and members times as many products. The pool is read for
/// the first pick and after each draw; for a pick between them some hundreds of rows meet all configurations.
/// Memory: 24 B * (members + 1) * most / classes at most, and 110 B a row.
/// Kirsch, van Amersfoort & Gal, NeurIPS 2019.
std::vector<candidate> batch_bald(const where& on, const real_cube& x, outputs kind, const allowance& limit,
                                  joint_configurations configurations = {}, batch_run* run = nullptr);

/// What batch_bald allocates at most.
constexpr std::uint64_t batch_bald_bytes(std::uint64_t rows, std::uint64_t members, std::uint64_t classes,
                                         std::uint64_t configurations) {
  const std::uint64_t joint = configurations / (classes > 0 ? classes : 1);
  return 24 * (members + 1) * (joint > 8 ? joint : 8) + rows * 110;
}

}  // namespace poolwise
