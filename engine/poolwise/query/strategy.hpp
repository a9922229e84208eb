// A strategy: which score, how many candidates are kept by it, and how a diverse batch is made of them.
#pragma once

#include <span>
#include <string>
#include <variant>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/query/diversity.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

struct random_score {};  ///< uniform by (seed, row): the best k are a uniform sample without replacement

/// What ranks the pool. `monostate`: nothing, every row is a candidate.
using ranking = std::variant<std::monostate, random_score, acquisition, disagreement>;

/// How many of the best-ranked rows become candidates.
struct keep_rule {
  index_t rows = 0;      ///< a number of rows, or
  index_t per_pick = 0;  ///< so many for each pick of the batch; both 0: all of them

  index_t count(index_t picks, index_t pool) const;
};

struct strategy {
  std::string name;
  ranking rank_by;
  keep_rule keep;
  const diversity* diversify = nullptr;  ///< none: the batch is the best-ranked rows

  bool needs_outputs() const;     ///< logits or probabilities, [rows, classes]
  bool needs_committee() const;   ///< [members, rows, classes]
  bool needs_embeddings() const;  ///< [rows, features]
};

/// Reads "margin", "kcenter", "margin/1000/kcenter" (rank by margin, keep the best 1000, k-center among them)
/// or "margin/10x/badge" (keep ten for each pick).
/// throws usage_error that names the nearest known word for an unknown one.
strategy parse_strategy(const std::string& text);

/// The words a strategy is made of, for lists and help.
struct strategy_entry {
  const char* name;
  const char* kind;  ///< "acquisition", "disagreement" or "diversity"
  const char* formula;
  std::string needs;
  const char* source;
  const char* on_devices;  ///< as `diversity` has it; "none" for random, which goes with any device
  ranking rank_by;
  const diversity* diversify;
};
std::span<const strategy_entry> strategy_entries();

}  // namespace poolwise
