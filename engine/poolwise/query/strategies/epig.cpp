#include "poolwise/committee/epig.hpp"

#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

std::vector<strategy_entry> strategies_of_epig() {
  return {{.name = "epig",
           .kind = "disagreement",
           .formula = "mean over targets x* of I(y; y*), y* the label of x*",
           .source = "Bickford Smith et al. 2023",
           .on_devices = "none",
           .needs = part::committee | part::targets,
           .aliases = {"expectedpredictiveinformationgain"},
           .score =
               [](const stage_input& x, vector_view<float> scores) {
                 epig(host_of(x.on), x.pool.committee->each(), x.pool.targets->each(), x.pool.committee_kind,
                      scores);
               },
           .bytes =
               [](const strategy_size& size) {
                 return epig_bytes(cpu{}, size.members, size.targets, size.classes);
               }}};
}

}  // namespace poolwise
