// What a strategy is made of: a value that names it, says where it comes from and what it needs, and picks or
// scores.
//
// Each strategy, or family of them, is one file in strategies/. Lists, help, docstrings, shell completion and
// the tests that go over all strategies are made of the entries.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/committee/committee.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/rank_group.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/graph/knn_method.hpp"
#include "poolwise/pool/pool.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

/// What a parameter may be.
struct parameter_range {
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  bool least_is_out = false;  ///< whether `least` itself is too small
  bool whole = false;         ///< whether it counts something
};
constexpr parameter_range at_least(double least) { return {.least = least}; }
constexpr parameter_range above(double least) { return {.least = least, .least_is_out = true}; }
constexpr parameter_range between(double least, double most) { return {least, most}; }
constexpr parameter_range whole_from(double least) { return {.least = least, .most = 0x1p53, .whole = true}; }

/// Which numbers the range holds, as "at least 2", where `value` is none of them; else nothing.
std::string needed_instead(const parameter_range& range, double value);

/// A number that a strategy can be given, as in graph_cut(lambda=4).
struct parameter {
  const char* name;
  double standard;  ///< where none is given
  parameter_range range;
  const char* meaning;
};

struct strategy_entry;
struct stage;
struct query_spec;

/// The parameters of a strategy as they were given, and the standard of those that were not.
class arguments {
 public:
  arguments() = default;
  explicit arguments(const strategy_entry& of);

  double operator[](std::string_view name) const;
  index_t count(std::string_view name) const { return index_t((*this)[name]); }
  /// throws usage_error, which begins with `opening`, for a parameter or a value that the strategy does not
  /// take.
  void set(const std::string& opening, std::string_view name, double value);

 private:
  std::span<const parameter> of_;
  std::vector<double> values_;
};

/// Some rows of a pool, as a stage of a query sees them.
struct stage_input {
  where on;
  const query_spec* asked;  ///< by the query
  const stage* what;        ///< with its parameters
  pool_inputs pool;         ///< of these rows, the parts that the stage needs
  /// Their numbers in the whole pool; empty: `first_row` and those behind it.
  std::span<const index_t> pool_rows = {};
  index_t first_row = 0;

  double unit = 1;  ///< a distance of 1 as it was given, where the embeddings were scaled

  vector_view<const float> known = {};  ///< [rows] what the stage scores them; empty: it is to be asked

  const pool_inputs* whole = nullptr;      ///< all rows of the pool, the labelled ones among them
  matrix_view<const float> labelled = {};  ///< [labelled, features], finite: what has a label already
  vector_view<const float> labels = {};    ///< [labelled]; NaN where it is not known; empty where none is
  // For those that pick:
  vector_view<const float> scores = {};  ///< [rows], by which they were kept; empty: by no score
  allowance limit = {};
  std::optional<knn_report>* lists = nullptr;   ///< where a stage says how it made lists of neighbours
  std::vector<std::string>* remarks = nullptr;  ///< what was not quite as asked; null where nobody reads it
  /// Where a stage picks two batches of the same rows, it may keep for the second what it made for the first.
  std::shared_ptr<const void>* made = nullptr;

  index_t rows() const { return pool.rows; }
  /// The embeddings of these rows, which have been judged.
  finite_rows points() const { return finite_rows::judged(*pool.embeddings); }
  index_t pool_row(index_t i) const { return pool_rows.empty() ? first_row + i : pool_rows[std::size_t(i)]; }
};

/// Of this query alone: every round draws afresh, whatever the seed of the campaign.
std::uint64_t query_seed(const query_spec& asked);

/// By what the memory of a strategy grows.
struct strategy_size {
  std::uint64_t rows = 0, features = 0, classes = 0, members = 0, picks = 0, labelled = 0;
  std::uint64_t beside = 0;                   ///< rows beside the pool that it looks at: queries, private ones
  std::uint64_t outputs = 0, targets = 0;     ///< of a prediction; rows to be predicted
  knn_method neighbours = knn_method::exact;  ///< resolved
  const arguments* given = nullptr;
};

/// The scores by which the rows of `x` were kept, for strategies that multiply by them; where some are
/// negative, by how much each exceeds the least. Empty where no score kept them.
std::vector<float> row_worths(const stage_input& x);

/// The worth of picks whose scores are what each adds to it.
double total_gain(const stage_input& x, const std::vector<candidate>& picks);

/// What a strategy may do.
enum class trait : unsigned {
  takes_score = 1,       ///< it is made of a score, as power(margin)
  counts_labelled = 2,   ///< it looks at the labelled rows, and at their labels if it needs these
  lists_neighbours = 4,  ///< it makes lists of neighbours, by the method that is asked for
  draws = 8,             ///< its scores are drawn, and say nothing about a row's worth
  leaves_gains = 16,     ///< it says what each row left would add to its batch (batch_run::gains_left)
  compares_rows = 32,    ///< a row's score depends on the others: it is asked for all rows of the stage at once
};
using traits = bit_set<trait>;
constexpr traits operator|(trait a, trait b) { return traits(a) | b; }

struct strategy_entry {
  const char* name;
  /// "acquisition" (it scores rows), "disagreement" (it scores by a committee) or "diversity" (it picks).
  const char* kind;
  const char* formula;
  const char* source;
  /// What `offload` computes on devices: "all", parts of it (the CPU does the rest), "refused", or "none": it
  /// goes with any device.
  const char* on_devices = "all";
  parts needs = {};
  const char* needs_instead = nullptr;  ///< how people read it, where the names of the parts say too little
  traits does = {};
  std::vector<parameter> parameters = {};
  std::vector<const char*> aliases = {};  ///< by which others know it; case, - and _ do not count

  /// One number per row of the stage, larger = sooner; NaN where a row cannot be judged. Empty for those that
  /// pick.
  std::function<void(const stage_input& x, vector_view<float> scores)> score = {};
  /// Which acquisition it is, so that no score need reach memory; or which disagreement, so that several share
  /// a read.
  std::optional<acquisition> fused = {};
  std::optional<disagreement> disagrees = {};

  /// Picks in order, rows counting from the first of the stage, as those of `run` do. Empty for those that
  /// score.
  std::vector<candidate> (*pick)(const stage_input& x, batch_run& run) = nullptr;
  /// The same where x is one rank's rows and x.pool_rows their numbers, which the picks are, too. Null: it is
  /// not made over ranks.
  std::vector<candidate> (*pick_over_ranks)(const stage_input& x, const rank_group& ranks,
                                            batch_run& run) = nullptr;
  const char* reason = nullptr;     ///< for a pick, as people read it
  const char* estimated = nullptr;  ///< what is added for picks behind the first run.exact
  /// How good a batch of `pick` is, which can pick by gain per unit of cost, too: larger is better. Null for a
  /// strategy that picks by gain alone.
  double (*worth)(const stage_input& x, const std::vector<candidate>& picks) = nullptr;
  /// An upper bound on what it allocates, beside what grows with the picks alone; null for nothing.
  std::uint64_t (*bytes)(const strategy_size& size) = nullptr;

  bool scores() const { return bool(score); }
  std::string needs_text() const;
  /// The shortest strategy that has it: its name, or power(margin).
  std::string example() const;
};

/// All of them: acquisitions, disagreements, strategies of diversity.
std::span<const strategy_entry> strategies();

}  // namespace poolwise
