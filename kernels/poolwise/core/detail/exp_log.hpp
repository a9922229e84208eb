// Exponentials and logarithms in double, with the same bits on every CPU, where libm follows it: with and
// without fma its last bits differ.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

namespace poolwise {

/// e^x, off by less than 0.6 ulp above 1e-300; 0 where x < -708 and infinity where x > 709.
/// e^x = 2^(k/16) e^r with k/16 ln 2 + r = x and |r| <= ln(2)/32; e^r by Taylor's series, whose rest is below
/// 2^-59.
inline double fixed_exp(double x) {
  struct root {
    std::int64_t bits;  // of 2^(i/16), less i << 48, to which i << 48 will be added
    double rest;        // what those bits leave out, over them
  };
  static constexpr auto root_of = [](std::int64_t i, double value, double rest) {
    return root{std::bit_cast<std::int64_t>(value) - (i << 48), rest};
  };
  static constexpr root roots[16] = {root_of(0, 1, 0),
                                     root_of(1, 0x1.0b5586cf9890fp+0, 0x1.79aa65d837b6cp-54),
                                     root_of(2, 0x1.172b83c7d517bp+0, -0x1.01b15eaa59348p-55),
                                     root_of(3, 0x1.2387a6e756238p+0, 0x1.68efde3a8a893p-54),
                                     root_of(4, 0x1.306fe0a31b715p+0, 0x1.34d754db0abb6p-55),
                                     root_of(5, 0x1.3dea64c123422p+0, 0x1.59f48a72a4c6cp-55),
                                     root_of(6, 0x1.4bfdad5362a27p+0, 0x1.690cebb7aafb0p-56),
                                     root_of(7, 0x1.5ab07dd485429p+0, 0x1.063e1e21c5409p-54),
                                     root_of(8, 0x1.6a09e667f3bcdp+0, -0x1.3b3efbf5e2229p-54),
                                     root_of(9, 0x1.7a11473eb0187p+0, -0x1.b32dcb94da51dp-56),
                                     root_of(10, 0x1.8ace5422aa0dbp+0, 0x1.db72fc1f0eab4p-55),
                                     root_of(11, 0x1.9c49182a3f090p+0, 0x1.1affc2b91ce27p-56),
                                     root_of(12, 0x1.ae89f995ad3adp+0, 0x1.c1a7792cb3386p-55),
                                     root_of(13, 0x1.c199bdd85529cp+0, 0x1.36eae30af0cb3p-56),
                                     root_of(14, 0x1.d5818dcfba487p+0, 0x1.4a385a63d07a7p-56),
                                     root_of(15, 0x1.ea4afa2a490dap+0, -0x1.ff7128fd391f1p-55)};
  if (x < -708.0) return 0;
  if (x > 709.0) return std::numeric_limits<double>::infinity();
  constexpr double magic = 0x1.8p52;  // adding it rounds, and leaves k in the low bits
  const double rounded = x * 0x1.71547652b82fep+4 + magic, k = rounded - magic;
  const double r = (x - k * 0x1.62e42fefap-5) - k * 0x1.cf79abc9e3b3ap-44, r2 = r * r;
  const std::int64_t bits = std::bit_cast<std::int64_t>(rounded);
  const root& nearest = roots[bits & 15];
  const double scale = std::bit_cast<double>(nearest.bits + std::int64_t(std::uint64_t(bits) << 48));
  const double series = r2 * ((1.0 / 2 + r * (1.0 / 6)) +
                              r2 * ((1.0 / 24 + r * (1.0 / 120)) + r2 * (1.0 / 720 + r * (1.0 / 5040))));
  return scale + scale * (nearest.rest + series + r);
}

/// ln x, off by less than 1 ulp; x is positive and not below the normal numbers, or 0 or NaN.
/// x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); ln(1 + f) = 2 atanh(f / (2 + f)) by its series, whose
/// rest is below 2^-60.
inline double fixed_log(double x) {
  if (!(x > 0))
    return x == 0 ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  if (x == std::numeric_limits<double>::infinity()) return x;
  const std::int64_t bits = std::bit_cast<std::int64_t>(x);
  const std::int64_t k = (bits - std::bit_cast<std::int64_t>(0x1.6a09e667f3bcdp-1)) >> 52;
  const double f = std::bit_cast<double>(bits - std::int64_t(std::uint64_t(k) << 52)) - 1.0;
  const double s = f / (2 + f), s2 = s * s, half_square = 0.5 * f * f;
  double series = 0;  // 2 atanh(s) = 2 s + s * series
  for (int n = 21; n >= 3; n -= 2) series = s2 * (2.0 / n + series);
  // 2 s is f - s f, and s f is half_square - s half_square: f itself has no rounding error.
  return double(k) * 0x1.62e42fefa3p-1 -
         ((half_square - (s * (half_square + series) + double(k) * 0x1.3de6af278ece6p-42)) - f);
}

}  // namespace poolwise
