// Queries: keywords become a query_spec and a pool.
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "module.hpp"
#include "poolwise/query/checkpoint.hpp"
#include "poolwise/query/plan.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise::python {
namespace {

using optional_path = std::optional<std::filesystem::path>;
using members_array = std::variant<std::vector<outputs_array>, outputs_array>;

/// The arrays of a pool, kept alive while they are looked at.
class pool_arrays {
 public:
  explicit pool_arrays(const char* call) : call_(call) {}
  pool_arrays(const pool_arrays&) = delete;
  pool_arrays& operator=(const pool_arrays&) = delete;

  const borrowed& array(const char* name, nb::handle given) { return arrays_.emplace_back(call_, name, given); }

  std::span<const index_t> rows(const char* name, const std::optional<integer_array>& given) {
    return given ? numbers_.emplace_back(call_, name, *given).span() : std::span<const index_t>();
  }
  vector_view<const index_t> column(const char* name, const std::optional<integer_array>& given) {
    const auto values = rows(name, given);
    return {values.data(), index_t(values.size())};
  }

  committee_outputs members(const members_array& given) {
    if (const auto* cube = std::get_if<outputs_array>(&given)) return array("committee", *cube).committee();
    std::vector<real_matrix> members;
    for (const outputs_array& member : std::get<std::vector<outputs_array>>(given))
      members.push_back(array("committee", member).outputs());
    return committee_outputs(std::move(members));
  }

  const row_ids* ids(const std::optional<std::vector<std::string>>& given) {
    if (!given) return nullptr;
    ids_ = row_ids(*given);
    return &ids_;
  }

 private:
  const char* call_;
  std::deque<borrowed> arrays_;
  std::deque<integers> numbers_;
  row_ids ids_;
};

struct select_call {
  static constexpr const char* name = "select";
  static batch answer(const where& on, const query& asked, const query_run& how) {
    batch chosen = run(on, asked, how);
    if (!how.checkpoint.empty()) remove_checkpoint(how.checkpoint);
    return chosen;
  }
};

struct plan_call {
  static constexpr const char* name = "plan";
  static query_plan answer(const where& on, const query& asked, const query_run& how) {
    if (how.ceiling > 0) plan_within(on, asked, how);
    return plan(on, asked);
  }
};

/// What messages call the parts of a query: by their keywords.
wording words_of(const char* call) {
  return {.call = call,
          .outputs = "outputs",
          .committee = "committee",
          .embeddings = "embeddings",
          .predictions = "predictions",
          .queries = "queries",
          .excluded = "exclude",
          .cost = "cost",
          .group = "group",
          .quota = "quota",
          .batch = "batch",
          .budget = "budget",
          .skip = "on_nan=\"skip\"",
          .neighbours = "neighbours",
          .memory = "memory"};
}

/// One query, two questions.
template <class Call>
auto ask(const std::string& strategy, const std::optional<integer>& batch_size,
         const std::optional<outputs_array>& model, const std::optional<members_array>& committee,
         const std::string& kind, const std::optional<float_array>& embeddings,
         const std::optional<float_array>& predictions, const std::optional<float_array>& queries,
         const std::optional<float_array>& query_weights, const std::optional<integer_array>& labelled,
         const std::optional<integer_array>& exclude, const std::optional<std::vector<std::string>>& ids,
         const std::optional<integer_array>& cost, const std::optional<integer>& budget,
         const std::optional<integer_array>& group, const std::optional<integer_array>& quota,
         std::optional<float> apart, const std::string& neighbours, const integer& seed, const integer& round,
         const std::string& on_nan, const optional_path& checkpoint_file, const std::optional<integer>& memory,
         const std::string& device, const integer& threads) {
  const char* const call = Call::name;
  pool_arrays arrays(call);
  pool_inputs pool;
  pool.model_kind = pool.committee_kind = kind_of(call, kind);
  if (cost) pool.cost = arrays.column("cost", cost);
  pool.rows = pool.cost.size;
  if (predictions) {
    const auto cube = arrays.array("predictions", *predictions).committee();
    const auto* floats = std::get_if<cube_view<const float>>(&cube);
    if (floats == nullptr)
      throw array_error(std::string(call) + ": predictions hold 16-bit numbers; pass float32");
    pool.predictions = *floats;
    pool.rows = floats->rows;
  }
  if (embeddings) {
    pool.embeddings = arrays.array("embeddings", *embeddings).rows();
    pool.rows = pool.embeddings->rows;
  }
  if (committee) {
    pool.committee = arrays.members(*committee);
    pool.rows = pool.committee->rows();
  }
  if (model) {
    pool.model = arrays.array("outputs", *model).outputs();
    pool.rows = rows_of(*pool.model);
  }
  if (queries) pool.queries = arrays.array("queries", *queries).rows();
  if (query_weights) pool.query_weights = arrays.array("query_weights", *query_weights).vector();
  pool.labelled = arrays.rows("labelled", labelled);
  pool.excluded = arrays.rows("exclude", exclude);
  pool.group = arrays.column("group", group);
  pool.ids = arrays.ids(ids);
  if (on_nan != "refuse" && on_nan != "skip")
    throw value_error(std::string(call) + ": on_nan is \"" + on_nan + "\"; pass \"refuse\" or \"skip\"");

  query_spec spec;
  spec.strategy = strategy;
  if (batch_size) spec.batch = number_in<index_t>(call, "batch", *batch_size);
  if (budget) spec.budget = number_in<std::int64_t>(call, "budget", *budget);
  const auto quotas = arrays.rows("quota", quota);
  spec.quota.assign(quotas.begin(), quotas.end());
  spec.apart = apart;
  spec.neighbours = parse_knn_method(neighbours);
  spec.seed = number_in<std::uint64_t>(call, "seed", seed);
  spec.round = number_in<std::uint32_t>(call, "round", round);
  spec.invalid = on_nan == "skip" ? on_invalid::skip : on_invalid::refuse;

  const query asked = prepare(spec, pool, words_of(call));
  query_run how{.advanced = heed_signals};
  if (memory) how.ceiling = number_in<std::uint64_t>(call, "memory", *memory);
  if (checkpoint_file) how.checkpoint = *checkpoint_file;
  const where on = parse_where(device, on_cpu(call, threads), how.ceiling);
  return without_gil([&] { return Call::answer(on, asked, how); });
}

template <class Call>
void define_query(nb::module_& m, const std::string& text) {
  m.def(Call::name, &ask<Call>, nb::kw_only(), "strategy"_a, "batch"_a = nb::none(), "outputs"_a = nb::none(),
        "committee"_a = nb::none(), "kind"_a = "logits", "embeddings"_a = nb::none(),
        "predictions"_a = nb::none(), "queries"_a = nb::none(), "query_weights"_a = nb::none(),
        "labelled"_a = nb::none(), "exclude"_a = nb::none(), "ids"_a = nb::none(), "cost"_a = nb::none(),
        "budget"_a = nb::none(), "group"_a = nb::none(), "quota"_a = nb::none(), "apart"_a = nb::none(),
        "neighbours"_a = "auto", "seed"_a = 0, "round"_a = 0, "on_nan"_a = "refuse",
        "checkpoint"_a = nb::none(), "memory"_a = nb::none(), "device"_a = "cpu", "threads"_a = 0,
        text.c_str());
}

/// The names of strategies that pass, in quotes, in lines that fit behind `indent` spaces.
template <class Passes>
std::string listed(std::size_t indent, Passes passes) {
  std::string text, line;
  for (const strategy_entry& entry : strategies()) {
    if (!passes(entry)) continue;
    const std::string word = (text.empty() && line.empty() ? "\"" : ", \"") + std::string(entry.name) + "\"";
    if (indent + line.size() + word.size() > 118) {
      text += line + ",\n" + std::string(indent, ' ');
      line = word.substr(2);
    } else {
      line += word;
    }
  }
  return text + line;
}

}  // namespace

void define_queries(nb::module_& m) {
  const std::string diverse = listed(12, [](const strategy_entry& e) { return !e.scores(); });
  const std::string listing = listed(12, [](const strategy_entry& e) { return e.lists_neighbours; });
  define_query<select_call>(
      m,
      R"doc(Pick the batch to label next: rank, keep, diversify, within a budget, in one call.

strategy    a score, such as "margin" or "bald"; a strategy of diversity:
            )doc" +
          diverse +
          R"doc(;
            or stages with what is kept between them, as "margin/1000/kcenter" (k-center among the 1000 rows of highest
            margin), "margin/10x/badge" (ten for each pick) or "margin/20%/bald/10x/kcenter". Parameters stand in
            parentheses: "graph_cut(lambda=4)". `strategies` says what each means, and needs.
batch       picks at most; None: what the budget buys.
outputs     [rows, classes], committee [members, rows, classes] or a list of [rows, classes], as for `score` and
            `committee`; `kind` says what both hold. embeddings [rows, features] float32. predictions [members, rows,
            outputs] float32, of regressors. queries [queries, features] float32, which picks are to be like, and
            query_weights [queries]. Only what the strategy needs has to be there.
labelled    row numbers that have a label: never picked, and k-center's first centres.
exclude     row numbers that must not be picked.
ids         what each row is called; `Batch.ids` has them.
cost        [rows] integers in the smallest unit; `budget` is what the picks may cost together, in that unit.
group       [rows] integers from 0; `quota` [groups] is how many picks each may have.
apart       no pick lies within this distance of another or of a labelled row, by the embeddings; 0 leaves out
            duplicates alone.
neighbours  how )doc" +
          listing +
          R"doc(
            find each row's neighbours: "exact", "ivf", "hnsw", or "auto": exact up to rows^2 * features = 1e13, ivf
            beyond. `Batch.neighbours` has the measured recall.
seed        with `round`, which numbers the queries of a campaign, decides every random choice.
on_nan      rows that cannot be judged: "refuse", or "skip" them.
checkpoint  a file to keep the picks so far in: a call that was ended goes on from it, and it is gone at the end.
            Scores alone and "typiclust" pick at once, and keep nothing.
memory      bytes that the call may allocate beside the arrays; one that needs more is refused before it begins.
device      where it computes: "cpu"; or "cuda", "cuda:0,1", "cuda:all" or "auto", to which the arrays are sent.
returns     a Batch.
raises      InvalidValueError (a row out of range or given twice, too few rows, a part that is missing),
            BudgetError (not a single row can be bought), ShapeError, ArrayError, NoCudaError.

The same batch for any number of threads. Integers other than int64 are widened in a copy; no other array is copied.
`plan` with the same arguments says what it takes.)doc");

  define_query<plan_call>(
      m,
      R"(What `select` with the same arguments would take: bytes, passes over the pool, and time.

Runs the request on some rows of the pool, for about a second at most. The arguments and errors of `select`, of which
`checkpoint` is not touched; returns a Plan.)");

  m.def(
      "strategies",
      [] {
        const auto entries = strategies();
        return std::vector<strategy_entry>(entries.begin(), entries.end());
      },
      "The words that strategies are made of, with formula, needs, parameters and source.");
}

}  // namespace poolwise::python
