// What a query over ranks is: which is refused, and what ranks compare before it.
#pragma once

#include <cstdint>
#include <string>

#include "poolwise/cluster/communicator.hpp"
#include "poolwise/cluster/detail/ordered_shard.hpp"
#include "poolwise/cluster/sharded_select.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {

/// " is not made over ranks yet; ..."
std::string not_made_over_ranks();

/// Empty, or why the strategy is not made over ranks under the limits of the spec.
std::string refused_over_ranks(const query_spec& spec, const strategy& what);

/// The facts that all ranks have in common.
common_facts facts_of(const where& on, const pool_shard& shard, const query_spec& spec, const query_run& how);

/// Of all that the picks depend on, whatever rank has which row.
std::uint64_t fingerprint_of_ranks(const where& on, const ordered_shard& shard, const pool_inputs& pool,
                                   const query_spec& spec, parts needed, communicator& all);

}  // namespace poolwise
