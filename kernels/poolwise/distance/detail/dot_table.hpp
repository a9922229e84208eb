// Canonical dot products of many rows with many others: as fast as a matrix product, with the bits of the
// canonical tree.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {

/// Allocates whole cache lines.
template <class T>
struct line_allocator {
  using value_type = T;
  static constexpr std::align_val_t line{64};
  line_allocator() = default;
  template <class U>
  explicit line_allocator(const line_allocator<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), line)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, line); }
  friend bool operator==(line_allocator, line_allocator) { return true; }
};

/// Copies of rows in the order in which dot_table reads them: `group` rows side by side, sixteen columns of
/// each after the other, then the next sixteen. Zeros fill the last columns and, at first, the last rows: they
/// add nothing to a dot product.
class packed_rows {
 public:
  /// Room for `most` rows of `cols` columns.
  packed_rows(index_t cols, index_t most, index_t group)
      : cols_(cols),
        steps_((cols + canonical_lanes - 1) / canonical_lanes),
        group_(group),
        values_(std::size_t((most + group - 1) / group * group * steps_ * canonical_lanes)) {}

  void clear() { rows_ = 0; }
  void add(const float* row) {
    float* to = values_.data() + rows_ / group_ * group_floats() + rows_ % group_ * canonical_lanes;
    index_t c = 0;
    for (; c + canonical_lanes <= cols_; c += canonical_lanes, to += group_ * canonical_lanes)
      std::copy_n(row + c, canonical_lanes, to);
    std::copy(row + c, row + cols_, to);
    ++rows_;
  }

  /// Takes `rows` rows whose columns come by `step`.
  void resize(index_t rows) { rows_ = rows; }

  /// Columns 16 s, ..., 16 s + 15 of the rows of group g, side by side.
  float* step(index_t g, index_t s) {
    return values_.data() + g * group_floats() + s * group_ * canonical_lanes;
  }

  index_t rows() const { return rows_; }
  index_t steps() const { return steps_; }
  index_t groups() const { return (rows_ + group_ - 1) / group_; }
  index_t group_floats() const { return group_ * steps_ * canonical_lanes; }
  const float* group(index_t g) const { return values_.data() + g * group_floats(); }

 private:
  index_t cols_, steps_, group_;
  std::vector<float, line_allocator<float>> values_;
  index_t rows_ = 0;
};

/// How the rows are grouped on the two sides of dot_table.
inline constexpr index_t left_group = 12, right_group = 4;

/// table[i * stride + j] = canonical_dot of rows i of x and j of y, over as many columns as y has; x may have
/// more, if those of y are a multiple of sixteen. `table` is [x.rows() rounded up to a
/// multiple of left_group, stride]; `stride` is at least y.rows() rounded up to a multiple of right_group.
void dot_table(const packed_rows& x, const packed_rows& y, float* table, index_t stride);

}  // namespace poolwise
