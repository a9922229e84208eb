#include "poolwise/diverse/coverage.hpp"
#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  const graph_rows rows(x);
  const auto graph = neighbour_graph(x, rows);
  return graph_cut(host_of(x.on), *graph, x.what->given["lambda"], x.limit, rows.labelled(), rows.weights(),
                   &run, rows.vertex());
}

}  // namespace

std::vector<strategy_entry> strategies_of_graph_cut() {
  // The standard lambda is that of the monotone graph cut nearest to what libraries take, 1/lambda = 0.4.
  return {{.name = "graph_cut",
           .kind = "diversity",
           .formula = "max 2.5 sum_ij s_ij (j picked) - sum_ij s_ij (both picked); s as for facility_location",
           .source = "Iyer & Bilmes 2013",
           .on_devices = "graph",
           .needs = part::embeddings,
           .does = trait::counts_labelled | trait::lists_neighbours | trait::leaves_gains,
           .parameters = {{"lambda", 2.5, at_least(2), "likeness to the pool against likeness to other picks"},
                          {"neighbours", 32, whole_from(1), "rows that a row may be like"}},
           .pick = pick,
           .reason = "like many rows, unlike those labelled or picked",
           .worth = total_gain,
           .bytes = neighbour_graph_bytes}};
}

}  // namespace poolwise
