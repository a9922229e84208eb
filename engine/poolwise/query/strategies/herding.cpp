#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/diverse/coverage.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// The squared bandwidth in the unit of the rows, or 0 where none is given.
float given_scale(const stage_input& x) {
  const double bandwidth = x.what->given["bandwidth"] * x.unit;
  return float(std::min(bandwidth * bandwidth, double(std::numeric_limits<float>::max())));
}

/// The least squared distance between labelled rows that differ; 0 where there are no two.
float nearest_labelled(const stage_input& x, const graph_rows& rows) {
  if (rows.labelled().size() < 2) return 0;
  const std::vector<float> points = gather(host_of(x.on), rows.points().view(), rows.labelled());
  const auto count = index_t(rows.labelled().size());
  std::vector<index_t> which(points.empty() ? 0 : std::size_t(count));
  std::vector<float> d2(which.size());
  knn_graph(host_of(x.on),
            finite_rows::judged(matrix_view<const float>{points.data(), count, rows.points().cols()}),
            {which.data(), count, 1}, {d2.data(), count, 1});
  float least = std::numeric_limits<float>::infinity();
  for (const float one : d2)
    if (one > 0) least = std::min(least, one);
  return std::isfinite(least) ? least : 0;
}

/// [vertices] the scores of the rows that may be picked.
std::vector<float> score_weights(const stage_input& x, const graph_rows& rows) {
  std::vector<float> scores(std::size_t(x.rows())), weights(std::size_t(rows.count()), 0.0f);
  score_inner(x, {scores.data(), x.rows()});
  for (index_t i = 0; i < x.rows(); ++i) {
    const index_t vertex = rows.vertex()[std::size_t(i)];
    if (vertex < 0) continue;
    if (!(scores[std::size_t(i)] >= 0 && std::isfinite(scores[std::size_t(i)])))
      throw value_error("uherding: row " + std::to_string(x.pool_row(i)) + " scores " +
                        std::to_string(scores[std::size_t(i)]) + " by " + x.what->inner->text +
                        "; take a score that is finite and never negative, such as margin");
    weights[std::size_t(vertex)] += scores[std::size_t(i)];
  }
  return weights;
}

std::vector<candidate> pick_covered(const stage_input& x, batch_run& run, const graph_rows& rows,
                                    float scale_d2, vector_view<const float> weights) {
  similarity_law law{.gaussian = true, .scale_d2 = scale_d2};
  const auto graph = neighbour_graph(x, rows, law);
  return facility_location(host_of(x.on), *graph, x.limit, rows.labelled(), weights, &run, rows.vertex());
}

std::vector<candidate> pick_maxherding(const stage_input& x, batch_run& run) {
  const graph_rows rows(x);
  return pick_covered(x, run, rows, given_scale(x), rows.weights());
}

std::vector<candidate> pick_uherding(const stage_input& x, batch_run& run) {
  const graph_rows rows(x);
  const std::vector<float> weights = score_weights(x, rows);
  const float given = given_scale(x);
  return pick_covered(x, run, rows, given > 0 ? given : nearest_labelled(x, rows),
                      {weights.data(), index_t(weights.size())});
}

std::uint64_t bytes(const strategy_size& size) {
  return neighbour_graph_bytes(size) + (2 * size.rows + size.labelled) * sizeof(float) +
         size.labelled * (size.features + 3) * sizeof(float);
}

const parameter neighbours{"neighbours", 32, whole_from(1), "rows that a row may be like"};

}  // namespace

/// Coverage by a Gaussian kernel. Of no labelled rows the bandwidth is that at which half of the rows have
/// their farthest neighbour on the list.
std::vector<strategy_entry> strategies_of_herding() {
  const traits does = trait::counts_labelled | trait::lists_neighbours | trait::leaves_gains;
  return {
      {.name = "maxherding",
       .kind = "diversity",
       .formula = "max sum_i max_{picked or labelled j} exp(-d_ij^2 / s^2), 0 beyond the 32 nearest",
       .source = "Bae et al. 2024",
       .on_devices = "graph",
       .needs = part::embeddings,
       .does = does,
       .parameters = {{"bandwidth", 0, at_least(0), "s; 0: the median distance to the last neighbour listed"},
                      neighbours},
       .pick = pick_maxherding,
       .reason = "most like rows that nothing labelled or picked is like",
       .worth = total_gain,
       .bytes = bytes},
      {.name = "uherding",
       .kind = "diversity",
       .formula = "as maxherding, row i counts by its score; s: the least distance of labelled rows",
       .source = "Bae et al. 2025",
       .on_devices = "score, graph",
       .needs = part::embeddings,
       .does = does | trait::takes_score,
       .parameters = {{"bandwidth", 0, at_least(0), "s; 0: the least distance between labelled rows"},
                      neighbours},
       .aliases = {"uncertaintyherding"},
       .pick = pick_uherding,
       .reason = "most like uncertain rows that nothing labelled or picked is like",
       .worth = total_gain,
       .bytes = bytes}};
}

}  // namespace poolwise
