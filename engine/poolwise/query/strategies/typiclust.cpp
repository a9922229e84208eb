#include "poolwise/diverse/typiclust.hpp"

#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

typiclust_options options_of(const arguments& given) {
  return {.neighbours = given.count("neighbours"), .most_clusters = given.count("clusters")};
}

std::vector<candidate> pick(const stage_input& x, batch_run&) {
  const graph_rows rows(x);
  typiclust_options options = options_of(x.what->given);
  options.seed = query_seed(*x.asked);
  options.method = x.asked->neighbours;
  knn_report made;
  auto picks = typiclust(x.on, rows.points(), x.limit, rows.labelled(), options, &made, rows.vertex());
  *x.lists = made;
  return picks;
}

std::uint64_t bytes(const strategy_size& size) {
  return graph_rows_bytes(size) + lists_bytes(size) +
         typiclust_bytes(size.rows + size.labelled, size.features, options_of(*size.given));
}

}  // namespace

std::vector<strategy_entry> strategies_of_typiclust() {
  const typiclust_options standard;
  return {
      {.name = "typiclust",
       .kind = "diversity",
       .formula = "1 / mean distance to the 20 nearest, in turn of each cluster, fewest labels first",
       .source = "Hacohen et al. 2022",
       .on_devices = "graph, clusters",
       .needs = part::embeddings,
       .does = trait::counts_labelled | trait::lists_neighbours,
       .parameters = {{"neighbours", double(standard.neighbours), whole_from(1), "that typicality looks at"},
                      {"clusters", double(standard.most_clusters), whole_from(1),
                       "at most; else one for each label"}},
       .aliases = {"typicality"},
       .pick = pick,
       .reason = "typical of a cluster with few labels",
       .bytes = bytes}};
}

}  // namespace poolwise
