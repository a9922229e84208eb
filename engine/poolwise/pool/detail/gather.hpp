// Copies of some rows of what a pool holds.
#pragma once

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "poolwise/core/detail/gather.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/pool/pool.hpp"

namespace poolwise {

template <class T>
std::vector<T> gather(vector_view<const T> values, std::span<const index_t> rows) {
  std::vector<T> out;
  if (values.empty()) return out;
  out.reserve(rows.size());
  for (const index_t row : rows) out.push_back(values[row]);
  return out;
}

/// Model outputs in copies, in the precision that these have.
class gathered_outputs {
 public:
  real_matrix rows_of(cpu on, const real_matrix& x, std::span<const index_t> rows);

  /// Some rows of every member, in one array.
  real_cube rows_of(cpu on, const committee_outputs& x, std::span<const index_t> rows);

  /// All rows of all members in one array: a copy, unless they lie so.
  real_cube cube_of(cpu on, const committee_outputs& x);

 private:
  std::variant<std::vector<float>, std::vector<float16>, std::vector<bfloat16>> values_;
};

/// Some rows of a pool in copies. What is not by row, and the labelled and excluded rows, are left out.
class gathered_pool {
 public:
  /// rows    ascending
  /// needed  the parts that are copied
  gathered_pool(cpu on, const pool_inputs& pool, std::vector<index_t> rows, parts needed);
  gathered_pool(gathered_pool&&) = default;
  gathered_pool& operator=(gathered_pool&&) = default;

  const pool_inputs& view() const { return view_; }
  /// Their numbers in `pool`.
  const std::vector<index_t>& rows() const { return rows_; }

 private:
  std::vector<index_t> rows_;
  gathered_outputs model_, committee_, label_outputs_;
  std::vector<float> embeddings_, predictions_;
  std::vector<std::int64_t> cost_;
  std::vector<std::vector<std::int64_t>> also_cost_;
  std::vector<index_t> group_;
  pool_inputs view_;
};

/// What a row of those parts takes in a gathered_pool.
std::uint64_t row_bytes(const pool_inputs& pool, parts needed);

/// Neighbouring rows where they lie, with the parts `needed`. Members of a committee then lie apart from each
/// other. throws nothing; predictions cannot be cut and are left out, unless all rows are asked for.
pool_inputs rows_between(const pool_inputs& pool, index_t begin, index_t end, parts needed);

}  // namespace poolwise
