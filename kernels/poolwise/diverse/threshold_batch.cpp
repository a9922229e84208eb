#include "poolwise/diverse/detail/threshold_batch.hpp"

#include <algorithm>

namespace poolwise {
namespace {

// A chain shorter than this pays for a longer shortlist: sweeps cost more than rows of a chain.
constexpr index_t short_chain = 8;

std::vector<candidate> by_factored_gain(gain_model& model, const allowance& limit, batch_run* run) {
  remaining left(limit);
  batch_state state;
  auto [width, most, sweeps] = model.shortlist_width();
  if (run != nullptr) {
    state.picks = run->begin.picks;
    for (const candidate& pick : state.picks) left.take(pick.row);
  }
  if (left.picks() == 0) return state.picks;
  model.sweep({}, left);
  for (auto from = state.picks.begin(); from != state.picks.end();) {  // no more at a time than of a chain
    const auto to = from + std::min<index_t>(most, state.picks.end() - from);
    model.sweep({from, to}, left);
    from = to;
  }
  for (;;) {
    std::vector<candidate> shortlist = model.best(width + 1);
    const bool all = index_t(shortlist.size()) <= width;
    const candidate rival = all ? no_rival : shortlist.back();
    if (!all) shortlist.pop_back();
    const std::vector<candidate> latest = model.chain(shortlist, rival, left);
    state.picks.insert(state.picks.end(), latest.begin(), latest.end());
    if (run != nullptr && run->advanced && !latest.empty()) run->advanced(state);
    if (left.picks() == 0 || (all && latest.empty())) return state.picks;  // none is left that may be picked
    const auto chain = index_t(latest.size());
    if (chain < short_chain || left.picks() / chain >= sweeps) width = std::min(2 * width, most);
    model.sweep(latest, left);
    if (run != nullptr && !latest.empty()) ++run->sweeps;
  }
}

}  // namespace

std::vector<candidate> threshold_batches(gain_model& model, const allowance& limit, batch_run* run) {
  std::vector<candidate> picks = by_factored_gain(model, limit, run);
  if (limit.per_cost)
    for (candidate& c : picks) c.score *= limit.units(c.row);
  return picks;
}

std::vector<float> gains_beside(gain_model& fresh, index_t rows, vector_view<const std::uint8_t> barred,
                                const std::vector<candidate>& picks) {
  const allowance all{.picks = rows, .barred = barred};
  fresh.sweep({}, remaining(all));
  if (!picks.empty()) fresh.sweep(picks, remaining(all));
  std::vector<float> gains(std::size_t(rows), 0.0f);
  for (const candidate& c : fresh.best(rows)) gains[std::size_t(c.row)] = std::max(0.0f, c.score);
  return gains;
}

}  // namespace poolwise
