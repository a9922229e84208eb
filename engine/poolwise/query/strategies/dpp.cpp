#include "poolwise/diverse/dpp.hpp"

#include "poolwise/query/detail/worth.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

std::vector<reasoned_pick> pick(const stage_input& x) {
  const std::vector<float> quality = row_worths(x);
  return with_reason("largest variance left by the picks",
                     dpp(x.on, x.points(), x.limit, {quality.data(), index_t(quality.size())},
                         {.bandwidth = x["bandwidth"] * x.unit}, x.run));
}

}  // namespace

std::vector<strategy_entry> strategies_of_dpp() {
  return {{.name = "dpp",
           .kind = "diversity",
           .formula = "det of score_i exp(-d_ij^2 / 2 s^2) score_j",
           .source = "Kulesza & Taskar 2012; Chen et al. 2018",
           .on_devices = "refused",
           .needs = part::embeddings,
           .parameters = {{"bandwidth", 0, at_least(0), "s; 0: the median distance between rows"}},
           .pick = pick,
           .bytes = [](const strategy_size& size) { return dpp_bytes(size.rows, size.picks); }}};
}

}  // namespace poolwise
