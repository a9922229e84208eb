// The two 16-bit floating-point formats as storage. Arithmetic happens in fp32, to which both widen exactly.
#pragma once

#include <bit>
#include <cstdint>

/// Before a function that kernels call as well as the host. It adds attributes only: a body means the same
/// under both compilers.
#ifdef __CUDACC__
#define POOLWISE_HD __host__ __device__
#else
#define POOLWISE_HD
#endif

namespace poolwise {

/// IEEE 754 binary16: 5 exponent bits, 10 fraction bits.
struct float16 {
  std::uint16_t bits = 0;
};

/// The upper half of an fp32: 8 exponent bits, 7 fraction bits.
struct bfloat16 {
  std::uint16_t bits = 0;
};

POOLWISE_HD inline float to_float(float x) { return x; }

POOLWISE_HD inline float to_float(bfloat16 x) { return std::bit_cast<float>(std::uint32_t{x.bits} << 16); }

POOLWISE_HD inline float to_float(float16 x) {
  const std::uint32_t sign = (x.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = x.bits & 0x7fffu;
  if (magnitude >= 0x7c00u)  // Inf and NaN keep their fraction
    return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Reading the bits with fp32's exponent bias leaves the value 2^-112 too small, denormals included.
  const float scaled = std::bit_cast<float>(magnitude << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
}

}  // namespace poolwise
