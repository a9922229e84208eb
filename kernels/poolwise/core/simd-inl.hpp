// Vectors of floats, one pool row a lane: multiply-add, exp, log2, log1p, and the load that turns rows into
// lanes. A lane never looks at its neighbours, so a row's numbers have the same bits whatever the vector is
// wide. Compiled once a target: include after hwy/foreach_target.h, with the same toggle as highway.h.
#if defined(POOLWISE_CORE_SIMD_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef POOLWISE_CORE_SIMD_INL_HPP
#undef POOLWISE_CORE_SIMD_INL_HPP
#else
#define POOLWISE_CORE_SIMD_INL_HPP
#endif

#include <array>
#include <cmath>
#include <type_traits>

#include "hwy/highway.h"
#include "poolwise/core/types.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using floats_tag = hn::CappedTag<float, 16>;
using floats = hn::Vec<floats_tag>;
using ints_tag = hn::RebindToSigned<floats_tag>;
using ints = hn::Vec<ints_tag>;
inline constexpr int lanes = int(hn::MaxLanes(floats_tag()));

HWY_INLINE floats all(float x) { return hn::Set(floats_tag(), x); }

/// a * b + c, rounded once.
HWY_INLINE floats fma(floats a, floats b, floats c) {
#if HWY_TARGET == HWY_SCALAR
  return floats(std::fma(a.raw, b.raw, c.raw));
#elif HWY_TARGET == HWY_EMU128
  for (int i = 0; i < lanes; ++i) c.raw[i] = std::fma(a.raw[i], b.raw[i], c.raw[i]);
  return c;
#else
  return hn::MulAdd(a, b, c);
#endif
}

/// c - a * b, rounded once.
HWY_INLINE floats fnma(floats a, floats b, floats c) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
  return fma(hn::Neg(a), b, c);
#else
  return hn::NegMulAdd(a, b, c);
#endif
}

/// The lower end of what `exp_clamped` takes: e^-88 is below every normal float and comes out as 0.
inline constexpr float exp_floor = -88.0f;

/// max(x, exp_floor), and NaN where x is NaN.
HWY_INLINE floats clamp_exponent(floats x) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  return hn::Max(all(exp_floor), x);  // x86 hands on the second operand when one is NaN
#else
  return hn::IfThenElse(hn::Lt(x, all(exp_floor)), all(exp_floor), x);
#endif
}

/// min(a, b), and NaN where b is NaN.
HWY_INLINE floats lesser(floats a, floats b) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  return hn::Min(a, b);  // as above
#else
  return hn::IfThenElse(hn::Lt(a, b), a, b);
#endif
}

/// max(a, b), and NaN where b is NaN.
HWY_INLINE floats greater(floats a, floats b) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  return hn::Max(a, b);  // as above
#else
  return hn::IfThenElse(hn::Gt(a, b), a, b);
#endif
}

/// N vectors whose operations take turns, so that the latency of one hides behind the others.
template <int N>
using vectors = floats[N];

/// y = e^x for x in [exp_floor, 0] or NaN; e^0 is 1 to the bit. Relative error below 2.5e-7 + 1.4e-8 |x|.
/// e^x = 2^n 2^f with n + f = x log2(e), |f| <= 1/2; 2^f by a minimax polynomial of degree 5 (relative
/// error 1.1e-7). f is rounded once; the second term of the error is that of log2(e) in fp32.
template <int N>
HWY_INLINE void exp_clamped(const vectors<N>& x, vectors<N>& y) {
  // Adding 1.5 * 2^23 rounds to an integer, in the low bits; adding the exponent bias as well leaves there
  // the very exponent field of 2^n. At n = -127 the field is 0 and so is 2^n.
  constexpr float magic = 0x1.8p23f + 127.0f, log2_e = 0x1.715476p+0f;
  constexpr float coefficients[] = {0x1.3cdbdp-7f, 0x1.c6b3bp-5f, 0x1.ebf9fp-3f, 0x1.62e43p-1f, 1.0f};
  vectors<N> biased, f;
  for (int i = 0; i < N; ++i) biased[i] = fma(x[i], all(log2_e), all(magic));
  for (int i = 0; i < N; ++i) f[i] = hn::Sub(all(magic), biased[i]);
  for (int i = 0; i < N; ++i) f[i] = fma(x[i], all(log2_e), f[i]);
  for (int i = 0; i < N; ++i) y[i] = all(0x1.5ca84ep-10f);
  for (const float c : coefficients)
    for (int i = 0; i < N; ++i) y[i] = fma(y[i], f[i], all(c));
  for (int i = 0; i < N; ++i) {
    const floats power = hn::BitCast(floats_tag(), hn::ShiftLeft<23>(hn::BitCast(ints_tag(), biased[i])));
    y[i] = hn::Mul(y[i], power);
  }
}

HWY_INLINE floats exp_clamped(floats x) {
  const vectors<1> in{x};
  vectors<1> out;
  exp_clamped<1>(in, out);
  return out[0];
}

inline constexpr float ln2 = 0x1.62e43p-1f;

/// y = log2 x for normal, positive, finite x, exactly 0 at 1; relative error below 1.5e-7.
/// x = 2^n (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); log2(1+f) = f P(f), P minimax of degree 8 (3e-8).
template <int N>
HWY_INLINE void log2_normal(const vectors<N>& x, vectors<N>& y) {
  constexpr float coefficients[] = {-0x1.a87cfap-3f, 0x1.b9c92p-3f,  -0x1.e95beap-3f, 0x1.26d384p-2f,
                                    -0x1.715c4ep-2f, 0x1.ec73d6p-2f, -0x1.71547p-1f,  0x1.715476p+0f};
  const ints_tag i32;
  const ints half_root = hn::Set(i32, 0x3f3504f3);  // the bits of sqrt(1/2)
  vectors<N> n, f;
  for (int i = 0; i < N; ++i) {
    const ints above = hn::Sub(hn::BitCast(i32, x[i]), half_root);
    const ints fraction = hn::And(above, hn::Set(i32, 0x007fffff));
    n[i] = hn::ConvertTo(floats_tag(), hn::ShiftRight<23>(above));
    f[i] = hn::Sub(hn::BitCast(floats_tag(), hn::Add(fraction, half_root)), all(1.0f));
  }
  for (int i = 0; i < N; ++i) y[i] = all(0x1.01b6b6p-3f);
  for (const float c : coefficients)
    for (int i = 0; i < N; ++i) y[i] = fma(y[i], f[i], all(c));
  for (int i = 0; i < N; ++i) y[i] = fma(y[i], f[i], n[i]);
}

HWY_INLINE floats log2_normal(floats x) {
  const vectors<1> in{x};
  vectors<1> out;
  log2_normal<1>(in, out);
  return out[0];
}

/// ln(1 + s) for s in [0, 2^100], accurate relative to itself however small s is; below 3e-7.
/// `u` is 1 + s as it rounds, and `inverse` 1 / u.
HWY_INLINE floats log1p_positive(floats s, floats u, floats inverse) {
  const floats lost = hn::Sub(s, hn::Sub(u, all(1.0f)));
  return fma(lost, inverse, hn::Mul(all(ln2), log2_normal(u)));
}

/// `lanes` rows as the addresses of their first column. Rows may repeat, lie apart or be unaligned.
template <class T>
using row_pointers = std::array<const T*, lanes>;

/// Four neighbouring columns of `lanes` rows, one vector a column.
struct four_columns {
  floats column[4];
};

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

/// `lanes` neighbouring columns of one row.
template <class T>
HWY_INLINE floats load_row(const T* x) {
  float widened[lanes];
  for (int i = 0; i < lanes; ++i) widened[i] = to_float(x[i]);
  return hn::LoadU(floats_tag(), widened);
}

/// Reads the columns c..c+3 of every row.
template <class T>
HWY_INLINE four_columns load_columns(const row_pointers<T>& rows, index_t c) {
  float widened[4][lanes];
  for (int k = 0; k < lanes; ++k)
    for (int j = 0; j < 4; ++j) widened[j][k] = to_float(rows[std::size_t(k)][c + j]);
  const floats_tag f32;
  return {{hn::LoadU(f32, widened[0]), hn::LoadU(f32, widened[1]), hn::LoadU(f32, widened[2]),
           hn::LoadU(f32, widened[3])}};
}

#else

using bits16_tag = hn::Rebind<std::uint16_t, floats_tag>;

/// The values of 16-bit floats of type T, exactly.
template <class T>
HWY_INLINE floats widen(hn::Vec<bits16_tag> bits) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    const hn::Rebind<std::uint32_t, floats_tag> u32;
    return hn::BitCast(floats_tag(), hn::ShiftLeft<16>(hn::PromoteTo(u32, bits)));
  } else {
    return hn::PromoteTo(floats_tag(), hn::BitCast(hn::Rebind<hwy::float16_t, floats_tag>(), bits));
  }
}

/// `lanes` neighbouring columns of one row.
template <class T>
HWY_INLINE floats load_row(const T* x) {
  if constexpr (std::is_same_v<T, float>)
    return hn::LoadU(floats_tag(), x);
  else
    return widen<T>(hn::LoadU(bits16_tag(), reinterpret_cast<const std::uint16_t*>(x)));
}

/// Columns c..c+3 of the rows j, j + 4, j + 8, ..., as they lie in memory: four lanes a row.
template <class D, class T>
HWY_INLINE hn::Vec<D> load_every_fourth(D d, const row_pointers<T>& rows, int j, index_t c) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, reinterpret_cast<const hn::TFromD<D>*>(rows[std::size_t(j)] + c));
  } else {
    const hn::Half<D> half;
    const int upper = j + int(hn::MaxLanes(half));
    return hn::Combine(d, load_every_fourth(half, rows, upper, c), load_every_fourth(half, rows, j, c));
  }
}

template <class T>
HWY_INLINE floats load_fours(const row_pointers<T>& rows, int j, index_t c) {
  if constexpr (std::is_same_v<T, float>)
    return load_every_fourth(floats_tag(), rows, j, c);
  else
    return widen<T>(load_every_fourth(bits16_tag(), rows, j, c));
}

/// Reads the columns c..c+3 of every row.
template <class T>
HWY_INLINE four_columns load_columns(const row_pointers<T>& rows, index_t c) {
  // v_j holds rows j, j + 4, ... in blocks of four lanes; transposing the 4x4 blocks puts row 4b + j of
  // block b into lane 4b + j.
  const floats_tag f32;
  const hn::RepartitionToWide<floats_tag> f64;
  const floats v0 = load_fours(rows, 0, c), v1 = load_fours(rows, 1, c);
  const floats v2 = load_fours(rows, 2, c), v3 = load_fours(rows, 3, c);
  const auto low01 = hn::BitCast(f64, hn::InterleaveLower(f32, v0, v1));
  const auto low23 = hn::BitCast(f64, hn::InterleaveLower(f32, v2, v3));
  const auto high01 = hn::BitCast(f64, hn::InterleaveUpper(f32, v0, v1));
  const auto high23 = hn::BitCast(f64, hn::InterleaveUpper(f32, v2, v3));
  return {{hn::BitCast(f32, hn::InterleaveLower(f64, low01, low23)),
           hn::BitCast(f32, hn::InterleaveUpper(f64, low01, low23)),
           hn::BitCast(f32, hn::InterleaveLower(f64, high01, high23)),
           hn::BitCast(f32, hn::InterleaveUpper(f64, high01, high23))}};
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#endif  // POOLWISE_CORE_SIMD_INL_HPP
