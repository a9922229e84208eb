// k-means++ on CUDA devices: stale rejection over rows that lie on one, or are sent to several once, or for
// every sweep.
#pragma once

#include <memory>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/detail/stale_rejection.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"

namespace poolwise {

/// The pool on the device of `on`: its views lie there. What `limit` and the rows view must outlive it. throws
/// as kmeans_pp does where squared norms leave the range of fp32.
std::unique_ptr<weight_model> kmeans_pp_pool_cuda(const cuda& on, matrix_view<const float> points,
                                                  const allowance& limit);
std::unique_ptr<weight_model> kmeans_pp_pool_cuda(const cuda& on, const factored_rows& points,
                                                  const allowance& limit);

/// A pool on the host of which each device of `on` is sent its shard once; null where one has no room for that.
/// throws value_error if `on` names no device or one twice.
std::unique_ptr<weight_model> kmeans_pp_pool_resident(const offload& on, matrix_view<const float> points,
                                                      const allowance& limit);
std::unique_ptr<weight_model> kmeans_pp_pool_resident(const offload& on, const factored_rows& points,
                                                      const allowance& limit);

/// distance[i] = min(distance[i], squared distance of row i to each of the rows `centers`); negative ones stay.
/// Everything lies on the host, and the rows are sent once.
void lower_distances_offload(const offload& on, matrix_view<const float> points,
                             const std::vector<index_t>& centers, vector_view<float> distance);
/// norm2: of the rows, |a_i|^2 (|h_i|^2 + bias).
void lower_distances_offload(const offload& on, const factored_rows& points, const std::vector<double>& norm2,
                             const std::vector<index_t>& centers, vector_view<float> distance);

}  // namespace poolwise
