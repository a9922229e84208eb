// Rows of a pool that are read again and again.
#pragma once

#include <vector>

#include "poolwise/core/detail/gather.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// Some rows where they lie or, under a ceiling, in copies: one that lies far from the others can bring a large
/// page of its file each time that it is read.
class rows_at_hand {
 public:
  rows_at_hand(cpu on, matrix_view<const float> points) : on_(on), points_(points) {}
  rows_at_hand(cpu on, matrix_view<const float> points, const std::vector<index_t>& rows)
      : rows_at_hand(on, points) {
    for (const index_t row : rows) add(row);
  }

  void add(index_t row) {
    in_pool_.push_back(row);
    numbers_.push_back(copies() ? index_t(numbers_.size()) : row);
    if (copies()) gather_into(on_, points_, {&row, 1}, copied_);
  }
  void clear() {
    in_pool_.clear();
    numbers_.clear();
    copied_.clear();
  }

  index_t count() const { return index_t(in_pool_.size()); }
  const std::vector<index_t>& in_pool() const { return in_pool_; }

  /// Their numbers in view().
  const std::vector<index_t>& numbers() const { return numbers_; }
  matrix_view<const float> view() const {
    return copies() ? matrix_view<const float>{copied_.data(), count(), points_.cols} : points_;
  }

  /// One value a row, by the same numbers; `room` holds a copy.
  vector_view<const double> values(vector_view<const double> of_pool, std::vector<double>& room) const {
    if (!copies()) return of_pool;
    for (const index_t row : in_pool_) room.push_back(of_pool[row]);
    return {room.data(), count()};
  }

  /// Those behind the first `skipped`.
  std::vector<const float*> addresses(std::size_t skipped = 0) const {
    std::vector<const float*> at;
    at.reserve(numbers_.size() - skipped);
    for (std::size_t i = skipped; i < numbers_.size(); ++i) at.push_back(view().row(numbers_[i]));
    return at;
  }

 private:
  bool copies() const { return on_.pages != nullptr; }

  cpu on_;
  matrix_view<const float> points_;
  std::vector<index_t> in_pool_, numbers_;
  std::vector<float> copied_;
};

}  // namespace poolwise
