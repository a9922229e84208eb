#include "poolwise/query/detail/floors_on_the_way.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "poolwise/budget/spend.hpp"

namespace poolwise {

floors_on_the_way::floors_on_the_way(const allowance& limit, std::vector<std::uint8_t> barred, index_t kept)
    : of_batch_(limit), barred_(std::move(barred)), floor_(std::size_t(limit.floor.size)) {
  std::vector<index_t> there(floor_.size(), 0);
  for (std::size_t i = 0; i < barred_.size(); ++i)
    if (barred_[i] == 0) ++there[std::size_t(limit.group[index_t(i)])];
  const double times = double(kept) / double(std::max<index_t>(1, limit.picks));
  for (std::size_t g = 0; g < floor_.size(); ++g) {
    const index_t owed = limit.floor[index_t(g)];
    floor_[g] = std::min(there[g], std::max(owed, index_t(std::ceil(times * double(owed)))));
  }
  limit_ = {.picks = std::max(kept, std::accumulate(floor_.begin(), floor_.end(), index_t{0})),
            .group = limit.group,
            .barred = {barred_.data(), index_t(barred_.size())},
            .floor = {floor_.data(), index_t(floor_.size())}};
}

void floors_on_the_way::add_reserve(std::vector<candidate>& kept, vector_view<const float> scores) const {
  if (!of_batch_.priced()) return;
  allowance available = of_batch_;
  available.barred = limit_.barred;
  const auto reserve = reserve_for_floors(available);
  if (!reserve) return;
  std::vector<bool> has(barred_.size());
  for (const candidate& c : kept) has[std::size_t(c.row)] = true;
  for (const index_t row : reserve->rows)
    if (!has[std::size_t(row)]) kept.push_back({row, scores.empty() ? 0 : scores[row]});
}

std::vector<candidate> best_with_floors(cpu on, vector_view<const float> scores, const allowance& limit,
                                        index_t kept) {
  const remaining left(limit, std::nullopt);
  std::vector<std::uint8_t> barred(std::size_t(scores.size));
  for (index_t i = 0; i < scores.size; ++i)
    barred[std::size_t(i)] = !(scores[i] == scores[i]) || left.ruled_out(i);
  const floors_on_the_way way(limit, std::move(barred), kept);
  std::vector<candidate> best = take_in_order(on, scores, way.limit());
  way.add_reserve(best, scores);
  return best;
}

}  // namespace poolwise
