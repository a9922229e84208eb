#include "poolwise/diverse/coverage.hpp"
#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

std::vector<reasoned_pick> pick(const stage_input& x) {
  const graph_rows rows(x);
  const similarity_graph graph = neighbour_graph(x, rows);
  return with_reason(
      "most like rows that nothing labelled or picked is like",
      facility_location(host_of(x.on), graph, x.limit, rows.labelled(), rows.weights(), x.run, rows.vertex()));
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
       .counts_labelled = true,
       .compares_all_pairs = true,
       .lists_neighbours = true,
       .parameters = {{"neighbours", 32, whole_from(1), "rows that a row may be like"}},
       .aliases = {"facility", "submodular"},
       .pick = pick,
       .worth = total_gain,
       .leaves_gains = true,
       .bytes = neighbour_graph_bytes}};
}

}  // namespace poolwise
