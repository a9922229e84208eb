#include "poolwise/diverse/coverage.hpp"
#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  const graph_rows rows(x);
  const auto graph = neighbour_graph(x, rows);
  return saturated_coverage(host_of(x.on), *graph, x.what->given["share"], x.limit, rows.labelled(),
                            rows.weights(), &run, rows.vertex());
}

}  // namespace

std::vector<strategy_entry> strategies_of_saturated_coverage() {
  parameter_range share = between(0, 1);
  share.least_is_out = true;
  return {{.name = "saturated_coverage",
           .kind = "diversity",
           .formula =
               "max sum_i min(sum_{picked or labelled j} s_ij, share * sum_j s_ij); s as for facility_location",
           .source = "Lin & Bilmes 2011",
           .on_devices = "graph",
           .needs = part::embeddings,
           .does = trait::counts_labelled | trait::lists_neighbours | trait::leaves_gains,
           .parameters = {{"share", 0.1, share, "of its likeness to all rows, at which a row asks for no more"},
                          {"neighbours", 32, whole_from(1), "rows that a row may be like"}},
           .aliases = {"saturated"},
           .pick = pick,
           .reason = "most like rows that few labelled or picked rows are like",
           .worth = total_gain,
           .bytes = neighbour_graph_bytes}};
}

}  // namespace poolwise
