// k-means++ in batches: draws from stale weights, corrected by rejection, so that hundreds of picks share one
// pass over the pool.
//
// Let w_i be the squared distance of row i to the nearest pick at the last sweep and d_i <= w_i what it is now.
// Propose i with probability w_i / sum w; accept it with probability d_i / w_i. An accepted row is i with
// probability proportional to d_i: k-means++ to the letter, whenever sweeps come, as long as what decides on a
// sweep is known before the proposal. Here it is the number of proposals accepted and rejected since the last.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"

namespace poolwise {

// The order of additions is part of the result, and the same on every backend. Weights are added in blocks of
// 1024 rows: row i of a block to partial sum i mod 8, and the eight in ascending order from 0; then the blocks.
// Within the block that a draw falls into they are added once more, in runs of 32 rows and then row by row.
inline constexpr index_t weight_block = 1024;
inline constexpr int weight_lanes = 8, weight_run = 32;

/// Of the weights of one block.
double sum_of_block(const float* weights, index_t rows);

/// Where a draw falls: its block, and what is left of the target there. sums: of the weights up to the end of
/// each block.
struct drawn {
  index_t block;
  double within;
};
drawn drawn_block(const std::vector<double>& sums, double target);

/// The row of a block's weights that is meant.
index_t drawn_row(const float* weights, index_t rows, double target);

/// Factors of a larger squared norm are refused: below half the range no dot product overflows, by Cauchy and
/// Schwarz.
inline constexpr float largest_norm2 = std::numeric_limits<float>::max() / 2;
[[noreturn]] void refuse_norm(index_t row);

/// After so many proposals the weights are made anew.
inline constexpr index_t most_proposals = 1024;

/// The weights by which the rows of a pool are drawn, wherever these lie. Its members return the same for every
/// such place, in host memory.
class weight_model {
 public:
  virtual ~weight_model() = default;
  virtual index_t rows() const = 0;

  /// Weights are squared norms until the first sweep with a pick, and from there on squared distances to the
  /// nearest pick. Lowers them by `latest`, the picks since the last sweep; at first there are none. `latest`
  /// and what `left` does not allow weigh nothing from now on. Returns the sum of all weights.
  virtual double sweep(const std::vector<candidate>& latest, const remaining& left) = 0;

  /// The row of the largest weight, ties to the lower row; row -1 if none is left.
  virtual candidate largest() = 0;

  /// The row with its weight.
  virtual candidate at(index_t row) = 0;

  /// Adds to the proposals since the last sweep: for each u in [0, 1) the row in whose share of [0, sum of
  /// weights) the number u * sum lies, with its weight, which is above 0. Should rounding put it past the last
  /// share, of a run, a block or of all, the last row, run or block with any share is meant.
  virtual std::vector<candidate> propose(const std::vector<double>& units) = 0;

  /// The smallest squared distance of proposal p to those of `accepted` (proposals by their place since the
  /// last sweep); infinity if there is none.
  virtual float nearest(index_t p, const std::vector<index_t>& accepted) = 0;

  /// The lowest rows that are left, up to `count`, where no other place knows which; else nothing.
  virtual std::optional<std::vector<index_t>> lowest_left(index_t) { return std::nullopt; }

  /// How many proposals `propose` is best asked for at a time.
  virtual index_t proposals_at_once() const { return most_proposals; }
};

/// k-means++ by `model`, the same wherever `run` begins. throws value_error where squared distances leave the
/// range of fp32.
std::vector<candidate> stale_rejection(weight_model& model, const allowance& limit, std::uint64_t seed,
                                       first_center first, batch_run* run = nullptr);

}  // namespace poolwise
