// The best rows by sorting all of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace reference {

/// The rows of the k highest scores, highest first, ties in the order of rows.
inline std::vector<std::size_t> top_k(const std::vector<float>& scores, std::size_t k) {
  std::vector<std::size_t> rows(scores.size());
  std::iota(rows.begin(), rows.end(), std::size_t(0));
  std::stable_sort(rows.begin(), rows.end(),
                   [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  rows.resize(std::min(k, rows.size()));
  return rows;
}

}  // namespace reference
