// Diversity strategies: how a batch is spread over its candidates. A new one is an entry in diversity.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/graph/knn_method.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

/// What a batch is picked from: candidates, in the order of their pool rows. A part is there where the strategy
/// says that it needs it.
struct diversity_problem {
  where on;
  index_t rows = 0;
  std::optional<real_matrix> model;  ///< [rows, classes]
  outputs model_kind = outputs::logits;
  std::optional<real_cube> committee;  ///< [members, rows, classes]
  outputs committee_kind = outputs::logits;
  matrix_view<const float> embeddings;  ///< [rows, features], finite
  matrix_view<const float> labelled;    ///< [labelled, features], finite: what has a label already
  /// [rows], by which the candidates were kept; empty: they are all rows, or a random sample of them
  vector_view<const float> scores;
  allowance limit;
  std::uint64_t seed = 0;                         ///< of this query alone
  batch_run* run = nullptr;                       ///< as selection_request has it
  knn_method neighbours = knn_method::automatic;  ///< how lists of neighbours are made, and
  std::optional<knn_report>* lists = nullptr;     ///< where it is said how they were
};

/// By what the memory of a strategy grows.
struct diversity_size {
  std::uint64_t rows = 0, features = 0, classes = 0, members = 0, picks = 0, labelled = 0;
  knn_method neighbours = knn_method::exact;  ///< resolved
};

/// A candidate and why it was picked, for people.
struct diverse_pick {
  candidate picked;
  const char* reason;
};

struct diversity {
  const char* name;
  const char* formula;
  const char* source;
  /// What `offload` computes on devices: "all", parts of it (the CPU does the rest), or "refused".
  const char* on_devices;
  bool needs_outputs, needs_committee, needs_embeddings;
  bool begins_with_labelled;  ///< whether `labelled` counts as picked
  bool compares_all_pairs;    ///< whether its time grows with rows^2, not with rows and picks; but for
  bool lists_neighbours;      ///< whether it makes lists of neighbours, by the method that is asked for

  /// Picks in order, rows counting from the first candidate.
  std::vector<diverse_pick> (*pick)(const diversity_problem& problem);
  /// An upper bound on what `pick` allocates, beside what grows with the picks alone.
  std::uint64_t (*bytes)(const diversity_size& size);
};

std::span<const diversity> diversities();

}  // namespace poolwise
