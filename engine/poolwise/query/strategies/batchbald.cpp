#include "poolwise/diverse/batch_bald.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

std::vector<reasoned_pick> pick(const stage_input& x) {
  batch_run alone;
  batch_run& run = x.run != nullptr ? *x.run : alone;
  gathered_outputs copy;
  const real_cube committee = copy.cube_of(host_of(x.on), *x.pool.committee);
  const joint_configurations joint{x.count("configurations"), x.count("samples"), x.query_seed()};
  auto picks = with_reason("most informative beside the labels of the picks",
                           batch_bald(x.on, committee, x.pool.committee_kind, x.limit, joint, &run));
  for (std::size_t p = std::size_t(run.exact); p < picks.size(); ++p)
    picks[p].reason = "most informative beside the labels of the picks, estimated from a sample of these";
  return picks;
}

std::uint64_t bytes(const strategy_size& size) {
  return batch_bald_bytes(size.rows, size.members, size.classes,
                          std::uint64_t(size.given->count("configurations")));
}

}  // namespace

std::vector<strategy_entry> strategies_of_batchbald() {
  const joint_configurations standard;
  return {{.name = "batchbald",
           .kind = "diversity",
           .formula = "I(labels of the batch; member)",
           .source = "Kirsch et al. 2019",
           .on_devices = "refused",
           .needs = part::committee,
           .parameters = {{"configurations", double(standard.most), whole_from(1),
                           "joint labels that are counted one by one"},
                          {"samples", double(standard.samples), whole_from(1),
                           "that are drawn where there would be more"}},
           .pick = pick,
           .worth = total_gain,
           .bytes = bytes}};
}

}  // namespace poolwise
