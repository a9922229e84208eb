// Products of matrices with the same bits on every CPU target, where BLAS follows the CPU.
#pragma once

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Columns come in whole lines: so many elements of type T.
template <class T>
inline constexpr index_t product_line = 64 / sizeof(T);

/// The columns that hold `cols` of them in whole lines.
template <class T>
constexpr index_t whole_lines(index_t cols) {
  return (cols + product_line<T> - 1) / product_line<T> * product_line<T>;
}

/// Element (i, k) is data[i * row_step + k * inner_step]: a matrix as it lies, or its transpose.
template <class T>
struct left_factor {
  const T* data;
  index_t row_step, inner_step;
};

/// c(i, j) += a(i, 0) b(0, j), then a(i, 1) b(1, j), and so on: every product and every sum is rounded by
/// itself, so that a CPU without fma gives the same bits as fast as it can. An element of c depends on its row
/// of a and its column of b alone.
///
/// b [inner, cols], c [rows, cols]: cols is a multiple of product_line<T>; neither needs alignment. On the
/// calling thread; allocates nothing.
void add_products(left_factor<float> a, matrix_view<const float> b, matrix_view<float> c);
void add_products(left_factor<double> a, matrix_view<const double> b, matrix_view<double> c);

}  // namespace poolwise
