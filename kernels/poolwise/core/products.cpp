#include "poolwise/core/detail/products.hpp"

#include <cstring>

#include "poolwise/core/detail/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/core/products.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

// The vector extension of GCC and Clang: four registers a line where Highway has none.
template <class T>
struct vector_of {
  typedef T type __attribute__((vector_size(16)));
};
template <class T>
using vector = typename vector_of<T>::type;

template <class T>
HWY_INLINE vector<T> load(const T* from) {
  vector<T> x;
  std::memcpy(&x, from, sizeof x);
  return x;
}
template <class T>
HWY_INLINE void store(vector<T> x, T* to) {
  std::memcpy(to, &x, sizeof x);
}
template <class T>
HWY_INLINE vector<T> add_product(vector<T> sum, T a, vector<T> b) {
  return sum + a * b;
}
#else

template <class T>
using tag = hn::CappedTag<T, std::size_t(product_line<T>)>;
template <class T>
using vector = hn::Vec<tag<T> >;

template <class T>
HWY_INLINE vector<T> load(const T* from) {
  return hn::LoadU(tag<T>(), from);
}
template <class T>
HWY_INLINE void store(vector<T> x, T* to) {
  hn::StoreU(x, tag<T>(), to);
}
template <class T>
HWY_INLINE vector<T> add_product(vector<T> sum, T a, vector<T> b) {
  return hn::Add(sum, hn::Mul(hn::Set(tag<T>(), a), b));
}
#endif

inline constexpr int parts = 64 / int(sizeof(vector<float>));  // vectors a line

// Sums in registers: enough independent ones to hide the latency of an addition, and room for the factors.
inline constexpr int accumulators = parts == 1 ? 16 : 8;
inline constexpr int most_rows = 8 / parts;
constexpr int lines_beside(int rows) {
  const int lines = accumulators / (rows * parts);
  return lines < 1 ? 1 : lines > 4 ? 4 : lines;
}

template <int Rows, int Lines, class T>
HWY_INLINE void multiply_tile(left_factor<T> a, matrix_view<const T> b, matrix_view<T> c) {
  constexpr int lanes = int(sizeof(vector<T>) / sizeof(T)), width = Lines * parts;
  vector<T> sum[Rows][width];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < width; ++v) sum[r][v] = load<T>(c.row(r) + v * lanes);
  const T* left = a.data;
  const T* right = b.data;
  for (index_t k = 0; k < b.rows; ++k, left += a.inner_step, right += b.stride) {
    vector<T> of_b[width];
    for (int v = 0; v < width; ++v) of_b[v] = load<T>(right + v * lanes);
    for (int r = 0; r < Rows; ++r)
      for (int v = 0; v < width; ++v) sum[r][v] = add_product<T>(sum[r][v], left[r * a.row_step], of_b[v]);
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < width; ++v) store<T>(sum[r][v], c.row(r) + v * lanes);
}

/// The columns of b and c from `first` on.
template <class T>
HWY_INLINE matrix_view<T> columns_from(matrix_view<T> x, index_t first) {
  return {x.data + first, x.rows, x.cols - first, x.stride};
}

template <int Rows, class T>
HWY_INLINE void multiply_rows(left_factor<T> a, matrix_view<const T> b, matrix_view<T> c) {
  constexpr int lines = lines_beside(Rows);
  index_t j = 0;
  for (; j + lines * product_line<T> <= c.cols; j += lines * product_line<T>)
    multiply_tile<Rows, lines, T>(a, columns_from(b, j), columns_from(c, j));
  for (; j < c.cols; j += product_line<T>) multiply_tile<Rows, 1, T>(a, columns_from(b, j), columns_from(c, j));
}

/// Bands of `Rows` rows, then of half as many.
template <int Rows, class T>
void multiply_bands(left_factor<T> a, matrix_view<const T> b, matrix_view<T> c) {
  index_t i = 0;
  const auto rest = [&] { return left_factor<T>{a.data + i * a.row_step, a.row_step, a.inner_step}; };
  for (; i + Rows <= c.rows; i += Rows)
    multiply_rows<Rows, T>(rest(), b, {c.data + i * c.stride, Rows, c.cols, c.stride});
  if constexpr (Rows > 1)
    multiply_bands<Rows / 2, T>(rest(), b, {c.data + i * c.stride, c.rows - i, c.cols, c.stride});
}

void add_float_products(left_factor<float> a, matrix_view<const float> b, matrix_view<float> c) {
  multiply_bands<most_rows, float>(a, b, c);
}

void add_double_products(left_factor<double> a, matrix_view<const double> b, matrix_view<double> c) {
  multiply_bands<most_rows, double>(a, b, c);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {

HWY_EXPORT(add_float_products);
HWY_EXPORT(add_double_products);

void add_products(left_factor<float> a, matrix_view<const float> b, matrix_view<float> c) {
  HWY_DYNAMIC_DISPATCH(add_float_products)(a, b, c);
}

void add_products(left_factor<double> a, matrix_view<const double> b, matrix_view<double> c) {
  HWY_DYNAMIC_DISPATCH(add_double_products)(a, b, c);
}

}  // namespace poolwise
#endif
