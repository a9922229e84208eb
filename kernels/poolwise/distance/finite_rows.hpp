// Rows that were looked through: none holds a NaN or an infinity.
#pragma once

#include "poolwise/core/rows.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// A view of finite rows. The type is the proof: a call that takes it does not read the rows to find out. It
/// proves nothing of what is written into the rows later.
class finite_rows {
 public:
  /// For a judgement made elsewhere: the caller has looked at every value.
  static finite_rows judged(matrix_view<const float> rows) { return finite_rows(rows); }

  matrix_view<const float> view() const { return view_; }
  operator matrix_view<const float>() const { return view_; }
  index_t rows() const { return view_.rows; }
  index_t cols() const { return view_.cols; }
  const float* row(index_t i) const { return view_.row(i); }

 private:
  explicit finite_rows(matrix_view<const float> view) : view_(view) {}

  matrix_view<const float> view_;
};

inline finite_rows rows_between(finite_rows x, index_t begin, index_t end) {
  return finite_rows::judged(rows_between(x.view(), begin, end));
}

/// Reads every row of `points`, the argument of `call` of that name, where `on` computes.
/// throws value_error if one holds a NaN or an infinity; it names the first and counts them. no_cuda_error.
/// On a device it waits for the answer; offloaded, the host looks, where the rows are.
finite_rows require_finite(const where& on, const char* call, const char* argument,
                           matrix_view<const float> points);

}  // namespace poolwise
