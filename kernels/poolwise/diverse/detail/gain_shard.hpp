// Gains of one rank's rows, and how ranks make the batches of one process of them.
//
//   sweep      each rank lowers the gains of its rows by the latest picks, whose values all ranks have.
//   best       each gives the numbers and gains of its best rows; the best of these are the shortlist of all.
//   chain      who has a row of the shortlist gives its values; then all ranks run the same chain among copies.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "poolwise/diverse/detail/threshold_batch.hpp"
#include "poolwise/diverse/over_ranks.hpp"

namespace poolwise {

/// A pick by its values.
struct pick_values {
  const float* point;
  float gain;
};

/// A gain model some of whose picks are rows of others. `sweep` is called without picks.
class gain_shard : public gain_model {
 public:
  /// Lowers the gains by picks, in order, of whatever rank. `sweep` comes before they are asked for.
  virtual void lower_by(std::span<const pick_values> picks) = 0;

  /// Of these rows `row` was picked.
  virtual void retire(index_t row) = 0;

  /// A model of some rows of all ranks, ready for a chain after the same picks. gains: as they are now
  virtual std::unique_ptr<gain_model> of_shortlist(matrix_view<const float> points,
                                                   const std::vector<float>& gains) const = 0;
};

/// The picks of plain greedy among the rows of all ranks, by `mine` of this rank's rows.
std::vector<candidate> batches_over_ranks(gain_shard& mine, const rank_rows& rows, const allowance& limit,
                                          batch_run* run);

/// Copies of rows, of whatever rank: [numbers, cols] in their order. All ranks ask for the same.
std::vector<float> values_of(const rank_rows& mine, std::span<const index_t> numbers);

}  // namespace poolwise
