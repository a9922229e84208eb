#include "poolwise/diverse/batch_bald.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  gathered_outputs copy;
  const real_cube committee = copy.cube_of(host_of(x.on), *x.pool.committee);
  const arguments& given = x.what->given;
  const joint_configurations joint{given.count("configurations"), given.count("samples"), query_seed(*x.asked)};
  return batch_bald(x.on, committee, x.pool.committee_kind, x.limit, joint, &run);
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
           .reason = "most informative beside the labels of the picks",
           .estimated = ", estimated from a sample of these",
           .worth = total_gain,
           .bytes = bytes}};
}

}  // namespace poolwise
