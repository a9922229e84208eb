#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

std::vector<const char*> also_known_as(acquisition which) {
  if (which == acquisition::least_confidence) return {"lc", "leastconfident", "uncertainty"};
  if (which == acquisition::margin) return {"bt", "breakingties", "marginsampling"};
  if (which == acquisition::entropy) return {"maxentropy", "shannon", "hardness"};
  return {};
}

}  // namespace

/// One for each score of a model's outputs that kernels/poolwise/score has.
std::vector<strategy_entry> strategies_of_acquisitions() {
  std::vector<strategy_entry> all;
  for (const acquisition_entry& a : acquisitions())
    all.push_back({.name = a.name,
                   .kind = "acquisition",
                   .formula = a.formula,
                   .source = a.source,
                   .needs = part::outputs,
                   .needs_instead = a.needs,
                   .aliases = also_known_as(a.id),
                   .score =
                       [which = a.id](const stage_input& x, vector_view<float> scores) {
                         score(x.on, *x.pool.model, x.pool.model_kind, which, scores);
                       },
                   .fused = a.id});
  return all;
}

}  // namespace poolwise
