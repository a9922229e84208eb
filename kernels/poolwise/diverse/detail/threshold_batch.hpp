// Greedy selection in batches: the picks of plain greedy, tens to hundreds of them for one pass over the pool.
//
//   sweep      every gain is exact. S = the best M rows by (gain descending, row ascending), r = the next one.
//   chain      while the best row b of S comes before r: pick b; lower the gains of S, and of S alone, by b.
//   and again  lower the gains of all rows by the picks of the chain.
//
// A gain only falls, so a row outside of S, whose gain is stale, comes no earlier than it did: after r. What
// comes before r and first in S comes first of all rows. The first row of S always does: no more sweeps than
// picks. A row that its costs or its group rule out stays ruled out, which is a gain that falls, too; were r
// ruled out it would still bound what is outside.
//
// It needs a gain model: a function of a row and of the picks so far, in order, that never rises as
// picks are added, and whose bits do not depend on how picks were grouped into sweeps, nor on whether a chain
// or a sweep made it. k-center is one (weight * squared distance to the nearest pick), pivoted Cholesky (DPP)
// and the joint information of a committee (BatchBALD) are others.
#pragma once

#include <limits>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/diverse/batch_run.hpp"

namespace poolwise {

/// The gains of a pool, wherever its rows lie: on the host, on a device, shared out over several. Its members
/// return the same for every such place, in host memory.
class gain_model {
 public:
  virtual ~gain_model() = default;

  /// Lowers the gains of all rows by `latest`, the picks since the last sweep, in order, be they of `chain` or
  /// of an earlier run; at first there are none. `latest` and what `left` does not allow are left out from now
  /// on: what it has ruled out, and after a chain without picks, when `latest` is empty, all that is not
  /// eligible.
  virtual void sweep(const std::vector<candidate>& latest, const remaining& left) = 0;

  /// The best `count` rows by their gains at the last sweep, best first; fewer if there are no more.
  virtual std::vector<candidate> best(index_t count) = 0;

  /// Picks from `shortlist`, the best rows as `best` gave them: again and again the row of the highest gain,
  /// ties to the lower row, among those that `left` allows, as long as there is one, it comes before `rival`
  /// and picks are left. Takes each pick from `left`. Returns them in order with their gains; it may stop after
  /// any of them, where the gains had better be made anew.
  virtual std::vector<candidate> chain(const std::vector<candidate>& shortlist, candidate rival,
                                       remaining& left) = 0;

  /// How long a shortlist begins, and how long it may grow: twice as long after a chain so short that `sweeps`
  /// more like it would be needed, and after one too short to be worth its sweep.
  struct width {
    index_t first = 1024, most = 4096, sweeps = std::numeric_limits<index_t>::max();
  };
  virtual width shortlist_width() const { return {}; }
};

/// Comes after every row.
inline constexpr candidate no_rival{-1, -std::numeric_limits<float>::infinity()};

/// The picks of plain greedy by `model`, whatever the widths of its shortlists and wherever `run` begins. Where
/// `limit` is per_cost the gains of the model have its gain_factors; those of the picks have not.
std::vector<candidate> threshold_batches(gain_model& model, const allowance& limit, batch_run* run = nullptr);

/// What each row of a `fresh` model would add to the picks; 0 for these, and for barred rows.
std::vector<float> gains_beside(gain_model& fresh, index_t rows, vector_view<const std::uint8_t> barred,
                                const std::vector<candidate>& picks);

}  // namespace poolwise
