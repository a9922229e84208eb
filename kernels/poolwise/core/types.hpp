// Views: how every kernel sees its numbers. They own nothing and are as cheap to pass as a pointer.
#pragma once

#include <cstdint>
#include <variant>

#include "poolwise/core/half.hpp"

namespace poolwise {

/// Rows, columns and offsets are 64-bit everywhere: pools pass 2^31 elements.
using index_t = std::int64_t;

/// `size` neighbouring values.
template <class T>
struct vector_view {
  T* data = nullptr;
  index_t size = 0;

  POOLWISE_HD T& operator[](index_t i) const { return data[i]; }
  POOLWISE_HD T* begin() const { return data; }
  POOLWISE_HD T* end() const { return data + size; }
  POOLWISE_HD bool empty() const { return size == 0; }
  POOLWISE_HD operator vector_view<const T>() const { return {data, size}; }
};

/// [rows, cols], row-major; `stride` elements lie between the starts of neighbouring rows.
template <class T>
struct matrix_view {
  T* data = nullptr;
  index_t rows = 0, cols = 0;
  index_t stride = cols;

  POOLWISE_HD T* row(index_t i) const { return data + i * stride; }
  POOLWISE_HD T& operator()(index_t i, index_t j) const { return data[i * stride + j]; }
  POOLWISE_HD operator matrix_view<const T>() const { return {data, rows, cols, stride}; }
};

/// [members, rows, cols], row-major and dense: one matrix per committee member.
template <class T>
struct cube_view {
  T* data = nullptr;
  index_t members = 0, rows = 0, cols = 0;

  POOLWISE_HD matrix_view<T> member(index_t k) const { return {data + k * rows * cols, rows, cols}; }
  POOLWISE_HD operator cube_view<const T>() const { return {data, members, rows, cols}; }
};

/// Model outputs in the precision they were written in; every kernel computes in fp32.
using real_matrix =
    std::variant<matrix_view<const float>, matrix_view<const float16>, matrix_view<const bfloat16>>;
using real_cube = std::variant<cube_view<const float>, cube_view<const float16>, cube_view<const bfloat16>>;

inline index_t rows_of(const real_matrix& x) {
  return std::visit([](auto m) { return m.rows; }, x);
}
inline index_t cols_of(const real_matrix& x) {
  return std::visit([](auto m) { return m.cols; }, x);
}

inline index_t members_of(const real_cube& x) {
  return std::visit([](auto c) { return c.members; }, x);
}
inline index_t rows_of(const real_cube& x) {
  return std::visit([](auto c) { return c.rows; }, x);
}
inline index_t cols_of(const real_cube& x) {
  return std::visit([](auto c) { return c.cols; }, x);
}

}  // namespace poolwise
