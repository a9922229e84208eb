// One query over a pool whose rows lie on many ranks: the picks of one process.
#pragma once

#include <cstdint>
#include <span>

#include "poolwise/cluster/communicator.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/pool/pool.hpp"
#include "poolwise/query/select.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {

/// The rows of a pool that one rank has; maybe none.
struct pool_shard {
  /// Of these rows alone: `labelled` and `excluded` count within the shard. `ids` name them. What is not by row
  /// (queries, private rows, targets, a cost matrix, names of groups) every rank has in whole. Where there are
  /// no rows the parts may be views of no rows; they have the columns that the others have.
  pool_inputs pool;
  /// The number of each row in the whole pool, from 0 on, each there once in all shards. Ties go to the lower,
  /// as in one process, and draws are by number. In any order; one that does not ascend costs a copy of the
  /// shard.
  std::span<const index_t> numbers = {};
};

/// The batch of `run(on, prepare(spec, whole pool), how)`, the same on every rank: the rows of its picks count
/// in the whole pool. For any number of ranks and any partition the picks, their order, scores and reasons have
/// the same bits.
///
/// All ranks call it with the same spec. They compare it, and the shape of their parts, before anything else.
///
/// throws cluster_error  the same on all ranks: they differ; a number of a row is there twice; a strategy, or a
///                       limit, that is not made over ranks yet; a rank that failed, with what it said.
/// A rank alone throws what `run` throws.
/// how: `checkpoint` is a file that the first rank reads and writes; a run that was ended goes on from there,
/// on any number of ranks, to the same batch. `first_scores` and `numbers` are not looked at.
batch run(const where& on, const pool_shard& shard, const query_spec& spec, communicator& all,
          const query_run& how = {}, const wording& words = {});

/// Whether a strategy can be made over ranks under these limits: empty, or a sentence that says what cannot.
std::string refused_over_ranks(const query_spec& spec);

}  // namespace poolwise
