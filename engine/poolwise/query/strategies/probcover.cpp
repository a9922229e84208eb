#include "poolwise/diverse/probcover.hpp"

#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

probcover_options options_of(const arguments& given) {
  return {.purity = given["purity"], .most_clusters = given.count("clusters")};
}

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  if (x.limit.picks == 0) return {};
  const graph_rows rows(x);
  probcover_options options = options_of(x.what->given);
  options.seed = query_seed(*x.asked);
  return probcover(x.on, rows.points(), x.limit, rows.labelled(), options, &run, rows.weights(), rows.vertex());
}

std::uint64_t bytes(const strategy_size& size) {
  return graph_rows_bytes(size) +
         probcover_bytes(size.rows + size.labelled, size.features, options_of(*size.given));
}

}  // namespace

std::vector<strategy_entry> strategies_of_probcover() {
  const probcover_options standard;
  return {
      {.name = "probcover",
       .kind = "diversity",
       .formula =
           "most rows covered within delta; delta: the largest at which 95 % of balls keep to one cluster",
       .source = "Yehuda et al. 2022",
       .on_devices = "clusters",
       .needs = part::embeddings,
       .does = trait::counts_labelled | trait::leaves_gains,
       .parameters = {{"purity", standard.purity, between(0, 1), "the share of balls that keep to one cluster"},
                      {"clusters", double(standard.most_clusters), whole_from(1),
                       "at most, which stand for classes; else one for each label"}},
       .pick = pick,
       .reason = "near most rows that nothing labelled or picked is near",
       .worth = total_gain,
       .bytes = bytes}};
}

}  // namespace poolwise
