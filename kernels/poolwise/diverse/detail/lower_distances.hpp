// A pass over a pool that takes the minimum of every row's squared distance and those to some new centres.
#pragma once

#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// Lowers distances of the rows of one matrix, pass after pass.
///
/// A tile of rows meets all centres while it is in the cache. The products x.c of a pair, made by dot_table,
/// say by how much |x|^2 + |c|^2 - 2 x.c can lie from the canonical distance; where that leaves open whether
/// the pair lowers the row's distance, the canonical distance decides. What is written has its bits in every
/// case.
class distance_sweeper {
 public:
  distance_sweeper(cpu on, matrix_view<const float> points) : on_(on), points_(points) {}

  /// distance[i] = min(distance[i], canonical squared distance of row i to each of the rows `centers`). A
  /// negative distance[i] stays.
  void lower(const std::vector<index_t>& centers, float* distance);

 private:
  void lower_by_products(const std::vector<index_t>& centers, float* distance);
  void lower_directly(const std::vector<index_t>& centers, float* distance);

  cpu on_;
  matrix_view<const float> points_;
  bool products_pay_ = true;
};

}  // namespace poolwise
