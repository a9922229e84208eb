#include "poolwise/distance/detail/canonical.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "poolwise/core/detail/simd_targets.hpp"
#include "poolwise/distance/distance.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/distance/canonical.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/core/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {
namespace {

/// A pair of columns contributes the square of their difference ...
struct difference {
  template <class D, class V>
  static HWY_INLINE V step(D, V x, V y, V sum) {
    const V d = hn::Sub(x, y);
    return hn::MulAdd(d, d, sum);
  }
  static float step(float x, float y, float sum) { return std::fma(x - y, x - y, sum); }
};

/// ... or their product.
struct product {
  template <class D, class V>
  static HWY_INLINE V step(D, V x, V y, V sum) {
    return hn::MulAdd(x, y, sum);
  }
  static float step(float x, float y, float sum) { return std::fma(x, y, sum); }
};

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

/// The definition as it is written.
template <class Step>
float canonical_pair(const float* x, const float* y, index_t cols) {
  float sum[canonical_lanes] = {};
  for (index_t c = 0; c < cols; ++c)
    sum[c % canonical_lanes] = Step::step(x[c], y[c], sum[c % canonical_lanes]);
  for (int half = canonical_lanes / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) sum[j] += sum[j + half];
  return sum[0];
}

/// result[i] = the tree over x(i) and y(i).
template <class Step, class One, class Other>
void canonical_rows(index_t rows, index_t cols, One&& x, Other&& y, float* result) {
  for (index_t i = 0; i < rows; ++i) result[i] = canonical_pair<Step>(x(i), y(i), cols);
}

float largest(const float* x, index_t size) {
  std::uint32_t most = 0;
  for (index_t i = 0; i < size; ++i) most = std::max(most, std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu);
  return std::bit_cast<float>(most);
}

#else

inline constexpr int parts = canonical_lanes / lanes;  // vectors that hold the sixteen partial sums
inline constexpr int tile = 4;  // rows in flight: enough independent chains to hide the latency of an fma
using four = hn::Full128<float>;

/// x[0], ..., x[count - 1] and then zeros, reading no further.
HWY_INLINE floats load_first(const float* x, index_t count) {
  const floats_tag d;
#if HWY_MEM_OPS_MIGHT_FAULT
  HWY_ALIGN float padded[lanes] = {};
  for (index_t j = 0; j < count; ++j) padded[j] = x[j];
  return hn::Load(d, padded);
#else
  return hn::MaskedLoad(hn::FirstN(d, std::size_t(count)), d, x);
#endif
}

/// Adds the upper half of the lanes to the lower until four are left.
HWY_INLINE hn::Vec<four> fold_lanes(hn::Vec<four> sum) { return sum; }
template <class V>
HWY_INLINE hn::Vec<four> fold_lanes(V sum) {
  const hn::Half<hn::DFromV<V> > half;
  return fold_lanes(hn::Add(hn::LowerHalf(half, sum), hn::UpperHalf(half, sum)));
}

/// The first two levels, j + 8 and j + 4: what is left of sixteen partial sums are four.
HWY_INLINE hn::Vec<four> fold_to_four(floats (&sum)[parts]) {
  for (int half = parts / 2; half > 0; half /= 2)
    for (int p = 0; p < half; ++p) sum[p] = hn::Add(sum[p], sum[p + half]);
  return fold_lanes(sum[0]);
}

/// The last two levels of four rows side by side: lane r of the result is the sum of the lanes of row r.
HWY_INLINE hn::Vec<four> fold_rows(const hn::Vec<four> (&row)[tile]) {
  const four f32;
  const hn::Full128<double> f64;
  const auto fold_pair = [&](hn::Vec<four> a, hn::Vec<four> b) HWY_ATTR {
    const auto wide_a = hn::BitCast(f64, a), wide_b = hn::BitCast(f64, b);
    return hn::Add(hn::BitCast(f32, hn::InterleaveLower(f64, wide_a, wide_b)),
                   hn::BitCast(f32, hn::InterleaveUpper(f64, wide_a, wide_b)));
  };
  const auto low = fold_pair(row[0], row[1]), high = fold_pair(row[2], row[3]);
  return hn::Add(hn::ConcatEven(f32, high, low), hn::ConcatOdd(f32, high, low));
}

/// The tree over four pairs of rows. The rows may repeat.
template <class Step>
HWY_INLINE hn::Vec<four> canonical_tile(const float* const (&x)[tile], const float* const (&y)[tile],
                                        index_t cols) {
  const floats_tag d;
  floats sum[tile][parts];
  for (int r = 0; r < tile; ++r)
    for (int p = 0; p < parts; ++p) sum[r][p] = hn::Zero(d);
  index_t c = 0;
  for (; c + canonical_lanes <= cols; c += canonical_lanes)
    for (int p = 0; p < parts; ++p)
      for (int r = 0; r < tile; ++r) {
        const index_t at = c + p * lanes;
        sum[r][p] = Step::step(d, hn::LoadU(d, x[r] + at), hn::LoadU(d, y[r] + at), sum[r][p]);
      }
  for (int p = 0; p < parts && c < cols; ++p, c += lanes)
    for (int r = 0; r < tile; ++r) {
      const index_t count = HWY_MIN(cols - c, lanes);
      sum[r][p] = Step::step(d, load_first(x[r] + c, count), load_first(y[r] + c, count), sum[r][p]);
    }
  hn::Vec<four> folded[tile];
  for (int r = 0; r < tile; ++r) folded[r] = fold_to_four(sum[r]);
  return fold_rows(folded);
}

template <class Step>
float canonical_pair(const float* x, const float* y, index_t cols) {
  return hn::GetLane(canonical_tile<Step>({x, x, x, x}, {y, y, y, y}, cols));
}

/// result[i] = the tree over x(i) and y(i).
template <class Step, class One, class Other>
void canonical_rows(index_t rows, index_t cols, One&& x, Other&& y, float* result) {
  index_t i = 0;
  for (; i + tile <= rows; i += tile) {
    const float* const ones[tile] = {x(i), x(i + 1), x(i + 2), x(i + 3)};
    const float* const others[tile] = {y(i), y(i + 1), y(i + 2), y(i + 3)};
    hn::StoreU(canonical_tile<Step>(ones, others, cols), four(), result + i);
  }
  for (; i < rows; ++i) result[i] = canonical_pair<Step>(x(i), y(i), cols);
}

/// The bits of sizes are ordered as the sizes are, those of NaN above all.
float largest(const float* x, index_t size) {
  const floats_tag d;
  const hn::RebindToSigned<floats_tag> bits;
  constexpr int unroll = 4;
  auto most = hn::Zero(bits);
  decltype(most) part[unroll] = {most, most, most, most};
  const auto size_bits = [&](floats v) HWY_ATTR { return hn::BitCast(bits, hn::Abs(v)); };
  index_t i = 0;
  for (; i + unroll * lanes <= size; i += unroll * lanes)
    for (int j = 0; j < unroll; ++j) part[j] = hn::Max(part[j], size_bits(hn::LoadU(d, x + i + j * lanes)));
  for (; i < size; i += lanes)
    part[0] = hn::Max(part[0], size_bits(load_first(x + i, HWY_MIN(size - i, lanes))));
  most = hn::Max(hn::Max(part[0], part[1]), hn::Max(part[2], part[3]));
  return std::bit_cast<float>(hn::GetLane(hn::MaxOfLanes(bits, most)));
}

#endif

float squared_distance_pair(const float* x, const float* y, index_t cols) {
  return canonical_pair<difference>(x, y, cols);
}

float dot_pair(const float* x, const float* y, index_t cols) { return canonical_pair<product>(x, y, cols); }

template <class Step>
void rows_and_one(matrix_view<const float> x, const float* y, float* result) {
  canonical_rows<Step>(
      x.rows, x.cols, [=](index_t i) { return x.row(i); }, [=](index_t) { return y; }, result);
}

template <class Step>
void pairs(vector_view<const float* const> x, const float* const* y, index_t cols, float* result) {
  canonical_rows<Step>(
      x.size, cols, [=](index_t i) { return x[i]; }, [=](index_t i) { return y[i]; }, result);
}

template <class Step>
void one_and_several(const float* x, vector_view<const float* const> y, index_t cols, float* result) {
  canonical_rows<Step>(
      y.size, cols, [=](index_t) { return x; }, [=](index_t i) { return y[i]; }, result);
}

void squared_distance_rows(matrix_view<const float> x, const float* y, float* d2) {
  rows_and_one<difference>(x, y, d2);
}

void dot_rows(matrix_view<const float> x, const float* y, float* dot) { rows_and_one<product>(x, y, dot); }

void squared_norm_rows(matrix_view<const float> x, float* norm) {
  const auto row = [=](index_t i) { return x.row(i); };
  canonical_rows<product>(x.rows, x.cols, row, row, norm);
}

void squared_distance_pairs(vector_view<const float* const> x, const float* const* y, index_t cols, float* d2) {
  pairs<difference>(x, y, cols, d2);
}

void dot_pairs(vector_view<const float* const> x, const float* const* y, index_t cols, float* dot) {
  pairs<product>(x, y, cols, dot);
}

void squared_distance_several(const float* x, vector_view<const float* const> y, index_t cols, float* d2) {
  one_and_several<difference>(x, y, cols, d2);
}

void dot_several(const float* x, vector_view<const float* const> y, index_t cols, float* dot) {
  one_and_several<product>(x, y, cols, dot);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {

HWY_EXPORT(squared_distance_pair);
HWY_EXPORT(dot_pair);
HWY_EXPORT(squared_distance_rows);
HWY_EXPORT(dot_rows);
HWY_EXPORT(squared_norm_rows);
HWY_EXPORT(squared_distance_pairs);
HWY_EXPORT(dot_pairs);
HWY_EXPORT(squared_distance_several);
HWY_EXPORT(dot_several);
HWY_EXPORT(largest);

float canonical_squared_distance(const float* x, const float* y, index_t cols) {
  return HWY_DYNAMIC_DISPATCH(squared_distance_pair)(x, y, cols);
}

float canonical_dot(const float* x, const float* y, index_t cols) {
  return HWY_DYNAMIC_DISPATCH(dot_pair)(x, y, cols);
}

void canonical_squared_distances(matrix_view<const float> x, const float* y, float* d2) {
  HWY_DYNAMIC_DISPATCH(squared_distance_rows)(x, y, d2);
}

void canonical_dots(matrix_view<const float> x, const float* y, float* dot) {
  HWY_DYNAMIC_DISPATCH(dot_rows)(x, y, dot);
}

void canonical_squared_norms(matrix_view<const float> x, float* norm) {
  HWY_DYNAMIC_DISPATCH(squared_norm_rows)(x, norm);
}

void canonical_squared_distances(const float* x, vector_view<const float* const> y, index_t cols, float* d2) {
  HWY_DYNAMIC_DISPATCH(squared_distance_several)(x, y, cols, d2);
}

void canonical_squared_distances(vector_view<const float* const> x, const float* const* y, index_t cols,
                                 float* d2) {
  HWY_DYNAMIC_DISPATCH(squared_distance_pairs)(x, y, cols, d2);
}

void canonical_dots(const float* x, vector_view<const float* const> y, index_t cols, float* dot) {
  HWY_DYNAMIC_DISPATCH(dot_several)(x, y, cols, dot);
}

void canonical_dots(vector_view<const float* const> x, const float* const* y, index_t cols, float* dot) {
  HWY_DYNAMIC_DISPATCH(dot_pairs)(x, y, cols, dot);
}

float largest_size(const float* x, index_t size) { return HWY_DYNAMIC_DISPATCH(largest)(x, size); }

}  // namespace poolwise
#endif
