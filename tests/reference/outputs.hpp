// Model outputs to test with: random rows in every precision, and every CPU target in turn.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "poolwise/score/score.hpp"
#include "reference/errors.hpp"
#include "reference/score.hpp"

namespace poolwise::reference {

inline constexpr float inf = INFINITY;

/// The nearest value of each storage type; halves away from zero.
template <class T>
T narrow(float x);
template <>
inline float narrow<float>(float x) {
  return x;
}
template <>
inline bfloat16 narrow<bfloat16>(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (!std::isfinite(x)) return {std::uint16_t(bits >> 16 | (std::isnan(x) ? 0x40 : 0))};
  return {std::uint16_t((bits + 0x8000) >> 16)};
}
template <>
inline float16 narrow<float16>(float x) {
  const auto sign = std::uint16_t(std::signbit(x) ? 0x8000 : 0);
  if (std::isnan(x)) return {0x7e00};
  int exponent = 0;
  std::frexp(x, &exponent);  // |x| in [2^(exponent-1), 2^exponent)
  const int unit = std::max(exponent - 11, -24);
  const float steps = std::round(std::ldexp(std::fabs(x), -unit));
  const float value = std::ldexp(steps, unit);
  if (value >= 65536) return {std::uint16_t(sign | 0x7c00)};
  if (value < 0x1p-14f) return {std::uint16_t(sign | std::uint16_t(std::ldexp(value, 24)))};
  std::frexp(value, &exponent);
  const auto fraction = std::uint16_t(std::ldexp(value, 11 - exponent)) & 0x3ff;
  return {std::uint16_t(sign | (exponent + 14) << 10 | fraction)};
}

/// A matrix that owns its numbers, without a byte to spare at its end.
template <class T>
struct matrix {
  index_t rows, cols;
  std::vector<T> data;

  matrix(index_t r, index_t c) : rows(r), cols(c), data(std::size_t(r * c)) {}
  T& operator()(index_t i, index_t j) { return data[std::size_t(i * cols + j)]; }
  const T& operator()(index_t i, index_t j) const { return data[std::size_t(i * cols + j)]; }
  matrix_view<const T> view() const { return {data.data(), rows, cols}; }
  row values(index_t i) const {
    row r;
    for (index_t c = 0; c < cols; ++c) r.push_back(real(to_float((*this)(i, c))));
    return r;
  }
};

/// Rows of every temper: flat to peaked logits, some classes ruled out; or probabilities made of them.
template <class T>
matrix<T> random_outputs(outputs kind, index_t rows, index_t cols, unsigned seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  matrix<T> x(rows, cols);
  for (index_t i = 0; i < rows; ++i) {
    const float scale = std::exp2(float(engine() % 7) - 3);
    row z;
    for (index_t c = 0; c < cols; ++c) z.push_back(real(to_float(narrow<T>(scale * normal(engine)))));
    if (cols > 1 && engine() % 4 == 0) z[engine() % z.size()] = -inf;
    const row p = softmax(z).p;
    for (index_t c = 0; c < cols; ++c)
      x(i, c) = narrow<T>(float(kind == outputs::logits ? z[std::size_t(c)] : p[std::size_t(c)]));
  }
  return x;
}

inline distribution distribution_of(outputs kind, const row& x) {
  return kind == outputs::logits ? softmax(x) : as_given(x);
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

/// Calls `f` with every instruction set forced in turn that the kernels have and this machine runs.
template <class F>
void on_every_target(F f) {
#ifdef HWY_ARCH_X86
  const std::vector<std::int64_t> targets{HWY_AVX3, HWY_AVX2, HWY_SCALAR};
#else
  const std::vector<std::int64_t> targets{HWY_NEON, HWY_SCALAR};
#endif
  for (std::int64_t target : targets) {
    hwy::SetSupportedTargetsForTest(0);
    if (target != HWY_SCALAR && (hwy::SupportedTargets() & target) == 0) continue;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    f();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

using ::reference::message_of;

}  // namespace poolwise::reference
