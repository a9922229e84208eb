#include "poolwise/diverse/kcenter.hpp"

#include "poolwise/distance/distance.hpp"
#include "poolwise/query/detail/worth.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

std::vector<candidate> farthest(const stage_input& x, vector_view<const float> weights) {
  std::vector<float> covered;
  if (x.labelled.rows > 0) {
    covered.resize(std::size_t(x.rows()));
    nearest(x.on, x.points(), finite_rows::judged(x.labelled), {covered.data(), x.rows()});
  }
  return kcenter(x.on, x.points(), x.limit, {covered.data(), index_t(covered.size())}, weights, x.run);
}

std::vector<reasoned_pick> pick(const stage_input& x) {
  return with_reason("farthest from labelled and picked rows", farthest(x, {}));
}

std::vector<reasoned_pick> pick_weighted(const stage_input& x) {
  return with_reason("largest score times distance from labelled and picked rows",
                     farthest(x, worth_of(x, "weighted_kcenter")));
}

std::uint64_t bytes(const strategy_size& size) { return kcenter_bytes(size.rows); }

}  // namespace

std::vector<strategy_entry> strategies_of_kcenter() {
  return {{.name = "kcenter",
           .kind = "diversity",
           .formula = "farthest from everything labelled or picked",
           .source = "Gonzalez 1985; Sener & Savarese 2018",
           .needs = part::embeddings,
           .counts_labelled = true,
           .pick = pick,
           .bytes = bytes},
          {.name = "weighted_kcenter",
           .kind = "diversity",
           .formula = "score * squared distance as of kcenter",
           .source = "Sener & Savarese 2018",
           .needs = part::embeddings,
           .counts_labelled = true,
           .pick = pick_weighted,
           .bytes = bytes}};
}

}  // namespace poolwise
