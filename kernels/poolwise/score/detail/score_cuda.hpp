// Row scores on a CUDA device. Views lie in device memory; nothing waits.
#pragma once

#include <cstdint>
#include <span>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

class device_memory;

/// A row, or a part of it, after one read; see fold_cuda.cuh. One of its largest elements is in none of the
/// sums. Logits: of e^d and of e^d d / ln 2 with d = z - largest. Probabilities, or their sizes: of p and of p
/// log2 p.
struct row_state {
  float largest, second;
  float rest, weighted;
  std::int32_t argmax;  // the first column with the largest, where it was asked for
};

/// A row's normaliser, as row_state-inl.hpp has it, and two scores. All but `largest` are NaN for a row without
/// a distribution.
struct row_record {
  float largest, scale;
  float entropy, least_confidence;
};

/// The same rows of one or more committee members.
template <class T>
struct member_rows {
  const T* data;
  index_t rows, cols, stride;
  index_t members = 1, member_stride = 0;

  explicit member_rows(matrix_view<const T> x) : data(x.data), rows(x.rows), cols(x.cols), stride(x.stride) {}
  explicit member_rows(cube_view<const T> x)
      : data(x.data),
        rows(x.rows),
        cols(x.cols),
        stride(cols),
        members(x.members),
        member_stride(rows * cols) {}

  POOLWISE_HD matrix_view<const T> member(index_t k) const {
    return {data + k * member_stride, rows, cols, stride};
  }
};

void score_cuda(const cuda& on, const real_matrix& x, outputs kind, std::span<const acquisition> which,
                matrix_view<float> scores);

void output_gradient_cuda(const cuda& on, const real_matrix& x, outputs kind, matrix_view<float> a);

/// How many rows to record at a time: few enough that the reader of the records finds the rows in the cache,
/// and that they fit into the memory beside `bytes_per_row` of the caller's.
template <class T>
index_t record_tile_rows(const member_rows<T>& x, index_t bytes_per_row, const device_memory& memory);

/// records[k * rows + i] = that of row i of member k, argmax[...] = its predicted class, unless `argmax` is
/// null.
template <class T>
void record_rows_cuda(device_memory& memory, const member_rows<T>& x, outputs kind, row_record* records,
                      std::int32_t* argmax);

/// The rows [first, first + rows) of all members.
template <class T>
member_rows<T> rows_from(member_rows<T> x, index_t first, index_t rows) {
  x.data += first * x.stride;
  x.rows = rows;
  return x;
}

}  // namespace poolwise
