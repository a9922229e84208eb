// Neighbouring rows of a pool as views.
#pragma once

#include <variant>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Entries begin, ..., end - 1; none of an empty view, which is one that was left out.
template <class T>
vector_view<T> rows_between(vector_view<T> x, index_t begin, index_t end) {
  return x.empty() ? x : vector_view<T>{x.data + begin, end - begin};
}

/// Rows begin, ..., end - 1.
template <class T>
matrix_view<T> rows_between(matrix_view<T> x, index_t begin, index_t end) {
  return {x.row(begin), end - begin, x.cols, x.stride};
}

/// What a row takes.
inline index_t row_bytes(const real_matrix& x) {
  return std::visit([](auto m) { return m.cols * index_t(sizeof(*m.data)); }, x);
}

inline real_matrix rows_between(const real_matrix& x, index_t begin, index_t end) {
  return std::visit([&](auto view) { return real_matrix(rows_between(view, begin, end)); }, x);
}

}  // namespace poolwise
