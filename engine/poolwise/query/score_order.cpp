#include "poolwise/query/detail/score_order.hpp"

#include <algorithm>

#include "poolwise/query/detail/ranked_rows.hpp"

namespace poolwise {

std::vector<candidate> score_order(const stage_input& x) {
  std::vector<float> scores(std::size_t(x.rows()));
  score_inner(x, {scores.data(), x.rows()});
  const remaining left(x.limit);
  std::vector<candidate> order;
  order.reserve(scores.size());
  for (index_t i = 0; i < x.rows(); ++i)
    if (!left.ruled_out(i)) order.push_back({i, scores[std::size_t(i)]});
  std::sort(order.begin(), order.end(), before);
  return order;
}

std::vector<candidate> take_allowed(const std::vector<candidate>& order, remaining& left) {
  std::vector<candidate> picks;
  for (const candidate& c : order) {
    if (left.picks() == 0) break;
    if (!left.eligible(c.row)) continue;
    picks.push_back(c);
    left.take(c.row);
  }
  return picks;
}

std::vector<candidate> take_in_turn(std::span<const std::vector<candidate>> lists, remaining& left) {
  std::vector<candidate> picks;
  std::vector<std::size_t> tried(lists.size(), 0);
  for (bool any = true; any && left.picks() > 0;) {
    any = false;
    for (std::size_t n = 0; n < lists.size(); ++n)
      while (left.picks() > 0 && tried[n] < lists[n].size()) {
        const candidate& next = lists[n][tried[n]++];
        if (!left.eligible(next.row)) continue;
        left.take(next.row);
        picks.push_back(next);
        any = true;
        break;
      }
  }
  return picks;
}

}  // namespace poolwise
