#include "poolwise/diverse/coverage.hpp"
#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  const graph_rows rows(x);
  const auto graph = neighbour_graph(x, rows);
  return facility_location(host_of(x.on), *graph, x.limit, rows.labelled(), rows.weights(), &run,
                           rows.vertex());
}

}  // namespace

std::vector<strategy_entry> strategies_of_facility_location() {
  // Most of a row's similarity is to its nearest; the picks change little beyond.
  return {
      {.name = "facility_location",
       .kind = "diversity",
       .formula = "max sum_i max_{picked or labelled j} s_ij; s = 1 / (1 + d^2 / h), 0 beyond the 32 nearest",
       .source = "Cornuejols et al. 1977; Nemhauser et al. 1978",
       .on_devices = "graph",
       .needs = part::embeddings,
       .does = trait::counts_labelled | trait::lists_neighbours | trait::leaves_gains,
       .parameters = {{"neighbours", 32, whole_from(1), "rows that a row may be like"}},
       .aliases = {"facility", "submodular"},
       .pick = pick,
       .reason = "most like rows that nothing labelled or picked is like",
       .worth = total_gain,
       .bytes = neighbour_graph_bytes}};
}

}  // namespace poolwise
