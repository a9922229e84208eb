// Distances as they are defined: the canonical tree lane by lane, and the exact value in long double.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace reference {

inline float tree_sum(const std::vector<float>& sums) {
  if (sums.size() == 1) return sums[0];
  std::vector<float> folded(sums.size() / 2);
  for (std::size_t j = 0; j < folded.size(); ++j) folded[j] = sums[j] + sums[j + folded.size()];
  return tree_sum(folded);
}

inline float canonical_squared_distance(const float* x, const float* y, std::size_t cols) {
  std::vector<float> sums(16, 0.0f);
  for (std::size_t lane = 0; lane < 16; ++lane)
    for (std::size_t c = lane; c < cols; c += 16) {
      const float difference = x[c] - y[c];
      sums[lane] = std::fma(difference, difference, sums[lane]);
    }
  return tree_sum(sums);
}

inline float canonical_dot(const float* x, const float* y, std::size_t cols) {
  std::vector<float> sums(16, 0.0f);
  for (std::size_t lane = 0; lane < 16; ++lane)
    for (std::size_t c = lane; c < cols; c += 16) sums[lane] = std::fma(x[c], y[c], sums[lane]);
  return tree_sum(sums);
}

inline long double exact_squared_distance(const float* x, const float* y, std::size_t cols) {
  long double sum = 0;
  for (std::size_t c = 0; c < cols; ++c) {
    const long double difference = static_cast<long double>(x[c]) - static_cast<long double>(y[c]);
    sum += difference * difference;
  }
  return sum;
}

/// |a_i (x) h_i - a_j (x) h_j|^2 with every entry of the outer products formed.
inline long double outer_squared_distance(const float* a_i, const float* h_i, const float* a_j,
                                          const float* h_j, std::size_t classes, std::size_t features) {
  long double sum = 0;
  for (std::size_t c = 0; c < classes; ++c)
    for (std::size_t f = 0; f < features; ++f) {
      const long double entry_i = static_cast<long double>(a_i[c]) * static_cast<long double>(h_i[f]);
      const long double entry_j = static_cast<long double>(a_j[c]) * static_cast<long double>(h_j[f]);
      sum += (entry_i - entry_j) * (entry_i - entry_j);
    }
  return sum;
}

}  // namespace reference
