// The fast functions of a device that the folds and formulas are made of.
#pragma once

namespace poolwise::device {

inline constexpr unsigned all_lanes = 0xffffffffu;
inline constexpr float infinity = INFINITY;
inline constexpr float lowest_finite = -3.402823466e38f;
inline constexpr float smallest_normal = 1.175494351e-38f;
inline constexpr float log2_e = 1.442695041f;
inline constexpr float ln2 = 0.6931471806f;
/// 2^x is 0 from here down, in every one of the functions below.
inline constexpr float exponent_floor = -128.0f;

inline __device__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

inline __device__ float log2_fast(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// The larger or smaller of the two, and NaN if either is.
inline __device__ float max_or_nan(float a, float b) {
#if __CUDA_ARCH__ >= 800
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
#else
  return a != a || a > b ? a : b;
#endif
}
inline __device__ float min_or_nan(float a, float b) {
#if __CUDA_ARCH__ >= 800
  float y;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
#else
  return a != a || a < b ? a : b;
#endif
}

/// An exponent of 2 that is not below the floor.
inline __device__ float clamped(float exponent) { return max_or_nan(exponent, exponent_floor); }

/// 2^((x - largest) log2 e) for x up to `largest`, which is finite.
inline __device__ float exp_below(float x, float largest) { return exp2_fast(clamped((x - largest) * log2_e)); }

}  // namespace poolwise::device
