// Diverse batches out of a pool whose rows lie on many ranks: the picks of one process, to the bit.
//
// Every rank calls with its own rows, and gets the same picks. Rows are called by their numbers in the whole
// pool, to the lower of which ties go.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/rank_group.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/dpp.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

/// What one rank has of a pool; maybe nothing.
struct rank_rows {
  cpu on;
  const rank_group& ranks;
  finite_rows points;                ///< [rows, cols]; no rows have the columns of the others
  std::span<const index_t> numbers;  ///< [rows] ascending; on no other rank
};

/// k-center, as `kcenter`.
///
/// covered  [rows] squared distance to the nearest labelled row, or empty
/// limit    picks, and of these rows: group, quota, barred; nothing else
/// run      in numbers of rows
/// Of every pass over the pool ranks exchange the numbers and gains of their best rows, up to as many as the
/// shortlist holds, and the values of those of them that come first of all and were not told before.
std::vector<candidate> kcenter_over_ranks(const rank_rows& mine, const allowance& limit,
                                          vector_view<const float> covered, batch_run* run = nullptr);

/// Determinantal point processes, as `dpp` without quality.
std::vector<candidate> dpp_over_ranks(const rank_rows& mine, const allowance& limit, dpp_kernel kernel,
                                      batch_run* run = nullptr);

/// BADGE, as `badge` where it begins with the largest norm; `mine` has the features. No quotas.
///
/// x  [rows, classes]; no rows have the classes of the others
/// Sums of weights are of blocks of 1024 neighbouring numbers: of a block whose rows lie on several ranks, 4 B
/// a row travel in every sweep.
std::vector<candidate> badge_over_ranks(const rank_rows& mine, const real_matrix& x, outputs kind,
                                        const allowance& limit, std::uint64_t seed, batch_run* run = nullptr,
                                        double* widened = nullptr);

/// The best of the candidates that ranks have, in numbers of rows; row -1 where none has any.
candidate first_of_all(const rank_group& ranks, candidate mine);

}  // namespace poolwise
