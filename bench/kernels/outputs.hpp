// Model outputs to benchmark with: values do not change the work, only that they are ordinary numbers does.
#pragma once

#include <cmath>
#include <cstdint>

#include "huge_array.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/types.hpp"

namespace poolwise::bench {

inline void write(float value, float& x) { x = value; }

/// fp16 by its upper bits: these values are normal in both formats.
inline void write(float value, float16& x) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  x.bits = std::uint16_t((bits >> 16 & 0x8000) | ((bits & 0x7fffffff) - (112u << 23)) >> 13);
}

/// Logits uniform on both sides of 0, from 1/16 to 5.
template <class T>
huge_array<T> make_logits(index_t size) {
  auto x = make_huge<T>(std::size_t(size));
#pragma omp parallel for
  for (index_t i = 0; i < size; i += 4) {
    const auto word = philox4x32({std::uint32_t(i), std::uint32_t(i >> 32), 0, 0}, {1, 2});
    for (index_t j = 0; j < 4 && i + j < size; ++j) {
      const float unit = float(word[std::size_t(j)] >> 8) * 0x1p-24f;
      write((word[std::size_t(j)] & 1 ? -1.0f : 1.0f) * (0.0625f + 4.9375f * unit), x[std::size_t(i + j)]);
    }
  }
  return x;
}

/// Rows of probabilities, the largest at most 16 times the smallest.
inline huge_array<float> make_probabilities(index_t rows, index_t cols) {
  auto x = make_logits<float>(rows * cols);
#pragma omp parallel for
  for (index_t i = 0; i < rows; ++i) {
    float* const row = x.get() + i * cols;
    float total = 0;
    for (index_t c = 0; c < cols; ++c) total += row[c] = 1 + 3 * std::abs(row[c]);
    for (index_t c = 0; c < cols; ++c) row[c] /= total;
  }
  return x;
}

}  // namespace poolwise::bench
