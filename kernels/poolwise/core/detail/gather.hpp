// Copies of some rows of a matrix.
#pragma once

#include <span>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// Appends.
template <class T>
void gather_into(cpu on, matrix_view<const T> x, std::span<const index_t> rows, std::vector<T>& out) {
  for (const index_t row : rows) {
    out.insert(out.end(), x.row(row), x.row(row) + x.cols);
    settle_far_pages(on);
  }
}

template <class T>
std::vector<T> gather(cpu on, matrix_view<const T> x, std::span<const index_t> rows) {
  std::vector<T> out;
  out.reserve(rows.size() * std::size_t(x.cols));
  gather_into(on, x, rows, out);
  return out;
}

}  // namespace poolwise
