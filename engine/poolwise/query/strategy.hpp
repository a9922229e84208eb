// A strategy: stages that rank or spread rows, and how many rows go from each to the next.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// How many rows a stage leaves to the next. One of the three, or none: all rows.
struct keep_rule {
  index_t rows = 0;      ///< a number of rows, or
  index_t per_pick = 0;  ///< so many for each pick of the batch, or
  double percent = 0;    ///< of the rows that the stage is given

  /// Of `available` rows; never fewer than the picks while there are as many.
  index_t count(index_t picks, index_t available) const;
};

/// One word of a strategy: margin, graph_cut(lambda=4), power(bald, beta=2).
struct stage {
  const strategy_entry* entry = nullptr;
  arguments given = {};
  std::shared_ptr<const stage> inner = {};  ///< the score that it is made of
  std::string text;                         ///< as it was written
  keep_rule keep = {};                      ///< what goes to the next stage; of the last one: nothing to say

  parts needs() const;
};

struct strategy_phase;

struct strategy {
  std::string name;
  std::vector<stage> stages;
  /// Where it changes with the number of labels: all that it is, in order. The stages are those of the last.
  std::vector<strategy_phase> phases = {};

  /// What picks where so many rows have a label: a strategy without phases.
  const strategy& at(index_t labelled) const;

  const stage& first() const { return stages.front(); }
  const stage& last() const { return stages.back(); }
  bool needs(part one) const;  ///< in some phase
  bool does(trait one) const;  ///< whether some stage of the last phase does
  /// The score, where the strategy is one: a single stage that ranks.
  const stage* score() const {
    return phases.empty() && stages.size() == 1 && first().entry->scores() ? &first() : nullptr;
  }
};

/// A strategy while fewer than `below` rows have a label; the last one has any number.
struct strategy_phase {
  index_t below = 0;
  strategy picks;
};

/// Reads stages and what is kept between them: "margin"; "margin/1000/kcenter" (k-center among the 1000 rows of
/// highest margin); "margin/10x/badge" (ten rows for each pick); "margin/50%/bald/20%/typiclust/10x/kcenter". A
/// stage takes parameters by name, and a score that it is made of: "graph_cut(lambda=4)", "power(bald,
/// beta=2)/10x/kcenter". Phases stand in order, each but the last with the number of labels at which it ends:
/// "typiclust@500,margin". throws usage_error that names the nearest known word for an unknown one.
strategy parse_strategy(const std::string& text);

/// The strategy with every parameter that it takes, given or not, as parse_strategy reads it:
/// "power(margin, beta=1)/10x/graph_cut(lambda=2.5, neighbours=32)".
std::string spelled_out(const strategy& what);

/// Refuses a score that the pool's outputs do not have, as energy is of logits alone. The pool has the outputs
/// that the strategy needs. throws usage_error.
void check_scores(const strategy& what, const pool_inputs& pool);

}  // namespace poolwise
