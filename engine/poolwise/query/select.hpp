// One query: rank, keep, diversify, within a budget, in one call.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/graph/knn_method.hpp"
#include "poolwise/pool/pool.hpp"
#include "poolwise/query/plan.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {

struct pick {
  index_t row = 0;
  std::string id;   ///< as the pool calls the row
  float score = 0;  ///< of the acquisition; the gain where a diversity strategy ordered the picks
  std::int64_t cost = 0;
  std::string reason;
  std::vector<float> kept_by;  ///< the scores by which it was kept, one for each of batch::kept_by
  std::vector<std::int64_t> also_cost = {};  ///< one for each of batch::also_cost
};

struct batch {
  std::vector<pick> picks;
  std::string strategy = {};                ///< by which they were picked, spelled_out
  std::vector<std::string> kept_by = {};    ///< the stages before the last that scored rows, in order
  std::vector<std::string> also_cost = {};  ///< the names of pool_inputs::also_cost, in order
  index_t skipped_rows = 0;  ///< invalid rows left out under on_invalid::skip, and the first of them
  index_t first_skipped = -1;
  double rank_seconds = 0, diversify_seconds = 0;
  std::optional<knn_report> neighbours = {};  ///< how the strategy found them, if it looks for any
  /// Where a budget decided between scores: at least this share of the highest total score that it buys. Of
  /// facility_location, graph_cut and probcover under a budget or floors: of what the best batch of the rows
  /// that they chose among is worth beside the labelled ones. Of gist at any time.
  std::optional<double> of_optimum = {};
  /// Sentences on what was not quite as asked: fewer picks, more candidates.
  std::vector<std::string> remarks = {};

  std::int64_t cost() const;
  /// All picks together, of also_cost[which].
  std::int64_t cost(std::size_t which) const;
};

/// How a query is run, which the picks do not depend on.
struct query_run {
  /// Bytes that the query may take beside the mapped inputs, those that the caller `holds` among them; 0: any
  /// number.
  std::uint64_t ceiling = 0, held = 0;
  /// Keeps the picks so far: a run that was ended goes on from there. It stays when the run is over, until the
  /// caller has the batch safe and removes it. Empty: none. Scores alone, typiclust and others pick at once,
  /// and keep nothing.
  std::filesystem::path checkpoint = {};
  /// [rows] What the first stage, which scores rows, says of each of them: it is not asked then, and reads
  /// nothing. The first rows that are NaN must be there to say why. Empty: it is not known.
  vector_view<const float> first_scores = {};
  /// [rows] what draws and checkpoints call the rows, ascending, where the pool is a part of one. Empty: their
  /// places.
  std::span<const index_t> numbers = {};
  /// Not null where the pool is a part of one: a batch that is short stays so, and of the rows that were kept
  /// for the last stage those that it has not picked are written there.
  std::vector<index_t>* left_over = nullptr;
  /// Called where picks of an earlier run are gone on from, and after every pass that made picks. Rows are the
  /// pool's.
  std::function<void(const batch_state&)> resumed = {}, advanced = {};
};

/// Picks a batch from arrays in host memory, on the CPU or by `offload` on GPUs. The same pool, spec and round
/// give the same batch on any number of threads, or of devices. Between CPU and GPU the picks of diversity are
/// the same; scores differ in their last bits (see `score`), and so may picks that lie as close.
///
/// A budget that cannot bind changes nothing. One that can decides between scores as best_affordable does. Of
/// strategies of diversity the batch picked by gain is compared with that by gain per unit of cost, and the
/// better taken: of facility_location, graph_cut, probcover and batchbald, whose worth is monotone and
/// submodular, that is at least (1 - 1/e) / 2 = .316 of the optimum if the number of picks does not bind
/// (Leskovec et al. 2007); of kcenter and weighted_kcenter it is the smaller radius, with no such factor;
/// badge, dpp and typiclust pick by gain alone and pass over what is too dear.
///
/// Floors are met, and every stage keeps as large a share of each group as its floor is of the picks. Without a
/// budget a batch of these four is then, as with quotas, at least 1/2 of the optimum (Fisher et al. 1978); with
/// one beside floors or quotas no factor is known. Where rows that cannot be judged, or that lie too near,
/// leave a floor unmet, a remark says so.
///
/// No batch is shorter than asked while a row is left that the
/// limits allow: where candidates were kept and none of them is allowed any more, the query is made again of
/// the other rows, with the picks so far as labelled ones. A batch that is shorter comes with a remark.
///
/// throws value_error   invalid rows (NaN, +Inf, a wrong sum) under on_invalid::refuse; cuda{}, which means
///                      device memory; more memory than the ceiling.
///        budget_error  when the limits allow not a single row.
///        shape_error, no_cuda_error, cuda_error, memory_error; of a checkpoint what checkpoint.hpp throws.
/// All rows of the parts that the strategy needs are judged, each part once, those of rows that are not kept as
/// well. Scores are kept or passed over as they are made: where the last stage is a score under a budget, or a
/// committee lies in one array, they take 4 bytes a row; else none does. Memory beside the inputs: 2 bytes a
/// row, and what `plan` says.
batch run(const where& on, const query& asked, const query_run& how = {});

/// plan_memory, or a refusal where that is more than the ceiling. throws value_error.
query_plan plan_within(const where& on, const query& asked, const query_run& how);

/// prepare and run.
batch select(const where& on, const pool_inputs& pool, const query_spec& spec);

}  // namespace poolwise
