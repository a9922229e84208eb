// Floors where a stage keeps rows for the next.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// What a stage keeps for a batch of `limit`, which has floors: of each group as large a share of the kept rows
/// as its floor is of the picks. So the next stages have a choice of rows by which they meet it.
class floors_on_the_way {
 public:
  /// barred  [rows] non-zero: never kept
  floors_on_the_way(const allowance& limit, std::vector<std::uint8_t> barred, index_t kept);
  floors_on_the_way(const floors_on_the_way&) = delete;
  floors_on_the_way& operator=(const floors_on_the_way&) = delete;

  /// For the stage that keeps them.
  const allowance& limit() const { return limit_; }

  /// Adds the rows that meet the floors within the budgets, unless they are there. Their scores are [rows], or
  /// none.
  void add_reserve(std::vector<candidate>& kept, vector_view<const float> scores = {}) const;

 private:
  const allowance& of_batch_;
  std::vector<std::uint8_t> barred_;
  std::vector<index_t> floor_;
  allowance limit_;
};

/// The rows of a score that a stage keeps then; a NaN is no candidate.
std::vector<candidate> best_with_floors(cpu on, vector_view<const float> scores, const allowance& limit,
                                        index_t kept);

}  // namespace poolwise
