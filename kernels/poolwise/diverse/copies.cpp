#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/diverse/detail/copies.hpp"

namespace poolwise {

void check_vertices(const char* call, std::span<const index_t> vertex, index_t vertices,
                    const allowance& limit) {
  for (std::size_t i = 0; i < vertex.size(); ++i) {
    const bool barred = !limit.barred.empty() && limit.barred[index_t(i)] != 0;
    if (vertex[i] < (barred ? -1 : 0) || vertex[i] >= vertices)
      throw value_error(std::string(call) + ": the vertex of candidate " + std::to_string(i) + " is " +
                        std::to_string(vertex[i]) + " but there are vertices 0 to " +
                        std::to_string(vertices - 1) + "; pass one of them, or bar the candidate");
  }
}

void add_copies(index_t candidates, const allowance& limit, std::vector<candidate>& picks) {
  if (limit.apart || index_t(picks.size()) == limit.picks) return;  // no copy lies apart
  remaining left(limit);
  std::vector<bool> picked(std::size_t(candidates), false);
  for (const candidate& c : picks) {
    picked[std::size_t(c.row)] = true;
    left.take(c.row);
  }
  for (index_t row = 0; row < candidates && left.picks() > 0; ++row) {
    if (picked[std::size_t(row)] || !left.eligible(row)) continue;
    picks.push_back({row, 0});
    left.take(row);
  }
}

}  // namespace poolwise
