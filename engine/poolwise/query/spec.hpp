// One query, described once: the command, Python, the loop and the ledger all fill in the same value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/budget/infeasible.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/graph/knn_method.hpp"
#include "poolwise/pool/pool.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {

enum class on_invalid { refuse, skip };

/// By what rows are near: their distance, or the angle between them. By the cosine all embeddings are scaled to
/// length 1 before anything looks at them, and a distance d then means a cosine of 1 - d^2 / 2.
enum class metric { euclidean, cosine };
const char* name_of(metric by);
metric parse_metric(const std::string& text);  ///< throws usage_error

/// What all picks together may cost of one of pool_inputs::also_cost.
struct named_budget {
  std::string name;
  std::int64_t limit = 0;

  friend bool operator==(const named_budget&, const named_budget&) = default;
};

/// What is asked of a pool. It holds all that the picks depend on, beside the pool itself.
struct query_spec {
  std::string strategy;                     ///< as parse_strategy reads it
  std::optional<index_t> batch = {};        ///< picks at most; none: what the budget buys
  std::optional<std::int64_t> budget = {};  ///< for all picks together, in the unit of the pool's cost
  std::vector<named_budget> budgets = {};   ///< beside `budget`, which is of pool_inputs::cost
  std::vector<index_t> quota = {};          ///< picks allowed in each of the pool's groups; empty: any number
  std::vector<index_t> floor = {};          ///< picks owed to each of the pool's groups; empty: none
  /// No pick lies within this distance of another, or of a labelled row, by their embeddings; 0: no duplicates.
  std::optional<float> apart = {};
  /// How a strategy finds neighbours whose picks stand for the pool (facility_location, graph_cut, typiclust).
  /// What is approximate is said in batch::neighbours.
  knn_method neighbours = knn_method::automatic;
  metric distance = metric::euclidean;
  std::uint64_t seed = 0;
  std::uint32_t round = 0;  ///< numbers the queries of a campaign; part of the random seed
  on_invalid invalid = on_invalid::refuse;

  friend bool operator==(const query_spec&, const query_spec&) = default;
};

/// The spec as one JSON object, without what stands as it stands in a fresh one; and back, to an equal spec.
/// throws format_error for other JSON, naming the key.
std::string to_json(const query_spec& spec);
query_spec spec_from_json(const std::string& text);

/// What messages call the parts of a query, in the words of those who read them: a command names its options.
struct wording {
  const char* call = "select";
  const char* outputs = "pool_inputs::model";
  const char* committee = "pool_inputs::committee";
  const char* embeddings = "pool_inputs::embeddings";
  const char* predictions = "pool_inputs::predictions";
  const char* queries = "pool_inputs::queries";
  const char* labels = "pool_inputs::labels";
  const char* targets = "pool_inputs::targets";
  const char* cost_matrix = "pool_inputs::cost_matrix";
  const char* private_rows = "pool_inputs::private_rows";
  const char* label_outputs = "pool_inputs::label_outputs";
  const char* label_sets = "pool_inputs::label_sets";
  const char* excluded = "pool_inputs::excluded";
  const char* cost = "pool_inputs::cost";
  const char* group = "pool_inputs::group";
  const char* quota = "query_spec::quota";
  const char* floor = "query_spec::floor";
  const char* batch = "query_spec::batch";
  const char* budget = "query_spec::budget";
  const char* budgets = "query_spec::budgets";
  const char* apart = "query_spec::apart";
  const char* skip = "on_invalid::skip";
  const char* neighbours = "query_spec::neighbours";
  const char* memory = "query_run::ceiling";
};

/// A query that nothing is left to refuse of, but for what only the values of the arrays show. Views the pool.
class query {
 public:
  query(query&&) = default;
  query& operator=(query&&) = default;

  const query_spec& spec() const { return spec_; }
  const strategy& what() const { return what_; }
  const pool_inputs& pool() const { return pool_; }
  const wording& words() const { return words_; }
  /// On the picks: no more than the budget and the quotas can buy at most, so that what is derived of their
  /// number is right. A budget that cannot bind is none. `barred` are the labelled and excluded rows; `apart`
  /// is to be filled in.
  const allowance& limit() const { return limit_; }
  /// Rows that are not barred.
  index_t available() const { return available_; }
  /// Whether the part is looked at: by a stage, or to keep picks apart.
  bool needs(part one) const { return what_.needs(one) || (one == part::embeddings && spec_.apart); }
  /// What limits the picks beside their number, in the caller's words: "--budget and --quota".
  std::string limits() const;
  /// What messages call demands that contradict each other.
  demand_words words_of_demands() const;
  /// Says that they allow no row. throws budget_error.
  [[noreturn]] void refuse_empty() const;
  /// Whether embeddings are looked at, by their directions.
  bool by_cosine() const { return spec_.distance == metric::cosine && needs(part::embeddings); }
  /// "select: "
  std::string opening() const { return std::string(words_.call) + ": "; }

 private:
  friend query prepare(const query_spec&, const pool_inputs&, const wording&);
  query(const query_spec& spec, const pool_inputs& pool, const wording& words);

  void check_needs() const;
  void check_amounts() const;
  void set_limit();
  void bar(std::span<const index_t> rows, std::uint8_t mark, const char* as);

  query_spec spec_;
  strategy what_;
  pool_inputs pool_;
  wording words_;
  std::vector<std::uint8_t> barred_;  // [rows] 1: labelled, 2: excluded
  index_t available_ = 0;
  allowance limit_;
};

/// Refuses what is wrong with a query, whoever asks, before the values of the arrays are read.
///
/// throws usage_error   an unknown strategy or parameter; a part that the strategy needs and the pool lacks;
///                      neither a batch nor a budget; a budget without costs; quotas or floors without groups
///                      or groups without either.
///        value_error   labelled or excluded rows out of range, or one of them given twice; negative costs,
///                      quotas, floors, a distance that is none.
///        budget_error  no row is available, or the budgets and the quotas buy none of them; floors that no
///        batch
///                      of the available rows meets, with the fewest demands that contradict each other.
///        shape_error   parts of different numbers of rows.
query prepare(const query_spec& spec, const pool_inputs& pool, const wording& words = {});

}  // namespace poolwise
