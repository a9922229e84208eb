// The gain models and the weight model of the greedy engines.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "poolwise/diverse/batch_bald.hpp"
#include "poolwise/diverse/detail/stale_rejection.hpp"
#include "poolwise/diverse/detail/threshold_batch.hpp"
#include "poolwise/diverse/dpp.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/graph/similarity.hpp"

namespace poolwise {

/// The gain of a row is its squared distance to the nearest labelled or picked row, times its weight. Views as
/// `kcenter` takes them, checked by it; they must outlive the model.
std::unique_ptr<gain_model> kcenter_model(cpu on, matrix_view<const float> points,
                                          vector_view<const float> covered, vector_view<const float> weights);

/// The gain of a row is its variance given the picks, times its squared quality. Views as `dpp` takes them,
/// checked by it; they must outlive the model.
/// throws value_error where gains leave the range of fp32.
std::unique_ptr<gain_model> dpp_model(cpu on, matrix_view<const float> points, vector_view<const float> quality,
                                      dpp_kernel kernel);

/// The gain of a row is what its label says about the members of a committee beside those of the picks, times
/// `factors` [rows] where there are any. `x` as `batch_bald` takes it, checked by it; it must outlive the
/// model.
std::unique_ptr<gain_model> batch_bald_model(cpu on, const real_cube& x, outputs kind,
                                             joint_configurations configurations,
                                             std::vector<float> factors = {});

/// Gains over a graph, times `factors` [candidates] where there are any. Views as `facility_location` and
/// `graph_cut` take them, checked by them; they and the graph must outlive the model. Copies of picks they
/// leave to add_copies.
std::unique_ptr<gain_model> facility_location_model(cpu on, const similarity_graph& graph,
                                                    std::span<const index_t> labelled,
                                                    vector_view<const float> weights,
                                                    std::vector<float> factors = {},
                                                    std::span<const index_t> vertex = {});
std::unique_ptr<gain_model> graph_cut_model(cpu on, const similarity_graph& graph, double lambda,
                                            std::span<const index_t> labelled,
                                            vector_view<const float> weights = {},
                                            std::vector<float> factors = {},
                                            std::span<const index_t> vertex = {});

/// Weights are squared distances to the nearest pick, of rows wherever `on` says; `offload` may keep the
/// weights on the host. Views as `kmeans_pp` takes them, checked by it; they must outlive the model. throws
/// value_error where squared norms of factors leave the range of fp32.
std::unique_ptr<weight_model> kmeans_pp_model(const where& on, matrix_view<const float> points,
                                              const allowance& limit);
std::unique_ptr<weight_model> kmeans_pp_model(const where& on, const factored_rows& points,
                                              const allowance& limit);

}  // namespace poolwise
