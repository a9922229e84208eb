// What a committee leaves behind for each row: accumulators for tiles of 16 rows, one vector lane a row.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "poolwise/committee/committee.hpp"
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
      : cols_(cols), entropy_(std::size_t(blocks_of(rows, tile_rows))) {
    const auto asked = [&](disagreement d) { return std::find(which.begin(), which.end(), d) != which.end(); };
    const auto counts_votes = [](disagreement d) {
      return d == disagreement::vote_entropy || d == disagreement::variation_ratio;
    };
    if (!std::all_of(which.begin(), which.end(), counts_votes)) sum_.resize(columns(rows));
    if (std::any_of(which.begin(), which.end(), counts_votes)) votes_.resize(columns(rows));
    entropies_matter_ = asked(disagreement::bald) || asked(disagreement::max_kl);
    if (asked(disagreement::mean_std)) deviations_.resize(columns(rows));
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
  std::vector<tile_column> sum_, deviations_, votes_, entropy_;
};

/// What max_kl needs of one member while the others are gathered, for the rows of a tile.
struct member_record {
  tile_column largest, scale;  ///< its normaliser
  tile_column divergence;      ///< KL(p^e || pbar) so far
};

}  // namespace poolwise
