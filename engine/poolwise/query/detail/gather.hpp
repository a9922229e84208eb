// Copies of some rows of what a pool holds.
#pragma once

#include <algorithm>
#include <span>
#include <tuple>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

template <class T>
std::vector<T> gather(vector_view<const T> values, std::span<const index_t> rows) {
  std::vector<T> out;
  if (values.empty()) return out;
  out.reserve(rows.size());
  for (const index_t row : rows) out.push_back(values[row]);
  return out;
}

template <class T>
std::vector<T> gather(cpu on, matrix_view<const T> x, std::span<const index_t> rows) {
  std::vector<T> out(rows.size() * std::size_t(x.cols));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(x.row(rows[i]), x.cols, out.data() + i * std::size_t(x.cols));
    settle_pages(on);
  }
  return out;
}

template <class T>
std::vector<T> gather(cpu on, cube_view<const T> x, std::span<const index_t> rows) {
  std::vector<T> out;
  out.reserve(std::size_t(x.members) * rows.size() * std::size_t(x.cols));
  for (index_t m = 0; m < x.members; ++m)
    for (const index_t row : rows) {
      const T* const begin = x.member(m).row(row);
      out.insert(out.end(), begin, begin + x.cols);
      settle_pages(on);
    }
  return out;
}

/// Some rows of model outputs, in the precision that these have.
class gathered_outputs {
 private:
  template <class T>
  const T* keep(std::vector<T> copy) {
    return (std::get<std::vector<T>>(values_) = std::move(copy)).data();
  }

  std::tuple<std::vector<float>, std::vector<float16>, std::vector<bfloat16>> values_;

 public:
  real_matrix rows_of(cpu on, const real_matrix& x, std::span<const index_t> rows) {
    return std::visit(
        [&](auto m) -> real_matrix {
          m.data = keep(gather(on, m, rows));
          m.rows = index_t(rows.size());
          m.stride = m.cols;
          return m;
        },
        x);
  }

  real_cube rows_of(cpu on, const real_cube& x, std::span<const index_t> rows) {
    return std::visit(
        [&](auto c) -> real_cube {
          c.data = keep(gather(on, c, rows));
          c.rows = index_t(rows.size());
          return c;
        },
        x);
  }
};

}  // namespace poolwise
