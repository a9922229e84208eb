// A rank's rows in ascending order of their numbers.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/cluster/communicator.hpp"
#include "poolwise/cluster/sharded_select.hpp"
#include "poolwise/pool/detail/gather.hpp"

namespace poolwise {

/// The numbers of the shard's rows: where no rank gives them, rows follow each other in the order of ranks.
/// throws cluster_error unless all ranks together have each number once, naming one.
std::vector<index_t> numbers_of_shard(const pool_shard& shard, communicator& all);

/// Ties to the lower row are then ties to the lower number. A copy where the rows do not lie so.
class ordered_shard {
 public:
  /// needed: parts that are looked at
  ordered_shard(cpu on, const pool_shard& shard, parts needed);
  ordered_shard(const ordered_shard&) = delete;
  ordered_shard& operator=(const ordered_shard&) = delete;

  const pool_inputs& pool() const { return pool_; }
  std::span<const index_t> numbers() const { return numbers_; }
  index_t number(index_t row) const { return numbers_[std::size_t(row)]; }
  std::optional<index_t> row_of(index_t number) const;
  std::string id(index_t row) const;

 private:
  pool_inputs pool_;
  const row_ids* ids_;
  std::span<const index_t> numbers_;
  std::vector<index_t> order_, sorted_, labelled_, excluded_;  // where there is a copy
  std::vector<float> labels_;
  std::optional<gathered_pool> copy_;
};

}  // namespace poolwise
