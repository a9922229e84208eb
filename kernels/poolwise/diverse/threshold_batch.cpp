#include "poolwise/diverse/detail/threshold_batch.hpp"

#include <algorithm>

namespace poolwise {
namespace {

// A chain shorter than this pays for a longer shortlist: sweeps cost more than rows of a chain.
constexpr index_t short_chain = 8;

}  // namespace

std::vector<candidate> threshold_batches(gain_pool& pool, const allowance& limit, batch_counts* counts) {
  remaining left(limit);
  std::vector<candidate> picks, latest;
  auto [width, most, sweeps] = pool.shortlist_width();
  while (left.picks() > 0) {
    pool.sweep(latest, left);
    if (counts != nullptr && !latest.empty()) ++counts->sweeps;
    std::vector<candidate> shortlist = pool.best(width + 1);
    const bool all = index_t(shortlist.size()) <= width;
    const candidate rival = all ? no_rival : shortlist.back();
    if (!all) shortlist.pop_back();
    latest = pool.chain(shortlist, rival, left);
    if (latest.empty()) break;  // no row is left that may be picked
    picks.insert(picks.end(), latest.begin(), latest.end());
    const auto chain = index_t(latest.size());
    if (chain < short_chain || left.picks() / chain >= sweeps) width = std::min(2 * width, most);
  }
  return picks;
}

}  // namespace poolwise
