#include "poolwise/diverse/typiclust.hpp"

#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

typiclust_options options_of(const arguments& given) {
  return {.neighbours = given.count("neighbours"), .most_clusters = given.count("clusters")};
}

std::vector<reasoned_pick> pick(const stage_input& x) {
  const graph_rows rows(x);
  typiclust_options options = options_of(*x.given);
  options.seed = x.query_seed();
  options.method = x.neighbours;
  knn_report made;
  const auto picks = typiclust(x.on, rows.points(), x.limit, rows.labelled(), options, &made, rows.vertex());
  if (x.lists != nullptr) *x.lists = made;
  return with_reason("typical of a cluster with few labels", picks);
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
       .counts_labelled = true,
       .compares_all_pairs = true,
       .lists_neighbours = true,
       .parameters = {{"neighbours", double(standard.neighbours), whole_from(1), "that typicality looks at"},
                      {"clusters", double(standard.most_clusters), whole_from(1),
                       "at most; else one for each label"}},
       .aliases = {"typicality"},
       .pick = pick,
       .bytes = bytes}};
}

}  // namespace poolwise
