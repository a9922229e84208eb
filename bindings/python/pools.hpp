// A pool that a table holds: columns under the names of the parts they are.
#pragma once

#include <nanobind/nanobind.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "arrow.hpp"
#include "poolwise/pool/pool.hpp"

namespace poolwise::python {

/// The columns of a table that each part of a pool is.
struct pool_columns {
  std::optional<std::string> ids, outputs, embeddings, cost, group;
  std::vector<std::string> committee;
  poolwise::outputs kind = poolwise::outputs::logits;
};

/// A pool whose parts are looked at where a table holds them. The table is kept, and nothing is copied but
/// costs and groups, and what may be.
class table_pool {
 public:
  /// throws array_error, value_error, shape_error in the name of Pool.
  table_pool(nb::handle table, const pool_columns& columns, bool may_copy);

  /// Adds the parts to `pool`. throws value_error, in the name of `call`, for a part that is there already.
  void give(const char* call, pool_inputs& pool) const;

  index_t rows() const { return table_.rows(); }
  const std::optional<arrow_ids>& ids() const { return ids_; }
  std::string id(index_t row) const { return ids_ ? (*ids_)[row] : std::to_string(row); }
  /// Groups as numbers, or by name; empty without.
  const std::vector<index_t>& groups() const { return groups_; }
  const std::vector<std::string>& group_names() const { return group_names_; }
  std::size_t copied() const;
  std::string parts() const;  ///< "outputs, embeddings"

 private:
  arrow_table table_;
  std::deque<borrowed> arrays_;
  outputs kind_;
  std::optional<real_matrix> model_;
  std::optional<committee_outputs> committee_;
  std::optional<matrix_view<const float>> embeddings_;
  std::vector<index_t> cost_, groups_;
  std::vector<std::string> group_names_;
  std::optional<arrow_ids> ids_;
};

}  // namespace poolwise::python
