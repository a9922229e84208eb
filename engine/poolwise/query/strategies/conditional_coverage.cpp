#include <algorithm>
#include <vector>

#include "poolwise/diverse/coverage.hpp"
#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/detail/rows_beside.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// [vertices] `factor` times the similarity to the nearest of some rows beside the pool, 1 at most.
std::vector<float> similarity_to(const stage_input& x, const graph_rows& rows, matrix_view<const float> beside,
                                 const similarity_law& law, double factor) {
  std::vector<float> values = distances_to_beside(x, rows.points(), beside);
  for (float& value : values) value = float(std::min(1.0, factor * double(law.at(value))));
  return values;
}

std::vector<candidate> pick(const char* call, const stage_input& x, batch_run& run, bool to_queries,
                            bool to_private) {
  if (to_queries) check_queries(call, x);
  if (to_private) check_private(call, x);
  const graph_rows rows(x);
  similarity_law law;
  const auto graph = neighbour_graph(x, rows, law);
  std::vector<float> from, upto;
  if (to_queries) upto = similarity_to(x, rows, *x.pool.queries, law, x.what->given["eta"]);
  if (to_private) from = similarity_to(x, rows, *x.pool.private_rows, law, x.what->given["nu"]);
  return bounded_coverage(host_of(x.on), *graph,
                          {{from.data(), index_t(from.size())}, {upto.data(), index_t(upto.size())}}, x.limit,
                          rows.labelled(), rows.weights(), &run, rows.vertex());
}

std::uint64_t bytes(const strategy_size& size) {
  return neighbour_graph_bytes(size) + beside_bytes(size) + (size.rows + size.labelled) * 2 * sizeof(float);
}

const parameter eta{"eta", 1, at_least(0), "how near the queries count: rows are covered up to eta times that"};
const parameter nu{"nu", 1, at_least(0), "how strictly what is like the private rows is kept out"};
const parameter neighbours{"neighbours", 32, whole_from(1), "rows that a row may be like"};

}  // namespace

/// Facility location for a query set, without what is like a private set, and both.
std::vector<strategy_entry> strategies_of_conditional_coverage() {
  const strategy_entry like_all{.name = "",
                                .kind = "diversity",
                                .formula = "",
                                .source = "Kothawade et al. 2021",
                                .on_devices = "graph",
                                .does = trait::counts_labelled | trait::lists_neighbours | trait::leaves_gains,
                                .worth = total_gain,
                                .bytes = bytes};
  strategy_entry flvmi = like_all, flcg = like_all, flcmi = like_all;
  flvmi.name = "flvmi";
  flvmi.formula = "max sum_i min(max_{picked or labelled j} s_ij, eta max_q s_iq); s as for facility_location";
  flvmi.needs = part::embeddings | part::queries;
  flvmi.parameters = {eta, neighbours};
  flvmi.pick = [](const stage_input& x, batch_run& run) { return pick("flvmi", x, run, true, false); };
  flvmi.reason = "most like rows that are like the queries";
  flcg.name = "flcg";
  flcg.formula =
      "max sum_i max(0, max_{picked or labelled j} s_ij - nu max_p s_ip); s as for facility_location";
  flcg.needs = part::embeddings | part::private_rows;
  flcg.parameters = {nu, neighbours};
  flcg.pick = [](const stage_input& x, batch_run& run) { return pick("flcg", x, run, false, true); };
  flcg.reason = "most like rows that no private row is like";
  flcmi.name = "flcmi";
  flcmi.formula = "max sum_i max(0, min(max_j s_ij, eta max_q s_iq) - nu max_p s_ip), as flvmi and flcg";
  flcmi.needs = part::embeddings | part::queries | part::private_rows;
  flcmi.parameters = {eta, nu, neighbours};
  flcmi.pick = [](const stage_input& x, batch_run& run) { return pick("flcmi", x, run, true, true); };
  flcmi.reason = "most like rows that are like the queries, and not like private rows";
  return {flvmi, flcg, flcmi};
}

}  // namespace poolwise
