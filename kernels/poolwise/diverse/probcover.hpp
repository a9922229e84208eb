// Balls that cover the pool: a batch for when there are few labels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/diverse/batch_run.hpp"

namespace poolwise {

struct probcover_options {
  double purity = 0.95;  ///< the share of balls that keep to one cluster; 0.95 as published
  index_t most_clusters =
      500;  ///< of k-means, which else makes one for each labelled row and each pick, at least 2
  index_t most_pairs_a_row = 256;  ///< within the radius, for what they take: 48 B each
  std::uint64_t seed = 0;          ///< of k-means, which trains on all rows
};

/// ProbCover: again and again the row whose ball holds most rows that no ball of a labelled or picked row
/// holds. The radius is the largest at which `purity` of the balls keep to one cluster of k-means; balls so
/// dense that there are more pairs are halved in squared radius until they are not.
///
/// points    [rows, cols], finite; host memory
/// labelled  rows that have a label; none of them is picked
/// weights   [rows] how many rows each stands for, or empty for 1. The radius does not look at it.
/// vertex    as for facility_location
/// returns   picks in order; score = rows that the pick's ball was the first to cover, never rising
/// throws    value_error (a NaN, an infinity, squared distances beyond fp32, a labelled row out of range,
/// another purity, more pairs of
///           rows at distance 0 than `most_pairs_a_row` allows; see facility_location); what kmeans throws for
///           `on`
/// Clusters are made where `on` computes, balls on its host. The time is that of kmeans and of rows^2 * cols.
/// The same picks for any number of threads and on every device. Yehuda et al., NeurIPS 2022.
std::vector<candidate> probcover(const where& on, point_rows points, const allowance& limit,
                                 std::span<const index_t> labelled = {}, const probcover_options& options = {},
                                 batch_run* run = nullptr, vector_view<const float> weights = {},
                                 std::span<const index_t> vertex = {});

/// What probcover allocates at most: in k-means and the search for the radius, and for the graph while it is
/// built.
std::uint64_t probcover_bytes(std::uint64_t rows, std::uint64_t cols, const probcover_options& options = {});

}  // namespace poolwise
