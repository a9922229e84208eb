#include "poolwise/diverse/dpp.hpp"

#include "poolwise/diverse/over_ranks.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  const std::vector<float> quality = row_worths(x);
  return dpp(x.on, x.points(), x.limit, {quality.data(), index_t(quality.size())},
             {.bandwidth = x.what->given["bandwidth"] * x.unit}, &run);
}

std::vector<candidate> pick_over_ranks(const stage_input& x, const rank_group& ranks, batch_run& run) {
  return dpp_over_ranks({host_of(x.on), ranks, x.points(), x.pool_rows}, x.limit,
                        {.bandwidth = x.what->given["bandwidth"] * x.unit}, &run);
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
           .pick_over_ranks = pick_over_ranks,
           .reason = "largest variance left by the picks",
           .bytes = [](const strategy_size& size) { return dpp_bytes(size.rows, size.picks); }}};
}

}  // namespace poolwise
