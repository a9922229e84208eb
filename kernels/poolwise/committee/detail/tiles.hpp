// A committee's accumulators, for tiles of 16 rows, one vector lane a row.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/committee/detail/needs.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/score/detail/blocking.hpp"

namespace poolwise {

/// One column of a tile. The layout is the same on every CPU target.
struct alignas(64) tile_column {
  float row[tile_rows];
};

/// The accumulators of a tile. Arrays have one element a column; those not gathered are null.
struct tile {
  tile_column* sum;         ///< of the members' probabilities; null where votes alone matter
  tile_column* deviations;  ///< of the members' squared deviations from their mean
  tile_column* votes;       ///< members voting for a class
  tile_column* entropy;     ///< one element: of the members' entropies; NaN where one has no distribution
  bool entropies_matter;    ///< or else `entropy` need only tell NaN
};

/// The accumulators of `rows` rows, at zero.
class tiles {
 public:
  tiles(index_t rows, index_t cols, std::span<const disagreement> which)
      : cols_(cols),
        entropies_matter_(any(which, needs_entropies)),
        entropy_(std::size_t(blocks_of(rows, tile_rows))) {
    if (any(which, needs_means)) sum_.resize(columns(rows));
    if (any(which, needs_votes)) votes_.resize(columns(rows));
    if (any(which, needs_deviations)) deviations_.resize(columns(rows));
  }

  /// The tile that holds row `row`, a multiple of `tile_rows`.
  tile at(index_t row) {
    const index_t t = row / tile_rows;
    const auto place = [&](std::vector<tile_column>& array) {
      return array.empty() ? nullptr : array.data() + t * cols_;
    };
    return {place(sum_), place(deviations_), place(votes_), entropy_.data() + t, entropies_matter_};
  }

  void clear() {
    for (auto* array : {&sum_, &deviations_, &votes_, &entropy_})
      std::fill(array->begin(), array->end(), tile_column{});
  }

 private:
  std::size_t columns(index_t rows) const { return std::size_t(blocks_of(rows, tile_rows) * cols_); }

  index_t cols_;
  bool entropies_matter_;
  std::vector<tile_column> entropy_, sum_, deviations_, votes_;
};

/// One member's rows of a tile, kept for max_kl while the other members are gathered.
struct member_record {
  tile_column largest, scale;  ///< its normaliser
  tile_column divergence;      ///< KL(p^e || pbar) so far
};

}  // namespace poolwise
