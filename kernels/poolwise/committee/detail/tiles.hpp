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

/// Members are added up in blocks of so many in fp32, and blocks in fp64: rounding grows no further.
inline constexpr index_t members_in_block = 64;

/// How many of `members` come before the last block.
constexpr index_t joined_of(index_t members) { return (members - 1) / members_in_block * members_in_block; }

/// One column of a tile. The layout is the same on every CPU target.
template <class T>
struct alignas(64) column_of {
  T row[tile_rows];
};
using tile_column = column_of<float>;

/// The accumulators of a tile. Arrays have one element a column; those not gathered are null.
template <class T>
struct tile_of {
  column_of<T>* sum;         ///< of the members' probabilities; null where votes alone matter
  column_of<T>* deviations;  ///< of the members' squared deviations from their mean
  column_of<T>* votes;       ///< members voting for a class
  column_of<T>* entropy;     ///< one element: of the members' entropies; NaN where one has no distribution
  bool entropies_matter;     ///< or else `entropy` need only tell NaN
};
using float_tile = tile_of<float>;

/// The accumulators of `rows` rows, at zero.
template <class T>
class tiles_of {
 public:
  tiles_of(index_t rows, index_t cols, std::span<const disagreement> which)
      : cols_(cols),
        entropies_matter_(any(which, needs_entropies)),
        entropy_(std::size_t(blocks_of(rows, tile_rows))) {
    if (any(which, needs_means)) sum_.resize(columns(rows));
    if (any(which, needs_votes)) votes_.resize(columns(rows));
    if (any(which, needs_deviations)) deviations_.resize(columns(rows));
  }

  /// The tile that holds row `row`, a multiple of `tile_rows`.
  tile_of<T> at(index_t row) {
    const index_t t = row / tile_rows;
    const auto place = [&](std::vector<column_of<T>>& array) {
      return array.empty() ? nullptr : array.data() + t * cols_;
    };
    return {place(sum_), place(deviations_), place(votes_), entropy_.data() + t, entropies_matter_};
  }

  void clear() {
    for (auto* array : {&sum_, &deviations_, &votes_, &entropy_})
      std::fill(array->begin(), array->end(), column_of<T>{});
  }

  /// Shows what belongs to `rows` rows, a column of a tile at a time, as spans.
  template <class See>
  void each_row(index_t rows, See&& see) {
    for (auto* array : {&entropy_, &sum_, &deviations_, &votes_}) {
      const index_t of_tile = array == &entropy_ ? 1 : cols_;
      for (index_t i = 0; i < index_t(array->size()); ++i)
        see(std::span((*array)[std::size_t(i)].row)
                .first(std::size_t(std::min<index_t>(tile_rows, rows - i / of_tile * tile_rows))));
    }
  }

 private:
  std::size_t columns(index_t rows) const { return std::size_t(blocks_of(rows, tile_rows) * cols_); }

  index_t cols_;
  bool entropies_matter_;
  std::vector<column_of<T>> entropy_, sum_, deviations_, votes_;
};
using tiles = tiles_of<float>;

/// Writes the sums of `before` members and of a block of `count` more `into` a tile, which may be either.
/// Squared deviations from two means: Chan et al. 1979.
template <class T>
void join(const tile_of<double>& earlier, index_t before, const float_tile& block, index_t count, index_t cols,
          const tile_of<T>& into) {
  const auto add = [](const column_of<double>* a, const tile_column* b, index_t columns, column_of<T>* to) {
    for (index_t c = 0; a != nullptr && c < columns; ++c)
      for (int r = 0; r < tile_rows; ++r) to[c].row[r] = T(a[c].row[r] + double(b[c].row[r]));
  };
  const double share = double(before) * double(count) / double(before + count);
  for (index_t c = 0; earlier.deviations != nullptr && c < cols; ++c)
    for (int r = 0; r < tile_rows; ++r) {
      const double off = double(block.sum[c].row[r]) / double(count) -
                         earlier.sum[c].row[r] / double(std::max<index_t>(1, before));
      into.deviations[c].row[r] =
          T(earlier.deviations[c].row[r] + double(block.deviations[c].row[r]) + off * off * share);
    }
  add(earlier.sum, block.sum, cols, into.sum);
  add(earlier.votes, block.votes, cols, into.votes);
  add(earlier.entropy, block.entropy, 1, into.entropy);
}

/// One member's rows of a tile, kept for max_kl while the other members are gathered.
struct member_record {
  tile_column largest, scale;  ///< its normaliser
  tile_column divergence;      ///< KL(p^e || pbar) so far
};

}  // namespace poolwise
