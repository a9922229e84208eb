#include "poolwise/budget/spend.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

std::vector<candidate> best(const where& on, vector_view<const float> scores, index_t k) {
  top_k_state state(k);
  state.add(on, scores);
  return state.best();
}

// Walks the rows in the order of `keys` and takes each that is still eligible. Rows passed over cost a
// longer walk, so the walk starts short and doubles.
std::vector<candidate> take_in_order(const where& on, vector_view<const float> keys,
                                     vector_view<const float> scores, const allowance& limit) {
  const cpu host = host_of(on);
  for (index_t walked = std::min(keys.size, 2 * limit.picks + 64);; walked = std::min(keys.size, 2 * walked)) {
    remaining left(limit);
    std::vector<candidate> taken;
    const auto ranked = best(on, keys, walked);
    for (const candidate& c : ranked) {
      if (left.picks() == 0) break;
      settle_pages(host);
      if (!left.eligible(c.row)) continue;
      left.take(c.row);
      taken.push_back({c.row, scores[c.row]});
    }
    if (left.picks() == 0 || walked == keys.size) return taken;
  }
}

std::vector<float> score_per_cost(vector_view<const float> scores, vector_view<const std::int64_t> cost) {
  std::vector<float> density(static_cast<std::size_t>(scores.size));
  for (index_t i = 0; i < scores.size; ++i) {
    if (scores[i] < 0)
      throw value_error("best_affordable: row " + std::to_string(i) + " scores " + std::to_string(scores[i]) +
                        ", and a negative score has no worth per cost; choose a score that is never negative, "
                        "or drop the budget");
    const bool no_candidate = scores[i] != scores[i];
    density[std::size_t(i)] = cost[i] == 0 && !no_candidate ? std::numeric_limits<float>::infinity()
                                                            : float(double(scores[i]) / double(cost[i]));
  }
  return density;
}

double total(const std::vector<candidate>& batch) {
  double sum = 0;
  for (const candidate& c : batch) sum += c.score;
  return sum;
}

}  // namespace

std::vector<candidate> best_affordable(const where& on, vector_view<const float> scores,
                                       const allowance& limit) {
  check_allowance("best_affordable", limit, scores.size);
  const bool bound_by_cost = !limit.cost.empty() && limit.budget != std::numeric_limits<std::int64_t>::max();
  if (!bound_by_cost) return take_in_order(on, scores, scores, limit);

  const auto density = score_per_cost(scores, limit.cost);
  auto batch = take_in_order(on, {density.data(), scores.size}, scores, limit);
  allowance one = limit;
  one.picks = std::min<index_t>(limit.picks, 1);
  auto single = take_in_order(on, scores, scores, one);
  return total(single) > total(batch) ? single : batch;
}

}  // namespace poolwise
