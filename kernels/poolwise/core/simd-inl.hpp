// Vectors of floats and of doubles, and their multiply-add. Of floats with one pool row a lane: exp, log2,
// log1p, and the load that turns rows into lanes. There a lane never looks at its neighbours, so a row's
// numbers have the same bits whatever the vector is wide. Compiled once a target: include after
// hwy/foreach_target.h, with the same toggle as highway.h.
#if defined(POOLWISE_CORE_SIMD_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef POOLWISE_CORE_SIMD_INL_HPP
#undef POOLWISE_CORE_SIMD_INL_HPP
#else
#define POOLWISE_CORE_SIMD_INL_HPP
#endif

#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
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

using doubles_tag = hn::CappedTag<double, 8>;
using doubles = hn::Vec<doubles_tag>;
inline constexpr int double_lanes = int(hn::MaxLanes(doubles_tag()));

HWY_INLINE floats all(float x) { return hn::Set(floats_tag(), x); }
template <std::same_as<double> T>  // an integer is meant as a float
HWY_INLINE doubles all(T x) {
  return hn::Set(doubles_tag(), x);
}

/// a * b + c, rounded once; V is floats or doubles.
template <class V>
HWY_INLINE V fma(V a, V b, V c) {
#if HWY_TARGET == HWY_SCALAR
  return V(std::fma(a.raw, b.raw, c.raw));
#elif HWY_TARGET == HWY_EMU128
  for (std::size_t i = 0; i < hn::MaxLanes(hn::DFromV<V>()); ++i)
    c.raw[i] = std::fma(a.raw[i], b.raw[i], c.raw[i]);
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

/// N values, 8 or 16, in a vector of any width: eight lie there twice.
template <int N>
struct table {
  alignas(64) float place[16];

  constexpr explicit table(const float (&values)[N]) : place() {
    for (int i = 0; i < 16; ++i) place[i] = values[i % N];
  }
};

/// For each lane the value that the low bits of `i` name, three or four of them.
template <int N>
HWY_INLINE floats look_up(const table<N>& t, ints i) {
#if HWY_TARGET == HWY_AVX3
  return floats{_mm512_permutexvar_ps(i.raw, _mm512_load_ps(t.place))};
#elif HWY_TARGET == HWY_AVX2
  const __m256 lower = _mm256_permutevar8x32_ps(_mm256_load_ps(t.place), i.raw);
  if constexpr (N == 8) return floats{lower};
  const __m256 upper = _mm256_permutevar8x32_ps(_mm256_load_ps(t.place + 8), i.raw);
  return floats{_mm256_blendv_ps(lower, upper, _mm256_castsi256_ps(_mm256_slli_epi32(i.raw, 28)))};
#else
  return hn::GatherIndex(floats_tag(), t.place, hn::And(i, hn::Set(ints_tag(), 15)));
#endif
}

inline constexpr float ln2 = 0x1.62e43p-1f;

/// The lower end of what `exp_clamped` takes: e^x is below every normal float there and comes out as 0.
inline constexpr float exp_floor = -127 * ln2;

/// max(x, exp_floor), and NaN where x is NaN.
HWY_INLINE floats clamp_exponent(floats x) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  return hn::Max(all(exp_floor), x);  // x86 hands on the second operand when one is NaN
#else
  return hn::IfThenElse(hn::Lt(x, all(exp_floor)), all(exp_floor), x);
#endif
}

/// The bits of 2^(i/16) less i << 19, to which i << 19 will be added.
inline constexpr table<16> roots_of_two = [] {
  float x[16] = {1.0f,           0x1.0b5586p+0f, 0x1.172b84p+0f, 0x1.2387a6p+0f, 0x1.306fe0p+0f, 0x1.3dea64p+0f,
                 0x1.4bfdaep+0f, 0x1.5ab07ep+0f, 0x1.6a09e6p+0f, 0x1.7a1148p+0f, 0x1.8ace54p+0f, 0x1.9c4918p+0f,
                 0x1.ae89fap+0f, 0x1.c199bep+0f, 0x1.d5818ep+0f, 0x1.ea4afap+0f};
  for (int i = 0; i < 16; ++i) x[i] = std::bit_cast<float>(std::bit_cast<std::int32_t>(x[i]) - (i << 19));
  return table<16>(x);
}();

/// y = e^x for x in [exp_floor, 0] or NaN; e^0 is 1 to the bit. Relative error below 6.5e-7 + 2.8e-9 |x| where
/// e^x is a normal float; below those y falls short of it, and is 0 at exp_floor.
/// e^x = 2^(k/16) e^r with k/16 ln 2 + r = x, |r| <= ln(2)/32; e^r by a minimax polynomial of degree 2
/// (relative error 4.3e-7). r is rounded once; the second term of the error is that of ln 2 in fp32.
template <int N>
HWY_INLINE void exp_clamped(const vectors<N>& x, vectors<N>& y) {
  // Adding 1.5 * 2^19 rounds to sixteenths, and leaves k = 16 n + i in the low bits. k << 19 has n where the
  // exponent is and i on top of the mantissa; at n = -127 and i = 0 all sums up to the bits of 0.
  constexpr float magic = 0x1.8p19f, log2_e = 0x1.715476p+0f;
  const ints_tag i32;
  vectors<N> rounded, r;
  for (int i = 0; i < N; ++i) rounded[i] = fma(x[i], all(log2_e), all(magic));
  for (int i = 0; i < N; ++i) r[i] = hn::Sub(all(magic), rounded[i]);
  for (int i = 0; i < N; ++i) r[i] = fma(r[i], all(ln2), x[i]);
  for (int i = 0; i < N; ++i) y[i] = fma(all(0x1.fffff4p-2f), r[i], all(0x1.0003d6p+0f));
  for (int i = 0; i < N; ++i) y[i] = fma(y[i], r[i], all(1.0f));
  for (int i = 0; i < N; ++i) {
    const ints k = hn::BitCast(i32, rounded[i]);
    const ints power = hn::Add(hn::BitCast(i32, look_up(roots_of_two, k)), hn::ShiftLeft<19>(k));
    y[i] = hn::Mul(y[i], hn::BitCast(floats_tag(), power));
  }
}

HWY_INLINE floats exp_clamped(floats x) {
  const vectors<1> in{x};
  vectors<1> out;
  exp_clamped<1>(in, out);
  return out[0];
}

/// 1 / c for c about 1, 9/8 .. 15/8, and log2 c less 0, 1/8 .. 7/8.
inline constexpr table<8> eighth_inverses({1.0f, 0x1.cfb2b8p-1f, 0x1.a08ad8p-1f, 0x1.7a17a2p-1f, 0x1.5a240ep-1f,
                                           0x1.3f2b38p-1f, 0x1.2818acp-1f, 0x1.142284p-1f});
inline constexpr table<8> eighth_logs({0.0f, 0x1.263908p-6f, 0x1.869976p-5f, 0x1.ff395cp-5f, 0x1.095ba0p-4f,
                                       0x1.d180bap-5f, 0x1.484f88p-5f, 0x1.02642ep-6f});

/// y = log2 x for normal, positive, finite x, exactly 0 at 1; relative error below 4e-7. Of 0 and of positive
/// numbers below the normal ones it makes -127 to -126.
/// x = 2^n c (1 + r) with a c of the table, 1 for x around 1, and |r| < 1/17; log2(1+r) = r P(r), P minimax of
/// degree 3 (2.4e-7).
template <int N>
HWY_INLINE void log2_normal(const vectors<N>& x, vectors<N>& y) {
  const ints_tag i32;
  const ints lowest = hn::Set(i32, 0x3f755555);  // the bits of 23/24, from where on c is 1
  vectors<N> r, p;
  for (int i = 0; i < N; ++i) {
    const ints above = hn::Sub(hn::BitCast(i32, x[i]), lowest);
    const ints eighths = hn::ShiftRight<20>(above);  // 8 n, and the place of c
    const ints fraction = hn::Add(hn::And(above, hn::Set(i32, 0x007fffff)), lowest);
    r[i] = fma(hn::BitCast(floats_tag(), fraction), look_up(eighth_inverses, eighths), all(-1.0f));
    y[i] = fma(hn::ConvertTo(floats_tag(), eighths), all(0.125f), look_up(eighth_logs, eighths));
  }
  for (int i = 0; i < N; ++i) p[i] = all(-0x1.75eb94p-2f);
  for (const float c : {0x1.ed4808p-2f, -0x1.7153b4p-1f, 0x1.715472p+0f})
    for (int i = 0; i < N; ++i) p[i] = fma(p[i], r[i], all(c));
  for (int i = 0; i < N; ++i) y[i] = fma(p[i], r[i], y[i]);
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

/// `lanes` rows `stride` elements apart, which may be unaligned.
template <class T>
class even_rows {
 public:
  HWY_INLINE even_rows(T* first, index_t stride) : stride_(stride) {
    for (int q = 0; q < (lanes + 3) / 4; ++q) fourth_[q] = first + 4 * q * stride;
  }
  HWY_INLINE T* operator[](int k) const { return fourth_[k / 4] + k % 4 * stride_; }

 private:
  T* fourth_[(lanes + 3) / 4];  // every fourth: the others are one addressing mode away
  index_t stride_;
};

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
HWY_INLINE four_columns load_columns(const even_rows<const T>& rows, index_t c) {
  float widened[4][lanes];
  for (int k = 0; k < lanes; ++k)
    for (int j = 0; j < 4; ++j) widened[j][k] = to_float(rows[k][c + j]);
  const floats_tag f32;
  return {{hn::LoadU(f32, widened[0]), hn::LoadU(f32, widened[1]), hn::LoadU(f32, widened[2]),
           hn::LoadU(f32, widened[3])}};
}

/// Writes the columns c..c+3 of every row.
HWY_INLINE void store_columns(const four_columns& x, const even_rows<float>& rows, index_t c) {
  float values[4][lanes];
  for (int j = 0; j < 4; ++j) hn::StoreU(x.column[j], floats_tag(), values[j]);
  for (int k = 0; k < lanes; ++k)
    for (int j = 0; j < 4; ++j) rows[k][c + j] = values[j][k];
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
HWY_INLINE hn::Vec<D> load_every_fourth(D d, const even_rows<const T>& rows, int j, index_t c) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, reinterpret_cast<const hn::TFromD<D>*>(rows[j] + c));
  } else {
    const hn::Half<D> half;
    const int upper = j + int(hn::MaxLanes(half));
    return hn::Combine(d, load_every_fourth(half, rows, upper, c), load_every_fourth(half, rows, j, c));
  }
}

template <class T>
HWY_INLINE floats load_fours(const even_rows<const T>& rows, int j, index_t c) {
  if constexpr (std::is_same_v<T, float>)
    return load_every_fourth(floats_tag(), rows, j, c);
  else
    return widen<T>(load_every_fourth(bits16_tag(), rows, j, c));
}

/// Turns four vectors of 4x4 blocks: column j of a block becomes its row j.
HWY_INLINE four_columns transpose_blocks(floats v0, floats v1, floats v2, floats v3) {
  const floats_tag f32;
  const hn::RepartitionToWide<floats_tag> f64;
  const auto low01 = hn::BitCast(f64, hn::InterleaveLower(f32, v0, v1));
  const auto low23 = hn::BitCast(f64, hn::InterleaveLower(f32, v2, v3));
  const auto high01 = hn::BitCast(f64, hn::InterleaveUpper(f32, v0, v1));
  const auto high23 = hn::BitCast(f64, hn::InterleaveUpper(f32, v2, v3));
  return {{hn::BitCast(f32, hn::InterleaveLower(f64, low01, low23)),
           hn::BitCast(f32, hn::InterleaveUpper(f64, low01, low23)),
           hn::BitCast(f32, hn::InterleaveLower(f64, high01, high23)),
           hn::BitCast(f32, hn::InterleaveUpper(f64, high01, high23))}};
}

/// Reads the columns c..c+3 of every row.
template <class T>
HWY_INLINE four_columns load_columns(const even_rows<const T>& rows, index_t c) {
  // Vector j holds rows j, j + 4, ... in blocks of four lanes; transposing the blocks puts row 4b + j of block
  // b into lane 4b + j.
  return transpose_blocks(load_fours(rows, 0, c), load_fours(rows, 1, c), load_fours(rows, 2, c),
                          load_fours(rows, 3, c));
}

template <class D>
HWY_INLINE void store_every_fourth(D d, hn::Vec<D> x, const even_rows<float>& rows, int j, index_t c) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    hn::StoreU(x, d, rows[j] + c);
  } else {
    const hn::Half<D> half;
    store_every_fourth(half, hn::LowerHalf(half, x), rows, j, c);
    store_every_fourth(half, hn::UpperHalf(half, x), rows, j + int(hn::MaxLanes(half)), c);
  }
}

/// Writes the columns c..c+3 of every row.
HWY_INLINE void store_columns(const four_columns& x, const even_rows<float>& rows, index_t c) {
  const four_columns fours = transpose_blocks(x.column[0], x.column[1], x.column[2], x.column[3]);
  store_every_fourth(floats_tag(), fours.column[0], rows, 0, c);
  store_every_fourth(floats_tag(), fours.column[1], rows, 1, c);
  store_every_fourth(floats_tag(), fours.column[2], rows, 2, c);
  store_every_fourth(floats_tag(), fours.column[3], rows, 3, c);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#endif  // POOLWISE_CORE_SIMD_INL_HPP
