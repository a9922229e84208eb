// The row fold of the CUDA drivers.
//
// Elements travel in pairs (half2 for 16-bit types), two streams a thread. Each stream holds its largest
// element so far back and sums the others, so that the sum without one largest element, which entropy and least
// confidence stand on, exists without ever being subtracted from. Logits are referred to a level at most 2^8
// below the largest: it rises once a chunk, and rarely.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <type_traits>

#include "poolwise/core/types.hpp"
#include "poolwise/score/detail/math_cuda.cuh"
#include "poolwise/score/detail/score_cuda.hpp"
#include "poolwise/score/row_state-inl.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise::device {

// ---- Pairs of elements

template <class T>
struct pair_of;
template <>
struct pair_of<float> {
  using type = float2;
};
template <>
struct pair_of<float16> {
  using type = __half2;
};
template <>
struct pair_of<bfloat16> {
  using type = __nv_bfloat162;
};
template <class T>
using pair = typename pair_of<T>::type;

inline __device__ float2 max2(float2 a, float2 b) { return {fmaxf(a.x, b.x), fmaxf(a.y, b.y)}; }
inline __device__ __half2 max2(__half2 a, __half2 b) { return __hmax2(a, b); }
inline __device__ __nv_bfloat162 max2(__nv_bfloat162 a, __nv_bfloat162 b) { return __hmax2(a, b); }

inline __device__ float2 min2_or_nan(float2 a, float2 b) {
  return {min_or_nan(a.x, b.x), min_or_nan(a.y, b.y)};
}
inline __device__ __half2 min2_or_nan(__half2 a, __half2 b) { return __hmin2_nan(a, b); }
inline __device__ __nv_bfloat162 min2_or_nan(__nv_bfloat162 a, __nv_bfloat162 b) { return __hmin2_nan(a, b); }

inline __device__ float2 absolute2(float2 a) { return {fabsf(a.x), fabsf(a.y)}; }
inline __device__ __half2 absolute2(__half2 a) { return __habs2(a); }
inline __device__ __nv_bfloat162 absolute2(__nv_bfloat162 a) { return __habs2(a); }

inline __device__ float2 widen(float2 x) { return x; }
inline __device__ float2 widen(__half2 x) { return __half22float2(x); }
inline __device__ float2 widen(__nv_bfloat162 x) {
  const unsigned bits = reinterpret_cast<const unsigned&>(x);
  return {__uint_as_float(bits << 16), __uint_as_float(bits & 0xffff0000u)};
}

template <class T>
__device__ pair<T> both(float x) {
  if constexpr (std::is_same_v<T, float>)
    return {x, x};
  else if constexpr (std::is_same_v<T, float16>)
    return __float2half2_rn(x);
  else
    return __float2bfloat162_rn(x);
}

/// Two elements as they lie in memory.
inline __device__ float2 join(float a, float b) { return {a, b}; }
inline __device__ __half2 join(float16 a, float16 b) {
  const unsigned bits = a.bits | unsigned(b.bits) << 16;
  return reinterpret_cast<const __half2&>(bits);
}
inline __device__ __nv_bfloat162 join(bfloat16 a, bfloat16 b) {
  const unsigned bits = a.bits | unsigned(b.bits) << 16;
  return reinterpret_cast<const __nv_bfloat162&>(bits);
}

/// Stands for a column that is not there. It weighs nothing.
template <outputs Kind, class T>
__device__ T no_element() {
  constexpr bool logits = Kind == outputs::logits;
  if constexpr (std::is_same_v<T, float>)
    return logits ? -infinity : 0.0f;
  else if constexpr (std::is_same_v<T, float16>)
    return {std::uint16_t(logits ? 0xfc00 : 0)};
  else
    return {std::uint16_t(logits ? 0xff80 : 0)};
}

inline __device__ float to_real(float x) { return x; }
inline __device__ float to_real(float16 x) { return __half2float(reinterpret_cast<const __half&>(x.bits)); }
inline __device__ float to_real(bfloat16 x) { return __uint_as_float(unsigned(x.bits) << 16); }

/// An output as it counts: of a probability its size.
template <outputs Kind, class T>
__device__ float size_of(T x) {
  return Kind == outputs::logits ? to_real(x) : fabsf(to_real(x));
}

#if __CUDA_ARCH__ >= 1000 && __CUDACC_VER_MAJOR__ >= 13
// Two additions or multiply-adds an instruction, with the bits of one at a time.
inline __device__ float2 add2(float2 a, float2 b) { return __fadd2_rn(a, b); }
inline __device__ float2 fma2(float2 a, float2 b, float2 c) { return __ffma2_rn(a, b, c); }
inline __device__ float2 mul2(float2 a, float2 b) { return __fmul2_rn(a, b); }
#else
inline __device__ float2 add2(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }
inline __device__ float2 fma2(float2 a, float2 b, float2 c) {
  return {__fmaf_rn(a.x, b.x, c.x), __fmaf_rn(a.y, b.y, c.y)};
}
inline __device__ float2 mul2(float2 a, float2 b) { return {a.x * b.x, a.y * b.y}; }
#endif

// ---- What a part of a row leaves behind

/// p log2 p; 0 at 0, and next to nothing below the normal floats.
inline __device__ float p_log2_p(float p) { return p * log2_fast(fmaxf(p, smallest_normal)); }

inline __device__ row_state nothing(outputs kind) {
  const float least = kind == outputs::logits ? -infinity : 0.0f;
  return {least, least, 0, 0, 0};
}

/// `s` as a part of a row whose largest element is `largest`; its own largest joins the sums unless it `owns`
/// the row's.
template <outputs Kind>
__device__ void enter(row_state& s, float largest, bool owns) {
  if constexpr (Kind == outputs::logits) {
    const float shift = clamped((s.largest - fmaxf(largest, lowest_finite)) * log2_e);
    const float factor = exp2_fast(shift);
    const float whole = owns ? s.rest : 1.0f + s.rest;
    s.weighted = factor * __fmaf_rn(shift, whole, s.weighted);
    s.rest = factor * whole;
  } else if (!owns) {
    s.rest += s.largest;
    s.weighted += p_log2_p(s.largest);
  }
}

/// The parts that `width` neighbouring threads hold, a power of two up to 32, as one; every one of them gets
/// it. All threads of the warp must come here.
template <outputs Kind>
__device__ row_state merge_lanes(row_state s, int width) {
  float largest = s.largest, second = s.second;
  for (int half = width / 2; half > 0; half /= 2) {
    const float other = __shfl_xor_sync(all_lanes, largest, half);
    const float its_second = __shfl_xor_sync(all_lanes, second, half);
    second = fmaxf(fmaxf(second, its_second), fminf(largest, other));
    largest = fmaxf(largest, other);
  }
  const int lane = int(threadIdx.x % 32), first = lane & ~(width - 1);
  const unsigned holders = __ballot_sync(all_lanes, s.largest == largest) >> first;
  enter<Kind>(s, largest, __ffs(int(holders)) - 1 == lane - first);
  s.largest = largest;
  s.second = second;
  for (int half = width / 2; half > 0; half /= 2) {
    s.rest += __shfl_xor_sync(all_lanes, s.rest, half);
    s.weighted += __shfl_xor_sync(all_lanes, s.weighted, half);
  }
  return s;
}

/// The parts that the threads of a block hold as one; the first warp gets it. `room` is one place a warp.
template <outputs Kind>
__device__ row_state merge_block(row_state s, row_state* room) {
  s = merge_lanes<Kind>(s, 32);
  const int lane = int(threadIdx.x % 32), warps = int(blockDim.x / 32);
  if (lane == 0) room[threadIdx.x / 32] = s;
  __syncthreads();
  if (threadIdx.x >= 32) return s;
  s = lane < warps ? room[lane] : nothing(Kind);
  return merge_lanes<Kind>(s, 32);
}

/// A row's first part and the next one.
template <outputs Kind>
__device__ row_state merge(row_state a, row_state b) {
  const bool first_leads = a.largest >= b.largest;
  const float largest = fmaxf(a.largest, b.largest);
  const float second = fmaxf(fmaxf(a.second, b.second), fminf(a.largest, b.largest));
  const int argmax = first_leads ? a.argmax : b.argmax;
  enter<Kind>(a, largest, first_leads);
  enter<Kind>(b, largest, !first_leads);
  return {largest, second, a.rest + b.rest, a.weighted + b.weighted, argmax};
}

// ---- What a thread gathers

template <outputs Kind, class T>
class thread_fold;

template <class T>
class thread_fold<outputs::logits, T> {
 public:
  __device__ thread_fold() : top_(both<T>(-infinity)), second_(top_), level_(level_of(-infinity)) {}

  /// Takes `x` for the pair it displaces: what is not, or no longer, the largest of its stream. A NaN passes.
  __device__ pair<T> exchange(pair<T> x) {
    const pair<T> loser = min2_or_nan(top_, x);
    top_ = max2(top_, x);
    second_ = max2(second_, loser);
    return loser;
  }

  /// Lifts the level where the largest elements have left it behind.
  __device__ void raise() { raise(top_); }
  __device__ void raise(pair<T> top) {
    const float2 t = widen(top);
    const float largest = fmaxf(t.x, t.y);
    if (exponent(largest) <= level_slack) return;
    const float before = level_;
    level_ = level_of(largest);
    const float shift = clamped(fused ? before - level_ : (before - level_) * log2_e);
    const float factor = exp2_fast(shift);
    weighted_ = mul2({factor, factor}, fma2({shift, shift}, rest_, weighted_));
    rest_ = mul2({factor, factor}, rest_);
  }

  /// Adds what `exchange` returned.
  __device__ void add(pair<T> loser) {
    const float2 d = exponents(widen(loser));
    const float2 e = {exp2_fast(d.x), exp2_fast(d.y)};
    rest_ = add2(rest_, e);
    weighted_ = fma2(e, d, weighted_);
  }

  __device__ row_state state() const {
    const float2 t = widen(top_), s = widen(second_);
    const float largest = fmaxf(t.x, t.y), lesser = fminf(t.x, t.y);
    const float d = clamped(exponent(lesser)), e = exp2_fast(d);
    const float rest = rest_.x + rest_.y + e;
    const float weighted = weighted_.x + weighted_.y + e * d;
    // From the level to the largest element itself.
    const float rise = exponent(fmaxf(largest, lowest)), factor = exp2_fast(-rise);
    return {largest, fmaxf(fmaxf(s.x, s.y), lesser), factor * rest, factor * __fmaf_rn(-rise, rest, weighted),
            0};
  }

 private:
  /// The level of fp16 is in units of log2, so that one multiply-add gives an exponent; `state` takes the
  /// rounding of the level out again. The other types are too wide for that: 2^127 is off by 2^103 then.
  static constexpr bool fused = std::is_same_v<T, float16>;
  static constexpr float lowest = fused ? -65504.0f : lowest_finite;
  static constexpr float level_slack = 8;

  static __device__ float level_of(float largest) {
    return fused ? fmaxf(largest, lowest) * log2_e : fmaxf(largest, lowest);
  }
  __device__ float exponent(float x) const {
    return fused ? __fmaf_rn(x, log2_e, -level_) : (x - level_) * log2_e;
  }
  __device__ float2 exponents(float2 x) const {
    const float2 below = {-level_, -level_}, unit = {log2_e, log2_e};
    const float2 d = fused ? fma2(x, unit, below) : mul2(add2(x, below), unit);
    return {clamped(d.x), clamped(d.y)};
  }

  pair<T> top_, second_;
  float level_;
  float2 rest_{0, 0}, weighted_{0, 0};
};

template <class T>
class thread_fold<outputs::probabilities, T> {
 public:
  __device__ thread_fold() : top_(both<T>(0)), second_(top_) {}

  __device__ pair<T> exchange(pair<T> x) {
    x = absolute2(x);
    const pair<T> loser = min2_or_nan(top_, x);
    top_ = max2(top_, x);
    second_ = max2(second_, loser);
    return loser;
  }

  __device__ void raise() {}
  __device__ void raise(pair<T>) {}

  // Of a valid row no element but the largest is near 1, where lg2.approx has few bits left.
  __device__ void add(pair<T> loser) {
    const float2 p = widen(loser);
    const float2 logs = {log2_fast(fmaxf(p.x, smallest_normal)), log2_fast(fmaxf(p.y, smallest_normal))};
    rest_ = add2(rest_, p);
    weighted_ = fma2(p, logs, weighted_);
  }

  __device__ row_state state() const {
    const float2 t = widen(top_), s = widen(second_);
    const float lesser = fminf(t.x, t.y);
    return {fmaxf(t.x, t.y), fmaxf(fmaxf(s.x, s.y), lesser), rest_.x + rest_.y + lesser,
            weighted_.x + weighted_.y + p_log2_p(lesser), 0};
  }

 private:
  pair<T> top_, second_;
  float2 rest_{0, 0}, weighted_{0, 0};
};

// ---- Whole rows

/// The state of a whole row as its scores see it.
template <outputs Kind>
__device__ auto whole_row(const row_state& s) {
  if constexpr (Kind == outputs::logits) {
    logit_state<float> whole{s.largest, s.second, s.rest, s.weighted};
    whole.finish();
    return whole;
  } else {
    return probability_state<float>{s.largest + s.rest, -s.weighted, s.largest, s.second};
  }
}

}  // namespace poolwise::device
