// One query: rank, keep, diversify, within a budget, in one call.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {

/// What is known of the pool's rows. All parts that are there have the same number of rows.
struct pool_inputs {
  std::optional<real_matrix> model;  ///< [rows, classes]
  outputs model_kind = outputs::logits;
  std::optional<real_cube> committee;  ///< [members, rows, classes]
  outputs committee_kind = outputs::logits;
  std::optional<matrix_view<const float>> embeddings;  ///< [rows, features]
  index_t rows = 0;                                    ///< of the pool

  /// throws, in the name of `call`, shape_error naming the part whose rows differ; value_error for an empty
  /// pool.
  void check(const char* call) const;
};

enum class on_invalid { refuse, skip };

/// What messages call the parts of a request, in the words of those who read them: a command names its options.
struct request_names {
  const char* call = "select";
  const char* outputs = "pool_inputs::model";
  const char* committee = "pool_inputs::committee";
  const char* embeddings = "pool_inputs::embeddings";
  const char* excluded = "selection_request::excluded";
  const char* skip = "on_invalid::skip";
  const char* neighbours = "selection_request::neighbours";
};

struct selection_request {
  strategy what;
  std::span<const index_t> labelled;  ///< rows that have a label: never picked; k-center's first centres
  std::span<const index_t> excluded;  ///< rows that must not be picked
  allowance limit;                    ///< its `barred` and `apart` are filled in by `select`
  std::uint64_t seed = 0;
  std::uint32_t round = 0;  ///< numbers the queries of a campaign; part of the random seed
  on_invalid invalid = on_invalid::refuse;
  /// No pick lies within this distance of another, or of a labelled row, by their embeddings; 0: no duplicates.
  std::optional<float> apart = {};
  /// How a strategy finds neighbours whose picks stand for the pool (facility_location, graph_cut, typiclust).
  /// What is approximate is said in batch::neighbours.
  knn_method neighbours = knn_method::automatic;
  /// Where the strategy diversifies: what it goes on from, and who is told how far it is. The rows in its state
  /// are numbered by the strategy. A checkpoint (checkpoint.hpp) keeps its state in a file.
  batch_run* run = nullptr;
  request_names names = {};
};

struct pick {
  index_t row = 0;
  float score = 0;  ///< of the acquisition; the gain where a diversity strategy ordered the picks
  std::int64_t cost = 0;
  std::string reason;
};

struct batch {
  std::vector<pick> picks;
  index_t skipped_rows = 0;  ///< invalid rows left out under on_invalid::skip, and the first of them
  index_t first_skipped = -1;
  double rank_seconds = 0, diversify_seconds = 0;
  std::optional<knn_report> neighbours = {};  ///< how the strategy found them, if it looks for any

  std::int64_t cost() const;
};

/// Refuses what `select` would refuse before it looks at the values of the arrays. throws as `select`.
void check_request(const pool_inputs& pool, const selection_request& request);

/// Picks a batch from arrays in host memory, on the CPU or by `offload` on GPUs. The same inputs, seed and
/// round give the same batch on any number of threads, or of devices. Between CPU and GPU the picks of
/// diversity are the same; scores differ in their last bits (see `score`), and so may picks that lie as close.
///
/// throws value_error   labelled or excluded rows out of range or repeated; fewer rows available than picks
///                      (with a budget, those that are left are what it can buy);
///                      invalid rows (NaN, +Inf, a wrong sum) under on_invalid::refuse;
///                      cuda{}, which means device memory.
///        usage_error   a part that the strategy needs and the inputs lack.
///        budget_error  when the budget or the quotas buy not a single row.
///        shape_error, no_cuda_error, cuda_error, memory_error.
/// Memory beside the inputs: 5 bytes a row, and what `plan` says for the strategy.
batch select(const where& on, const pool_inputs& pool, const selection_request& request);

}  // namespace poolwise
