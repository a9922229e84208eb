// Rows that were looked through: none holds a NaN or an infinity.
#pragma once

#include <concepts>
#include <limits>
#include <string>

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

/// The largest of the sizes of x[0], ..., x[size - 1]; 0 for none; a NaN, or infinite, where a value is.
float largest_size(const float* x, index_t size);

/// Whether none of them is a NaN or an infinity.
inline bool all_finite(const float* x, index_t size) {
  return largest_size(x, size) <= std::numeric_limits<float>::max();
}

/// What scales rows of `cols` values up to `largest` so that fp32 holds their squared distances: the power of
/// two that brings `largest` to [1, 2), or 1 where it holds them as they are. Rows so scaled are exact, but for
/// what is smaller than `largest` by 2^126.
double distance_scale(float largest, index_t cols);

/// "the squared distance of points up to 7e+25 leaves the range of fp32": for a scale that is not 1.
std::string why_scaled(const char* points, float largest);

/// Reads every row of `points`, the argument of `call` of that name, where `on` computes.
/// throws value_error if one holds a NaN or an infinity; it names the first and counts them. no_cuda_error.
/// On a device it waits for the answer; offloaded, the host looks, where the rows are.
finite_rows require_finite(const where& on, const char* call, const char* argument,
                           matrix_view<const float> points);

/// The same for rows whose distances from each other are to be told apart: throws value_error, too, where fp32
/// does not hold these squared. Of rows in the memory of a device that is not found out.
finite_rows require_distances(const where& on, const char* call, const char* argument,
                              matrix_view<const float> points);

/// Rows as a call takes them: a view, which the call looks through once it has refused what else is wrong, or
/// rows that were judged before.
class point_rows {
 public:
  point_rows() = default;
  point_rows(const float* data, index_t rows, index_t cols) : view_{data, rows, cols} {}
  point_rows(const float* data, index_t rows, index_t cols, index_t stride) : view_{data, rows, cols, stride} {}
  template <std::convertible_to<matrix_view<const float>> Rows>
  point_rows(const Rows& rows) : view_(rows), judged_(std::same_as<Rows, finite_rows>) {}

  operator matrix_view<const float>() const { return view_; }
  index_t rows() const { return view_.rows; }
  index_t cols() const { return view_.cols; }
  bool judged() const { return judged_; }

  finite_rows require_finite(const where& on, const char* call, const char* argument) const {
    return judged_ ? finite_rows::judged(view_) : poolwise::require_finite(on, call, argument, view_);
  }
  /// The same where distances are to be told apart.
  finite_rows require_distances(const where& on, const char* call, const char* argument) const {
    return judged_ ? finite_rows::judged(view_) : poolwise::require_distances(on, call, argument, view_);
  }

 private:
  matrix_view<const float> view_;
  bool judged_ = false;
};

}  // namespace poolwise
