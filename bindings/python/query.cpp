// Queries: keywords become a query_spec and a pool.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "answer.hpp"
#include "module.hpp"
#include "pools.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/pool/consensus.hpp"
#include "poolwise/query/checkpoint.hpp"
#include "poolwise/query/plan.hpp"
#include "poolwise/query/select.hpp"
#include "ranks.hpp"

namespace poolwise::python {
namespace {

/// The arrays of a pool, kept alive while they are looked at.
class pool_arrays {
 public:
  pool_arrays(const char* call, bool may_copy) : call_(call), may_copy_(may_copy) {}
  pool_arrays(const pool_arrays&) = delete;
  pool_arrays& operator=(const pool_arrays&) = delete;

  borrowed& array(const char* name, nb::handle given) {
    return arrays_.emplace_back(call_, name, given, may_copy_);
  }

  /// Row numbers, or what the pool calls the rows.
  std::span<const index_t> rows(const char* name, const std::optional<integer_array>& given,
                                const rows_by_id& by_id = {}) {
    return given ? numbers_.emplace_back(call_, name, *given, by_id).span() : std::span<const index_t>();
  }
  /// Numbers of any type, in fp32.
  vector_view<const float> values(const char* name, nb::handle given) {
    nb::object floats;
    try {
      floats = nb::module_::import_("numpy").attr("asarray")(given).attr("astype")("float32");
    } catch (const nb::python_error&) {
      throw array_error(std::string(call_) + ": " + name +
                        " is no array of numbers; pass a number for each row");
    }
    return array(name, floats).vector();
  }
  vector_view<const index_t> column(const char* name, const std::optional<integer_array>& given) {
    const auto values = rows(name, given);
    return {values.data(), index_t(values.size())};
  }

  /// Further costs by name, and what the picks may cost of them.
  void further_costs(const std::optional<nb::dict>& costs, const std::optional<nb::dict>& budgets,
                     pool_inputs& pool, query_spec& spec) {
    if (costs)
      for (const auto& [name, given] : *costs)
        pool.also_cost.push_back(
            {text_in(call_, "also_cost", name), column("also_cost", nb::borrow<integer_array>(given))});
    if (budgets)
      for (const auto& [name, limit] : *budgets)
        spec.budgets.push_back(
            {text_in(call_, "also_budget", name), number_in<std::int64_t>(call_, "also_budget", limit)});
  }

  /// Groups by name, whose quotas are a dict; "*" in it stands for all groups that are not.
  vector_view<const index_t> named_groups(const std::vector<std::string>& group, const nb::dict& quotas,
                                          std::vector<index_t>& quota) {
    std::unordered_map<std::string, index_t> number_of;
    std::optional<index_t> others;
    for (const auto& [name, picks] : quotas) {
      const std::string text =
          PyLong_Check(name.ptr()) ? nb::cast<std::string>(nb::str(name)) : text_in(call_, "quota", name);
      const auto most = number_in<index_t>(call_, "quota", picks);
      if (text == "*") {
        others = most;
      } else if (number_of.emplace(text, index_t(quota.size())).second) {
        quota.push_back(most);
      } else {
        throw value_error(std::string(call_) + ": quota has group " + printable(text) + " twice; give it one");
      }
    }
    for (const std::string& name : group) {
      const auto [at, is_new] = number_of.try_emplace(name, index_t(quota.size()));
      if (is_new && !others)
        throw value_error(std::string(call_) + ": row " + std::to_string(groups_.size()) + " is in group " +
                          printable(name) +
                          ", which has no quota; give every group one, or all others one by \"*\"");
      if (is_new) quota.push_back(*others);
      groups_.push_back(at->second);
    }
    return {groups_.data(), index_t(groups_.size())};
  }

  /// [rows, classes] of logits or of probabilities.
  real_matrix model(const char* name, nb::handle given, outputs kind) {
    const real_matrix view = array(name, given).outputs();
    if (kind == outputs::logits) check_logits(call_, name, committee_outputs({view}), as_probabilities);
    return view;
  }

  /// One array, or a list of one a member.
  committee_outputs members(const char* name, nb::handle given, outputs kind) {
    const bool apart = nb::isinstance<nb::list>(given) || nb::isinstance<nb::tuple>(given);
    const committee_outputs all = apart ? listed(name, given) : array(name, given).committee();
    if (kind == outputs::logits) check_logits(call_, name, all, as_probabilities);
    return all;
  }

  void speak_for_model(pool_inputs& pool, cpu on) {
    if (pool.committee)
      check_axes(std::string(call_) + ": committee outputs", *pool.committee, pool.committee_kind);
    without_gil([&] { poolwise::speak_for_model(on, pool, consensus_); });
  }

  /// `excluded` and all that are no candidates.
  std::span<const index_t> others(std::span<const index_t> candidates, std::span<const index_t> excluded,
                                  index_t rows) {
    excluded_.assign(excluded.begin(), excluded.end());
    exclude_others(candidates, rows, excluded_);
    return excluded_;
  }

  const row_ids* ids(const std::optional<names>& given) {
    if (!given) return nullptr;
    ids_ = row_ids(texts_in(call_, "ids", *given));
    return &ids_;
  }

  /// Bytes of what had to be copied.
  std::uint64_t copied() const {
    std::uint64_t bytes =
        consensus_.size() * sizeof(float) + (excluded_.size() + groups_.size()) * sizeof(index_t);
    for (const borrowed& array : arrays_) bytes += array.copied();
    for (const integers& column : numbers_) bytes += column.span().size_bytes();
    return bytes;
  }

 private:
  committee_outputs listed(const char* name, nb::handle given) {
    std::vector<real_matrix> members;
    for (const nb::handle member : given) members.push_back(array(name, member).outputs());
    return committee_outputs(std::move(members));
  }

  const char* call_;
  bool may_copy_;
  std::deque<borrowed> arrays_;
  std::deque<integers> numbers_;
  std::vector<float> consensus_;
  std::vector<index_t> excluded_, groups_;
  row_ids ids_;
};

struct select_call {
  static constexpr const char* name = "select";
  static batch answer(const where& on, const query& asked, const query_run& how) {
    batch chosen = run(on, asked, how);
    if (!how.checkpoint.empty()) remove_checkpoint(how.checkpoint);
    return chosen;
  }
  /// The batch, whose ids are the pool's.
  static chosen_batch result(batch chosen, const table_pool* table, bool named) {
    chosen_batch given{std::move(chosen)};
    if (table == nullptr || named) return given;
    for (pick& one : given.picks) one.id = table->id(one.row);
    if (table->ids()) given.kind = int(table->ids()->kind());
    return given;
  }
};

struct plan_call {
  static constexpr const char* name = "plan";
  static query_plan answer(const where& on, const query& asked, const query_run& how) {
    if (how.ceiling > 0) plan_within(on, asked, how);
    query_plan needed = plan(on, asked);
    needed.bytes += how.held;
    // A strategy of diversity sees a copy of the rows that can be judged, where some cannot.
    if (asked.spec().invalid == on_invalid::skip && !asked.what().first().entry->scores())
      needed.bytes += needed.input_bytes;
    return needed;
  }
  static query_plan result(query_plan needed, const table_pool*, bool) { return needed; }
};

wording words_of(const char* call);

/// One rank's part in a query of many.
struct shard_call {
  static constexpr const char* name = "select";
  static batch answer(const where& on, const pool_inputs& pool, const query_spec& spec, const query_run& how,
                      python_ranks& ranks) {
    return without_gil([&] { return ranks.select(on, pool, spec, how, words_of(name)); });
  }
  /// Rows and ids are the whole pool's.
  static chosen_batch result(batch chosen, const table_pool* table, bool named) {
    chosen_batch given{std::move(chosen)};
    if (table != nullptr && !named && table->ids()) given.kind = int(table->ids()->kind());
    return given;
  }
};

const table_pool* pool_in(const char* call, nb::handle given) {
  if (nb::isinstance<table_pool>(given)) return nb::cast<const table_pool*>(given);
  throw argument_error(
      std::string(call) + ": pool is " + shown(given) +
      "; pass a poolwise.Pool, which is made of a table, or arrays by their keywords, such as outputs=...");
}

/// What messages call the parts of a query: by their keywords.
wording words_of(const char* call) {
  return {.call = call,
          .outputs = "outputs",
          .committee = "committee",
          .embeddings = "embeddings",
          .predictions = "predictions",
          .queries = "queries",
          .labels = "labels",
          .targets = "targets",
          .cost_matrix = "cost_matrix",
          .private_rows = "private",
          .label_outputs = "label_outputs",
          .label_sets = "label_sets",
          .excluded = "exclude",
          .cost = "cost",
          .group = "group",
          .quota = "quota",
          .floor = "floor",
          .batch = "batch",
          .budget = "budget",
          .budgets = "also_budget",
          .apart = "apart",
          .skip = "on_nan=\"skip\"",
          .neighbours = "neighbours",
          .memory = "memory"};
}

/// What a query is asked of, as it was given.
struct pool_arguments {
  const std::optional<outputs_array>& outputs;
  const word& kind;
  const std::optional<members_array>& committee;
  const std::optional<float_array>&embeddings, &predictions, &queries, &query_weights, &private_rows;
  const std::optional<integer_array>& labels;
  const std::optional<members_array>& targets;
  const std::optional<float_array>& cost_matrix;
  const std::optional<outputs_array>& label_outputs;
  const std::optional<float_array>& label_sets;
  const std::optional<integer>& rows;
  const std::optional<integer_array>&labelled, &exclude, &candidates;
  const std::optional<names>& ids;
  const std::optional<integer_array>&cost, &group, &quota;
};

index_t rows_of_pool(const char* call, const pool_inputs& pool, const std::optional<integer>& rows) {
  const index_t known = rows                 ? number_in<index_t>(call, "rows", *rows)
                        : pool.rows > 0      ? pool.rows
                        : pool.model         ? rows_of(*pool.model)
                        : pool.committee     ? pool.committee->rows()
                        : pool.embeddings    ? pool.embeddings->rows
                        : pool.predictions   ? pool.predictions->rows
                        : pool.label_outputs ? rows_of(*pool.label_outputs)
                        : pool.ids           ? pool.ids->size()
                        : pool.cost.size > 0 ? pool.cost.size
                                             : index_t(-1);
  if (known < 0)
    throw value_error(std::string(call) +
                      ": nothing says of what to pick; pass outputs, embeddings or another array, or rows");
  return known;
}

/// Groups, and quotas that are a dict, which become numbers.
void take_groups(const char* call, pool_arrays& arrays, const pool_arguments& given, const table_pool* table,
                 pool_inputs& pool, std::vector<index_t>& quota) {
  const bool in_table = table != nullptr && (!table->groups().empty() || !table->group_names().empty());
  if (in_table && given.group)
    throw value_error(std::string(call) + ": group is given, and the pool has it, too; pass one of them");
  const bool by_name = given.quota && nb::isinstance<nb::dict>(*given.quota);
  if (by_name && (in_table || given.group)) {
    std::vector<std::string> group = in_table ? table->group_names() : texts_in(call, "group", *given.group);
    if (in_table)
      for (const index_t number : table->groups()) group.push_back(std::to_string(number));
    pool.group = arrays.named_groups(group, nb::borrow<nb::dict>(*given.quota), quota);
    return;
  }
  const auto quotas = arrays.column("quota", given.quota);
  quota.assign(quotas.begin(), quotas.end());
  if (in_table && table->groups().empty() && (given.quota || !quota.empty()))
    throw value_error(std::string(call) +
                      ": the pool's groups have names; pass quota as a dict of picks by these");
  pool.group = in_table ? vector_view<const index_t>{table->groups().data(), index_t(table->groups().size())}
                        : arrays.column("group", given.group);
}

pool_inputs pool_of(const char* call, pool_arrays& arrays, const pool_arguments& given, const table_pool* table,
                    std::vector<index_t>& quota) {
  pool_inputs pool;
  const outputs kind = kind_of(call, given.kind);
  pool.model_kind = pool.committee_kind = pool.label_kind = kind;
  if (given.outputs) pool.model = arrays.model("outputs", *given.outputs, kind);
  if (given.committee) pool.committee = arrays.members("committee", *given.committee, kind);
  if (given.embeddings) pool.embeddings = arrays.array("embeddings", *given.embeddings).rows();
  if (given.predictions) pool.predictions = arrays.array("predictions", *given.predictions).floats();
  if (given.queries) pool.queries = arrays.array("queries", *given.queries).rows();
  if (given.query_weights) pool.query_weights = arrays.array("query_weights", *given.query_weights).vector();
  if (given.private_rows) pool.private_rows = arrays.array("private", *given.private_rows).rows();
  if (given.labels) pool.labels = arrays.values("labels", *given.labels);
  if (given.targets) pool.targets = arrays.members("targets", *given.targets, kind);
  if (given.cost_matrix) pool.cost_matrix = arrays.array("cost_matrix", *given.cost_matrix).rows();
  if (given.label_outputs) pool.label_outputs = arrays.array("label_outputs", *given.label_outputs).outputs();
  if (given.label_sets) pool.label_sets = arrays.array("label_sets", *given.label_sets).rows();
  pool.ids = arrays.ids(given.ids);
  pool.cost = arrays.column("cost", given.cost);
  if (table != nullptr) table->give(call, pool);
  rows_by_id by_id;
  if (pool.ids != nullptr) by_id = [&pool](std::span<const std::string> ids) { return pool.ids->rows_of(ids); };
  if (pool.ids == nullptr && table != nullptr && table->ids())
    by_id = [table](std::span<const std::string> ids) { return table->ids()->rows_of(ids); };
  pool.labelled = arrays.rows("labelled", given.labelled, by_id);
  pool.excluded = arrays.rows("exclude", given.exclude, by_id);
  take_groups(call, arrays, given, table, pool, quota);
  pool.rows = rows_of_pool(call, pool, given.rows);
  if (given.candidates)
    pool.excluded = arrays.others(arrays.rows("candidates", given.candidates, by_id), pool.excluded, pool.rows);
  return pool;
}

/// Tells a function of Python how many picks there are, and of how many.
class reporter {
 public:
  /// throws argument_error for what is neither True nor a function.
  reporter(const char* call, const std::optional<progress_function>& progress,
           const std::optional<integer>& most)
      : most_(most ? nb::object(*most) : nb::none()) {
    if (!progress || progress->is(nb::bool_(false))) return;
    if (progress->is(nb::bool_(true)))
      function_ = nb::module_::import_("poolwise._progress").attr("Bar")(call);
    else if (PyCallable_Check(progress->ptr()) != 0)
      function_ = *progress;
    else
      throw argument_error(std::string(call) + ": progress is " + shown(*progress) +
                           "; pass True, or a function of the picks so far and of those asked for");
  }

  void tell(std::size_t picks) {
    if (!function_.is_valid() || told_ == picks) return;
    told_ = picks;
    const nb::gil_scoped_acquire held;
    function_(picks, most_);
  }

 private:
  nb::object function_, most_;
  std::optional<std::size_t> told_;
};

/// One query, several questions; `more` is what one of them asks beside it.
template <class Call, class... More>
auto ask(const word& strategy, const std::optional<pool_argument>& of, const std::optional<integer>& batch_size,
         const std::optional<outputs_array>& model, const word& kind,
         const std::optional<members_array>& committee, const std::optional<float_array>& embeddings,
         const std::optional<float_array>& predictions, const std::optional<float_array>& queries,
         const std::optional<float_array>& query_weights, const std::optional<float_array>& private_rows,
         const std::optional<integer_array>& labels, const std::optional<members_array>& targets,
         const std::optional<float_array>& cost_matrix, const std::optional<outputs_array>& label_outputs,
         const std::optional<float_array>& label_sets, const std::optional<integer>& rows,
         const std::optional<integer_array>& labelled, const std::optional<integer_array>& exclude,
         const std::optional<integer_array>& candidates, const std::optional<names>& ids,
         const std::optional<integer_array>& cost, const std::optional<integer>& budget,
         const std::optional<nb::dict>& also_cost, const std::optional<nb::dict>& also_budget,
         const std::optional<integer_array>& group, const std::optional<integer_array>& quota,
         const std::optional<integer_array>& floor, const std::optional<real>& apart, const word& neighbours,
         const word& by_metric, const integer& seed, const integer& round, const word& on_nan,
         const std::optional<file_name>& checkpoint_file, const std::optional<integer>& memory,
         const word& device, const integer& threads, const std::optional<progress_function>& progress,
         const flag& copy, More&... more) {
  const char* const call = Call::name;
  pool_arrays arrays(call, flag_in(call, "copy", copy));
  query_spec spec;
  const table_pool* const table = of ? pool_in(call, *of) : nullptr;
  pool_inputs pool = pool_of(
      call, arrays, {model,        kind,    committee,  embeddings,  predictions,   queries,    query_weights,
                     private_rows, labels,  targets,    cost_matrix, label_outputs, label_sets, rows,
                     labelled,     exclude, candidates, ids,         cost,          group,      quota},
      table, spec.quota);
  arrays.further_costs(also_cost, also_budget, pool, spec);
  const std::string on_invalid_rows = text_in(call, "on_nan", on_nan);
  if (on_invalid_rows != "refuse" && on_invalid_rows != "skip")
    throw value_error(std::string(call) + ": on_nan is \"" + printable(on_invalid_rows) +
                      "\"; pass \"refuse\" or \"skip\"");

  spec.strategy = text_in(call, "strategy", strategy);
  if (batch_size) spec.batch = number_in<index_t>(call, "batch", *batch_size);
  if (budget) spec.budget = number_in<std::int64_t>(call, "budget", *budget);
  const auto floors = arrays.column("floor", floor);
  spec.floor.assign(floors.begin(), floors.end());
  if (apart) spec.apart = real_in(call, "apart", *apart);
  spec.neighbours = parse_knn_method(text_in(call, "neighbours", neighbours));
  spec.distance = parse_metric(text_in(call, "metric", by_metric));
  spec.seed = number_in<std::uint64_t>(call, "seed", seed);
  spec.round = number_in<std::uint32_t>(call, "round", round);
  spec.invalid = on_invalid_rows == "skip" ? on_invalid::skip : on_invalid::refuse;

  if (parse_strategy(spec.strategy).needs(part::outputs)) arrays.speak_for_model(pool, on_cpu(call, threads));

  reporter report(call, progress, batch_size);
  // Devices go from pass to pass without the blocks between which the CPU looks for signals.
  query_run how{.held = arrays.copied() + (table != nullptr ? table->copied() : 0),
                .advanced = [&](const batch_state& state) {
                  heed_interruption();
                  report.tell(state.picks.size());
                }};
  how.resumed = how.advanced;
  if (memory) how.ceiling = number_in<std::uint64_t>(call, "memory", *memory);
  if (checkpoint_file) how.checkpoint = path_in(call, "checkpoint", *checkpoint_file);
  const where on = parse_where(text_in(call, "device", device), on_cpu(call, threads), how.ceiling);
  auto answered = [&] {
    if constexpr (sizeof...(More) > 0) {
      return Call::answer(on, pool, spec, how, more...);
    } else {
      const query asked = prepare(spec, pool, words_of(call));
      return without_gil([&] { return Call::answer(on, asked, how); });
    }
  }();
  if constexpr (std::is_same_v<decltype(answered), batch>) report.tell(answered.picks.size());
  return Call::result(std::move(answered), table, pool.ids != nullptr);
}

template <class Call, class... More, class... Argument>
void define_query(nb::module_& m, const char* name, const std::string& text, const Argument&... more) {
  m.def(name, &ask<Call, More...>, "strategy"_a, "pool"_a = nb::none(), nb::kw_only(), "batch"_a = nb::none(),
        "outputs"_a = nb::none(), "kind"_a = "logits", "committee"_a = nb::none(), "embeddings"_a = nb::none(),
        "predictions"_a = nb::none(), "queries"_a = nb::none(), "query_weights"_a = nb::none(),
        "private"_a = nb::none(), "labels"_a = nb::none(), "targets"_a = nb::none(),
        "cost_matrix"_a = nb::none(), "label_outputs"_a = nb::none(), "label_sets"_a = nb::none(),
        "rows"_a = nb::none(), "labelled"_a = nb::none(), "exclude"_a = nb::none(), "candidates"_a = nb::none(),
        "ids"_a = nb::none(), "cost"_a = nb::none(), "budget"_a = nb::none(), "also_cost"_a = nb::none(),
        "also_budget"_a = nb::none(), "group"_a = nb::none(), "quota"_a = nb::none(), "floor"_a = nb::none(),
        "apart"_a = nb::none(), "neighbours"_a = "auto", "metric"_a = "euclidean", "seed"_a = 0, "round"_a = 0,
        "on_nan"_a = "refuse", "checkpoint"_a = nb::none(), "memory"_a = nb::none(), "device"_a = "cpu",
        "threads"_a = 0, "progress"_a = nb::none(), "copy"_a = false, more..., text.c_str());
}

/// The names of strategies that pass, in quotes, in lines that fit behind `indent` spaces.
template <class Passes>
std::string listed(std::size_t indent, Passes passes) {
  std::string text, line;
  for (const strategy_entry& entry : strategies()) {
    if (!passes(entry)) continue;
    const std::string quoted = (text.empty() && line.empty() ? "\"" : ", \"") + std::string(entry.name) + "\"";
    if (indent + line.size() + quoted.size() > 118) {
      text += line + ",\n" + std::string(indent, ' ');
      line = quoted.substr(2);
    } else {
      line += quoted;
    }
  }
  return text + line;
}

}  // namespace

void define_queries(nb::module_& m) {
  const std::string diverse = listed(12, [](const strategy_entry& e) { return !e.scores(); });
  const std::string listing =
      listed(12, [](const strategy_entry& e) { return e.does.has(trait::lists_neighbours); });
  define_query<select_call>(
      m, "select",
      R"doc(Pick the batch to label next: rank, keep, diversify, within a budget, in one call.

strategy    a score, such as "margin" or "bald"; a strategy of diversity:
            )doc" +
          diverse +
          R"doc(;
            or stages with what is kept between them, as "margin/1000/kcenter" (k-center among the 1000 rows of highest
            margin), "margin/10x/badge" (ten for each pick) or "margin/20%/bald/10x/kcenter". Parameters stand in
            parentheses: "graph_cut(lambda=4)". "typiclust@500,margin" is typiclust until 500 rows have a label, and
            then margin. `strategies` says what each means, and needs.
batch       picks at most; None: what the budget buys.
pool        a Pool, whose parts are what the keywords of the same names would be.
outputs     [rows, classes], and committee [members, rows, classes] or a list of [rows, classes]: logits, or
            probabilities where `kind` is "probabilities". embeddings [rows, features]. predictions [members, rows,
            outputs], of regressors. queries [queries, features], which picks are to be like, and query_weights
            [queries]. private [rows, features], which picks are to be unlike. targets [members, targets, classes], what
            the committee says of rows to be predicted. cost_matrix [classes, classes], what it costs to take an item of
            class `row` for one of class `column`. label_outputs [rows, labels], of labels that are independent
            (multi-label): logits before a sigmoid each, or probabilities, as `kind` says; label_sets [rows, labels],
            which of them the labelled rows have: 1, 0, or NaN where nobody knows. Only what the strategy needs has to be there; of a committee alone
            the mean of its probabilities stands for the model's. Outputs are float32, float16 or bfloat16, all others
            float32; numpy's arrays, tensors, buffers, what speaks DLPack or Arrow, or names of .npy, .npz and
            .safetensors files.
rows        how many rows the pool has, where no array says it.
labelled    row numbers that have a label, or their ids: never picked, and k-center's first centres.
labels      [rows] numbers: the class of each labelled row, from 0, or its value; NaN where nobody knows it. Entries of
            other rows are not looked at.
exclude     row numbers that must not be picked, or their ids.
candidates  the only rows that may be picked, or their ids: all others count as excluded.
ids         what each row is called, by strings or whole numbers; `Batch.ids` has them.
cost        [rows] integers in the smallest unit; `budget` is what the picks may cost together, in that unit. One that
            cannot bind changes nothing; else `Batch.of_optimum` says how good a batch by a score, or by
            "facility_location", "graph_cut" or "probcover", is.
also_cost   further costs by name, {"hours": [rows] integers}, and also_budget, what the picks may cost of each
            together, {"hours": 40}. `Pick.also_cost` has them in the order of `Batch.also_cost`.
group       [rows] integers from 0; `quota` [groups] is how many picks each may have, `floor` [groups] how many it
            is to have at least. Demands that no batch meets are refused: the fewest that contradict each other. Or
            names or integers, and a dict of quotas by these, in which "*" stands for all others.
apart       no pick lies within this distance of another or of a labelled row, by the embeddings; 0 leaves out
            duplicates alone.
neighbours  how )doc" +
          listing +
          R"doc(
            find each row's neighbours: "exact", "ivf", "hnsw", or "auto": exact up to rows^2 * features = 1e13, ivf
            beyond. `Batch.neighbours` has the measured recall.
metric      by what rows are near: "euclidean" distance, or "cosine", which scales all embeddings to length 1.
seed        with `round`, which numbers the queries of a campaign, decides every random choice.
on_nan      rows that cannot be judged: "refuse", or "skip" them.
checkpoint  a file to keep the picks so far in: a call that was ended goes on from it, and it is gone at the end.
            Scores alone, "typiclust" and others pick at once, and keep nothing.
memory      bytes that the call may allocate beside the arrays; one that needs more is refused before it begins.
device      where it computes: "cpu"; or "cuda", "cuda:0,1", "cuda:all" or "auto", to which the arrays are sent.
progress    True shows how many picks there are; or a function of the picks so far and of those asked for, called after
            each pass over the pool that made some.
copy        whether arrays that cannot be looked at where they lie are converted in a copy (float64, columns before
            rows); else they are refused.
returns     a Batch.
raises      InvalidValueError (a row out of range or given twice, a part that is missing, logits that are all
            probabilities), BudgetError (no row is left, or within the limits), ShapeError, ArrayError,
            ArgumentError, NoCudaError.

A batch is shorter than asked only where no row that the limits allow is left; `Batch.remarks` says so.

The same batch for any number of threads. What is copied: labelled, exclude, cost, group, quota and floor (8 bytes each).
`plan` with the same arguments says what it takes.)doc");

  define_query<plan_call>(
      m, "plan",
      R"(What `select` with the same arguments would take: bytes, passes over the pool, and time.

Runs the request on some rows of the pool, for about a second at most. The arguments and errors of `select`, of which
`checkpoint` is not touched; returns a Plan.)");

  define_query<shard_call, python_ranks>(m, "select_shard",
                                         "`select` of one rank's rows: see poolwise.distributed.", "ranks"_a);

  m.def(
      "strategies",
      [] {
        const auto entries = strategies();
        return std::vector<strategy_entry>(entries.begin(), entries.end());
      },
      "The words that strategies are made of, with formula, needs, parameters and source.");
}

}  // namespace poolwise::python
