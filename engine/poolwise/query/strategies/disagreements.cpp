#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

void score_members(const stage_input& x, const disagreement_entry& what, vector_view<float> scores) {
  const committee_outputs& committee = *x.pool.committee;
  const outputs kind = x.pool.committee_kind;
  const matrix_view<float> column{scores.data, scores.size, 1};
  if (committee.cube()) return score_committee(x.on, *committee.cube(), kind, {&what.id, 1}, column);
  if (!what.streams || !std::holds_alternative<cpu>(x.on)) {
    gathered_outputs copy;
    return score_committee(x.on, copy.cube_of(host_of(x.on), committee), kind, {&what.id, 1}, column);
  }
  committee_accumulator sum(x.rows(), committee.cols(), {&what.id, 1}, x.on);
  for (index_t m = 0; m < committee.members(); ++m) sum.add(x.on, committee.member(m), kind);
  sum.finish(x.on, column);
}

std::vector<const char*> also_known_as(disagreement which) {
  if (which == disagreement::bald) return {"mutualinformation", "mi"};
  if (which == disagreement::consensus_entropy) return {"predictiveentropy"};
  if (which == disagreement::vote_entropy) return {"qbc", "querybycommittee"};
  if (which == disagreement::variation_ratio) return {"variationratios"};
  if (which == disagreement::max_kl) return {"kl"};
  return {};
}

}  // namespace

/// One for each disagreement that kernels/poolwise/committee has. Members that lie in one array are taken
/// together, others one after the other.
std::vector<strategy_entry> strategies_of_disagreements() {
  std::vector<strategy_entry> all;
  for (const disagreement_entry& d : disagreements())
    all.push_back({.name = d.name,
                   .kind = "disagreement",
                   .formula = d.formula,
                   .source = d.source,
                   .needs = part::committee,
                   .aliases = also_known_as(d.id),
                   .score = [what = d](const stage_input& x,
                                       vector_view<float> scores) { score_members(x, what, scores); },
                   .disagrees = d.id});
  return all;
}

}  // namespace poolwise
