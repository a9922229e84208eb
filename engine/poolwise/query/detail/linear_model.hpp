// A linear model of embeddings, and what a label more would make of it without fitting it again.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// Rows of numbers as a linear model sees them: each times `scale`, with a 1 behind them if there is a bias.
struct design {
  matrix_view<const float> rows;
  double scale = 1;
  bool bias = true;

  index_t width() const { return rows.cols + (bias ? 1 : 0); }
  /// Row i in double; columns from width() on are not written.
  void read(index_t i, double* to) const;
};

/// A symmetric matrix in double, whose rows are `stride` apart: whole lines of add_products.
struct symmetric {
  explicit symmetric(index_t size);
  double& at(index_t i, index_t j) { return values[std::size_t(i * stride + j)]; }
  double at(index_t i, index_t j) const { return values[std::size_t(i * stride + j)]; }
  /// [size, stride]
  matrix_view<const double> view() const { return {values.data(), size, stride}; }

  index_t size, stride;
  std::vector<double> values;
};

/// sum_i weight[i] h_i h_i' over the rows of weight other than 0, in an order that the shape alone decides.
symmetric second_moment(cpu on, const design& h, const std::vector<double>& weight);

/// The inverse of a positive definite matrix, by Cholesky's factor. throws value_error in the name of `call`
/// where it has none in double.
symmetric inverse_of(cpu on, const char* call, symmetric m);

/// a b a.
symmetric sandwich(cpu on, const symmetric& a, const symmetric& b);

/// Calls body(i, h, products) for every row of h: products is the row times m, [m.cols].
template <class Body>
void for_each_product(cpu on, const design& h, matrix_view<const double> m, Body body);

/// Which rows of a stage can be judged and may be asked about: neither barred nor with a value that is not
/// finite.
std::vector<std::uint8_t> rows_that_count(const stage_input& x);

/// Up to `most` of the rows that count, drawn without replacement; ascending.
std::vector<index_t> drawn_rows(const stage_input& x, const std::vector<std::uint8_t>& counts, index_t most);

/// The classes of the labelled rows: whole numbers from 0, -1 where nobody knows it. At least two classes are
/// there. throws value_error in the name of `call` for other labels.
struct labelled_classes {
  std::vector<index_t> of;  ///< [labelled]
  index_t count = 2;
};
labelled_classes classes_of(const char* call, const stage_input& x);

/// What second_moment, inverse_of and sandwich take for rows of so many numbers, with some matrices of them.
std::uint64_t linear_model_bytes(std::uint64_t width, std::uint64_t matrices);

}  // namespace poolwise

#include <algorithm>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/products.hpp"

namespace poolwise {

template <class Body>
void for_each_product(cpu on, const design& h, matrix_view<const double> m, Body body) {
  constexpr index_t block = 32;
  const index_t width = h.width();
  parallel_blocks(holding(on, block * h.rows.cols * index_t(sizeof(float))), h.rows.rows, block,
                  [&](index_t, index_t begin, index_t end) {
                    std::vector<double> read(std::size_t((end - begin) * width));
                    std::vector<double> products(std::size_t((end - begin) * m.cols));
                    for (index_t i = begin; i < end; ++i) h.read(i, read.data() + (i - begin) * width);
                    add_products({read.data(), width, 1}, m, {products.data(), end - begin, m.cols});
                    for (index_t i = begin; i < end; ++i)
                      body(i, read.data() + (i - begin) * width, products.data() + (i - begin) * m.cols);
                  });
}

}  // namespace poolwise
