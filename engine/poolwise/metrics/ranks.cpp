#include <algorithm>
#include <cstddef>
#include <numeric>

#include "poolwise/metrics/detail/ranks.hpp"

namespace poolwise {

ranking_of_values ranked(std::span<const double> x) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t(0));
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] < x[b]; });
  ranking_of_values out{std::vector<double>(x.size()), 0};
  for (std::size_t first = 0; first < x.size();) {
    std::size_t end = first + 1;
    while (end < x.size() && x[order[end]] == x[order[first]]) ++end;
    for (std::size_t k = first; k < end; ++k) out.ranks[order[k]] = double(first + 1 + end) / 2;
    const double equal = double(end - first);
    out.ties += equal * equal * equal - equal;
    first = end;
  }
  return out;
}

}  // namespace poolwise
