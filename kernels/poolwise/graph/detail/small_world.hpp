// FAISS's HNSW over canonical distances.
#pragma once

#include <cstdint>
#include <memory>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/graph/detail/neighbour_lists.hpp"

namespace poolwise {

/// Points linked with some that are near them, on levels of ever fewer points: a walk along the links ends near
/// where it should (Malkov & Yashunin 2018). The links are the same on every machine: one thread makes them.
class small_world {
 public:
  static constexpr index_t most_rows = 0x7fffffff;  // FAISS numbers them so

  /// `points` must outlive this where its rows lie without padding; else they are copied.
  small_world(matrix_view<const float> points, index_t links, index_t breadth_of_making);
  ~small_world();
  small_world(const small_world&) = delete;
  small_world& operator=(const small_world&) = delete;

  /// The nearest neighbours that a walk finds which keeps the best `breadth` points; i of the lists is of point
  /// rows[i], or of point i where `rows` is empty. The same for any number of threads.
  void search(cpu on, vector_view<const index_t> rows, index_t breadth, const neighbour_lists& to);

 private:
  struct index;
  std::unique_ptr<index> index_;
};

}  // namespace poolwise
