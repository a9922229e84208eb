// poolwise._core: the library's calls for Python. Arguments are looked at, the GIL is released, the call is
// made.
#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "arrays.hpp"
#include "poolwise/committee/committee.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/query/checkpoint.hpp"
#include "poolwise/query/plan.hpp"
#include "poolwise/query/select.hpp"
#include "poolwise/query/strategy.hpp"
#include "poolwise/score/score.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise::python {
namespace {

using namespace nb::literals;

using one_or_more = std::variant<std::string, std::vector<std::string>>;
using row_array = nb::ndarray<nb::numpy, index_t, nb::ndim<1>>;
using score_array = nb::ndarray<nb::numpy, float, nb::ndim<1>>;
using ranked = std::pair<row_array, score_array>;

template <class Work>
auto without_gil(Work work) {
  const nb::gil_scoped_release released;
  return work();
}

/// Lets Python see to Ctrl-C and other signals; what its handler raises ends the call.
void heed_signals(const batch_state&) {
  const nb::gil_scoped_acquire held;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

cpu on_cpu(const char* call, const integer& threads) { return {number_in(call, "threads", threads, 0, 4096)}; }

index_t picks_of(const char* call, const integer& k) { return number_in<index_t>(call, "k", k); }

outputs kind_of(const char* call, const std::string& kind) {
  if (kind == "logits") return outputs::logits;
  if (kind == "probabilities") return outputs::probabilities;
  throw value_error(std::string(call) + ": kind is \"" + kind + "\"; pass \"logits\" or \"probabilities\"");
}

template <class Score>
Score parse_score(const char* call, const std::string& word) {
  const strategy what = parse_strategy(word);
  const auto* score = std::get_if<Score>(&what.rank_by);
  if (score && what.diversify == nullptr) return *score;
  std::string known;
  for (const strategy_entry& entry : strategy_entries())
    if (std::holds_alternative<Score>(entry.rank_by))
      known += (known.empty() ? "" : ", ") + std::string(entry.name);
  throw value_error(std::string(call) + ": \"" + word + "\" is not one of its scores; pass one of " + known);
}

/// What `score` and `committee` have in common: words in, [rows] or [rows, words] out.
template <class Score, class Work>
float_array scored(const char* call, const one_or_more& words, index_t rows,
                   const std::optional<float_array>& out, Work work) {
  const bool vector = std::holds_alternative<std::string>(words);
  std::vector<Score> which;
  if (vector)
    which.push_back(parse_score<Score>(call, std::get<std::string>(words)));
  else
    for (const std::string& word : std::get<std::vector<std::string>>(words))
      which.push_back(parse_score<Score>(call, word));
  const index_t cols = index_t(which.size());
  float_array scores = out ? *out : new_floats(rows, cols, vector);
  const result_place place(call, scores, rows, cols, vector);
  without_gil([&] { work(which, place.view()); });
  return scores;
}

float_array score_rows(const outputs_array& x, const one_or_more& acquisitions, const std::string& kind,
                       const std::optional<float_array>& out, const integer& threads) {
  const borrowed array("score", "outputs", x);
  const real_matrix view = array.outputs();
  const outputs holds = kind_of("score", kind);
  const where on = on_cpu("score", threads);
  return scored<acquisition>("score", acquisitions, rows_of(view), out,
                             [&](const auto& which, auto place) { score(on, view, holds, which, place); });
}

float_array score_members(const outputs_array& x, const one_or_more& disagreements, const std::string& kind,
                          const std::optional<float_array>& out, const integer& threads) {
  const borrowed array("committee", "outputs", x);
  const real_cube view = array.committee();
  const outputs holds = kind_of("committee", kind);
  const where on = on_cpu("committee", threads);
  const index_t rows = std::visit([](auto cube) { return cube.rows; }, view);
  return scored<disagreement>("committee", disagreements, rows, out, [&](const auto& which, auto place) {
    score_committee(on, view, holds, which, place);
  });
}

ranked as_arrays(const std::vector<candidate>& picks) {
  std::vector<index_t> rows(picks.size());
  std::vector<float> scores(picks.size());
  for (std::size_t i = 0; i < picks.size(); ++i) {
    rows[i] = picks[i].row;
    scores[i] = picks[i].score;
  }
  return {owned(std::move(rows)), owned(std::move(scores))};
}

ranked best_rows(const float_array& scores, const integer& k, const integer& threads) {
  const borrowed array("top_k", "scores", scores);
  const vector_view<const float> view = array.vector();
  const where on = on_cpu("top_k", threads);
  const index_t most = picks_of("top_k", k);
  return as_arrays(without_gil([&] { return top_k(on, view, most); }));
}

integers rows_given(const char* call, const char* name, const std::optional<integer_array>& given) {
  return given ? integers(call, name, *given) : integers();
}

/// Marks `rows` in `barred`; empty stays empty while no row is.
void bar(const char* call, const char* name, std::span<const index_t> rows, index_t pool,
         std::vector<std::uint8_t>& barred) {
  if (rows.empty()) return;
  barred.resize(std::size_t(pool));
  for (const index_t row : rows) {
    if (row < 0 || row >= pool)
      throw value_error(std::string(call) + ": " + name + " names row " + std::to_string(row) +
                        ", which is not among the " + std::to_string(pool) + " rows");
    barred[std::size_t(row)] = 1;
  }
}

/// Squared distances to the nearest of the `labelled` rows; empty if there are none.
std::vector<float> distance_to(const where& on, matrix_view<const float> points,
                               std::span<const index_t> labelled) {
  if (labelled.empty()) return {};
  std::vector<float> centres;
  centres.reserve(labelled.size() * std::size_t(points.cols));
  for (const index_t row : labelled)
    centres.insert(centres.end(), points.row(row), points.row(row) + points.cols);
  std::vector<float> covered(static_cast<std::size_t>(points.rows));
  nearest(on, points, {centres.data(), index_t(labelled.size()), points.cols}, {covered.data(), points.rows});
  return covered;
}

ranked pick_centers(const float_array& points, const integer& k, const std::optional<integer_array>& labelled,
                    const std::optional<float_array>& weights, const std::optional<integer_array>& exclude,
                    const integer& threads) {
  const char* call = "kcenter";
  const borrowed array(call, "points", points);
  const matrix_view<const float> view = array.rows();
  const std::optional<borrowed> weight =
      weights ? std::optional<borrowed>(std::in_place, call, "weights", *weights) : std::nullopt;
  const vector_view<const float> weight_view = weight ? weight->vector() : vector_view<const float>{};
  const integers centres = rows_given(call, "labelled", labelled),
                 excluded = rows_given(call, "exclude", exclude);
  const where on = on_cpu(call, threads);
  allowance limit;
  limit.picks = picks_of(call, k);
  return as_arrays(without_gil([&] {
    std::vector<std::uint8_t> barred;
    bar(call, "labelled", centres.span(), view.rows, barred);
    bar(call, "exclude", excluded.span(), view.rows, barred);
    const std::vector<float> covered = distance_to(on, view, centres.span());
    limit.barred = {barred.data(), index_t(barred.size())};
    batch_run run;
    run.advanced = heed_signals;
    return kcenter(on, view, limit, {covered.data(), index_t(covered.size())}, weight_view, &run);
  }));
}

ranked pick_badge(const outputs_array& x, const float_array& features, const integer& k,
                  const std::string& kind, const std::optional<integer_array>& exclude, const integer& seed,
                  bool bias, const std::string& first, const integer& threads) {
  const char* call = "badge";
  const borrowed model(call, "outputs", x), embedding(call, "features", features);
  const real_matrix view = model.outputs();
  const matrix_view<const float> feature_view = embedding.rows();
  const outputs holds = kind_of(call, kind);
  if (first != "largest_norm" && first != "random")
    throw value_error("badge: first is \"" + first + "\"; pass \"largest_norm\" or \"random\"");
  const integers excluded = rows_given(call, "exclude", exclude);
  const where on = on_cpu(call, threads);
  const auto draws = number_in<std::uint64_t>(call, "seed", seed);
  allowance limit;
  limit.picks = picks_of(call, k);
  return as_arrays(without_gil([&] {
    const index_t rows = rows_of(view), cols = cols_of(view);
    std::vector<std::uint8_t> barred;
    bar(call, "exclude", excluded.span(), rows, barred);
    const auto gradient = std::make_unique_for_overwrite<float[]>(std::size_t(rows * cols));
    const matrix_view<float> a{gradient.get(), rows, cols};
    output_gradient(on, view, holds, a);
    limit.barred = {barred.data(), index_t(barred.size())};
    batch_run run;
    run.advanced = heed_signals;
    return kmeans_pp(on, {a, feature_view, bias}, limit, draws,
                     first == "random" ? first_center::random : first_center::largest_norm, &run);
  }));
}

using optional_path = std::optional<std::filesystem::path>;

struct select_call {
  static constexpr const char* name = "select";
  static batch answer(const where& on, const pool_inputs& pool, selection_request request,
                      const optional_path& file) {
    const auto saved =
        file ? std::optional<checkpoint>(std::in_place, *file, fingerprint(on, pool, request)) : std::nullopt;
    batch_run run;
    if (saved) run.begin = saved->read().value_or(batch_state{});
    run.advanced = [&](const batch_state& state) {
      if (saved) saved->write(state);
      heed_signals(state);
    };
    request.run = &run;
    batch chosen = select(on, pool, request);
    if (saved) saved->remove();
    return chosen;
  }
};

struct plan_call {
  static constexpr const char* name = "plan";
  static query_plan answer(const where& on, const pool_inputs& pool, const selection_request& request,
                           const optional_path&) {
    return plan(on, pool, request);
  }
};

/// Refuses what needs more than the ceiling.
void check_memory(const where& on, const pool_inputs& pool, const selection_request& request,
                  std::uint64_t ceiling) {
  const std::uint64_t needed = plan_memory(on, pool, request).bytes - process_bytes;
  if (needed > ceiling)
    throw value_error(std::string(request.names.call) + ": needs " + std::to_string(needed) +
                      " bytes beside the arrays but memory allows " + std::to_string(ceiling) +
                      "; raise it, or keep fewer candidates (strategy=\"margin/10x/kcenter\")");
}

/// One request, two questions.
template <class Call>
auto query(const std::string& strategy, const std::optional<integer>& batch_size,
           const std::optional<outputs_array>& model, const std::optional<outputs_array>& members,
           const std::string& kind, const std::optional<float_array>& embeddings,
           const std::optional<integer_array>& labelled, const std::optional<integer_array>& exclude,
           const std::optional<integer_array>& cost, const std::optional<integer>& budget,
           const std::optional<integer_array>& group, const std::optional<integer_array>& quota,
           std::optional<float> apart, const std::string& neighbours, const integer& seed, const integer& round,
           const std::string& on_nan, const optional_path& checkpoint_file,
           const std::optional<integer>& memory, const integer& threads) {
  const char* const call = Call::name;
  const auto array_of = [call](const char* name, const auto& given) {
    return given ? std::optional<borrowed>(std::in_place, call, name, *given) : std::nullopt;
  };
  const auto logits = array_of("outputs", model), committee = array_of("committee", members),
             features = array_of("embeddings", embeddings);
  const integers labelled_rows = rows_given(call, "labelled", labelled),
                 excluded_rows = rows_given(call, "exclude", exclude), costs = rows_given(call, "cost", cost),
                 groups = rows_given(call, "group", group), quotas = rows_given(call, "quota", quota);
  if (budget && !cost)
    throw value_error(std::string(call) + ": budget is in the unit of cost; pass cost, or batch for a number");
  if (!batch_size && !budget)
    throw value_error(std::string(call) + ": neither batch nor budget is given; say how much to pick");
  if (group.has_value() != quota.has_value())
    throw value_error(std::string(call) + ": pass group and quota together, or neither");
  if (on_nan != "refuse" && on_nan != "skip")
    throw value_error(std::string(call) + ": on_nan is \"" + on_nan + "\"; pass \"refuse\" or \"skip\"");

  pool_inputs pool;
  pool.model_kind = pool.committee_kind = kind_of(call, kind);
  if (features) {
    pool.embeddings = features->rows();
    pool.rows = pool.embeddings->rows;
  }
  if (committee) {
    pool.committee = committee->committee();
    pool.rows = std::visit([](auto cube) { return cube.rows; }, *pool.committee);
  }
  if (logits) {
    pool.model = logits->outputs();
    pool.rows = rows_of(*pool.model);
  }
  if (pool.rows == 0) pool.rows = costs.view().size;
  pool.check(call);

  selection_request request;
  request.names = {call, "outputs", "committee", "embeddings", "exclude", "on_nan=\"skip\"", "neighbours"};
  request.what = parse_strategy(strategy);
  request.labelled = labelled_rows.span();
  request.excluded = excluded_rows.span();
  request.seed = number_in<std::uint64_t>(call, "seed", seed);
  request.round = number_in<std::uint32_t>(call, "round", round);
  request.apart = apart;
  request.neighbours = parse_knn_method(neighbours);
  request.invalid = on_nan == "skip" ? on_invalid::skip : on_invalid::refuse;
  request.limit.cost = costs.view();
  request.limit.group = groups.view();
  request.limit.quota = quotas.view();
  if (budget) request.limit.budget = number_in<std::int64_t>(call, "budget", *budget);
  const index_t taken = labelled_rows.view().size + excluded_rows.view().size;
  request.limit.picks =
      batch_size ? number_in<index_t>(call, "batch", *batch_size) : std::max<index_t>(0, pool.rows - taken);

  const where on = on_cpu(call, threads);
  if (memory) check_memory(on, pool, request, number_in<std::uint64_t>(call, "memory", *memory));
  return without_gil([&] { return Call::answer(on, pool, request, checkpoint_file); });
}

template <class Call>
void define_query(nb::module_& m, const char* text) {
  m.def(Call::name, &query<Call>, nb::kw_only(), "strategy"_a, "batch"_a = nb::none(), "outputs"_a = nb::none(),
        "committee"_a = nb::none(), "kind"_a = "logits", "embeddings"_a = nb::none(), "labelled"_a = nb::none(),
        "exclude"_a = nb::none(), "cost"_a = nb::none(), "budget"_a = nb::none(), "group"_a = nb::none(),
        "quota"_a = nb::none(), "apart"_a = nb::none(), "neighbours"_a = "auto", "seed"_a = 0, "round"_a = 0,
        "on_nan"_a = "refuse", "checkpoint"_a = nb::none(), "memory"_a = nb::none(), "threads"_a = 0, text);
}

/// One member of every pick as an array.
template <class T>
auto column(T pick::*member) {
  return [member](const batch& b) {
    std::vector<T> values(b.picks.size());
    std::transform(b.picks.begin(), b.picks.end(), values.begin(),
                   [member](const pick& p) { return p.*member; });
    return owned(std::move(values));
  };
}

void define_results(nb::module_& m) {
  nb::class_<knn_report>(m, "KnnReport",
                         "How lists of neighbours were made. What says nothing about the method is 0.")
      .def_prop_ro(
          "method", [](const knn_report& r) { return name_of(r.method); }, "\"exact\", \"ivf\" or \"hnsw\".")
      .def_ro(
          "recall", &knn_report::recall,
          "The share of listed neighbours as near as the exact ones, over `sampled` rows; 1 for exact lists.")
      .def_ro("sampled", &knn_report::sampled)
      .def_ro("cells", &knn_report::cells)
      .def_ro("probes", &knn_report::probes, "Cells that each row looks into.")
      .def_ro("train_rows", &knn_report::train_rows, "Rows that the cells were made from.")
      .def_ro("links", &knn_report::links)
      .def_ro("breadth", &knn_report::breadth, "Rows that a walk along links keeps.")
      .def("__repr__", [](const knn_report& r) {
        return "<poolwise.KnnReport: " + std::string(name_of(r.method)) + ", recall " +
               std::to_string(r.recall) + ">";
      });

  nb::class_<batch>(m, "Batch", "What `select` picked, in the order of the picks.")
      .def_prop_ro("rows", column(&pick::row), nb::rv_policy::automatic, "Row numbers, int64.")
      .def_prop_ro("scores", column(&pick::score), nb::rv_policy::automatic,
                   "Of the acquisition, or the gain where a diversity strategy ordered the picks; float32.")
      .def_prop_ro("costs", column(&pick::cost), nb::rv_policy::automatic, "What each pick costs, int64.")
      .def_prop_ro(
          "reasons",
          [](const batch& b) {
            std::vector<std::string> reasons;
            for (const pick& p : b.picks) reasons.push_back(p.reason);
            return reasons;
          },
          "Why each row was picked.")
      .def_prop_ro("cost", &batch::cost, "What all picks cost together.")
      .def_ro("skipped_rows", &batch::skipped_rows,
              "Rows that could not be judged and were left out (on_nan=\"skip\").")
      .def_ro("first_skipped", &batch::first_skipped, "The first of them; -1 if none.")
      .def_ro("neighbours", &batch::neighbours,
              "How the strategy found each row's neighbours, a KnnReport; None if it looks for none.")
      .def_ro("rank_seconds", &batch::rank_seconds)
      .def_ro("diversify_seconds", &batch::diversify_seconds)
      .def("__len__", [](const batch& b) { return b.picks.size(); })
      .def("__repr__",
           [](const batch& b) { return "<poolwise.Batch of " + std::to_string(b.picks.size()) + " picks>"; });

  nb::class_<plan_step>(m, "PlanStep", "One step of a plan.")
      .def_ro("name", &plan_step::name)
      .def_ro("bytes", &plan_step::bytes, "Allocated while the step runs, beside the inputs.")
      .def_ro("sweeps", &plan_step::sweeps, "Passes over the step's rows.")
      .def_ro("seconds", &plan_step::seconds);
  nb::class_<query_plan>(m, "Plan", "What a `select` will take.")
      .def_ro("input_bytes", &query_plan::input_bytes, "Of the arrays, which are not copied.")
      .def_ro("bytes", &query_plan::bytes, "An upper bound on what the call allocates beside the inputs.")
      .def_ro("sweeps", &query_plan::sweeps, "Passes over the pool.")
      .def_ro("seconds", &query_plan::seconds, "By extrapolation from a probe.")
      .def_ro("steps", &query_plan::steps)
      .def("__repr__", [](const query_plan& p) {
        return "<poolwise.Plan of " + std::to_string(p.bytes) + " bytes, " + std::to_string(p.sweeps) +
               " sweeps, " + std::to_string(p.seconds) + " s>";
      });

  nb::class_<strategy_entry>(m, "Strategy", "A word that strategies are made of.")
      .def_prop_ro("name", [](const strategy_entry& e) { return e.name; })
      .def_prop_ro(
          "kind", [](const strategy_entry& e) { return e.kind; },
          "\"acquisition\", \"disagreement\" or \"diversity\".")
      .def_prop_ro("formula", [](const strategy_entry& e) { return e.formula; })
      .def_prop_ro("needs", [](const strategy_entry& e) { return e.needs; })
      .def_prop_ro("source", [](const strategy_entry& e) { return e.source; })
      .def("__repr__", [](const strategy_entry& e) {
        return "<poolwise.Strategy " + std::string(e.name) + ": " + e.formula + ">";
      });
}

void define_calls(nb::module_& m) {
  m.def("score", &score_rows, "outputs"_a, "acquisition"_a, nb::kw_only(), "kind"_a = "logits",
        "out"_a = nb::none(), "threads"_a = 0,
        R"(Acquisition scores of every row, larger = more worth labelling, all of them in one read of `outputs`.

outputs      [rows, classes] float32, float16 or bfloat16 (of ml_dtypes or torch, or uint16 as its bits).
acquisition  a name ("entropy", "margin", "least_confidence", "ratio", "energy") or a list of names.
kind         what `outputs` holds: "logits" or "probabilities".
out          where to write: float32, writable, of the result's shape; None for a new array.
returns      float32 [rows] for a name, [rows, names] for a list. A row without a distribution (a NaN, +Inf, a
             wrong sum) scores NaN, and `top_k` and `select` refuse it.
raises       ArrayError, ShapeError, InvalidValueError (an unknown name; energy of probabilities).

The same bits for any number of threads and any CPU. Reads `outputs` once; allocates the result alone.)");

  m.def("committee", &score_members, "outputs"_a, "disagreement"_a, nb::kw_only(), "kind"_a = "logits",
        "out"_a = nb::none(), "threads"_a = 0,
        R"(How much the members of a committee disagree about each row, by every disagreement in one pass.

outputs       [members, rows, classes] float32, float16 or bfloat16, dense in C order.
disagreement  a name ("bald", "consensus_entropy", "vote_entropy", "variation_ratio", "max_kl", "mean_std") or a
              list of names.
kind, out     as for `score`.
returns       float32 [rows] or [rows, names]; NaN where a member has no distribution.
raises        ArrayError, ShapeError, InvalidValueError.

Reads `outputs` once, twice for max_kl; allocates the result and a few KiB a thread.)");

  m.def("top_k", &best_rows, "scores"_a, "k"_a, nb::kw_only(), "threads"_a = 0,
        R"(The k rows of highest score, best first; ties to the lower row.

scores   [rows] float32, dense.
returns  (rows, scores): int64 and float32 [min(k, rows)].
raises   InvalidValueError for a NaN (names the first row and counts them) or k < 0; ArrayError, ShapeError.

Reads the scores once, sorts nothing but what may be among the best: O(rows + k log k) time, O(k) memory.)");

  m.def("kcenter", &pick_centers, "points"_a, "k"_a, nb::kw_only(), "labelled"_a = nb::none(),
        "weights"_a = nb::none(), "exclude"_a = nb::none(), "threads"_a = 0,
        R"(A batch by greedy k-center: again and again the row farthest from everything labelled or picked.

points    [rows, features] float32, finite.
labelled  row numbers: never picked, and covered from the start. None or empty: the first pick is row 0, or the
          first row of a positive weight.
weights   [rows] float32 >= 0: the gain is weight * squared distance. None for 1.
exclude   row numbers that are not picked.
returns   (rows, gains): int64 and float32, in the order of the picks; fewer than k if the rows run out.
raises    ArrayError, ShapeError, InvalidValueError (NaN, infinity, a negative weight, a row out of range).

The picks of plain greedy, to the row, for any number of threads. Memory: some bytes a row beside the inputs, and a
copy of the labelled rows. Gonzalez 1985; Sener & Savarese, ICLR 2018.)");

  m.def(
      "badge", &pick_badge, "outputs"_a, "features"_a, "k"_a, nb::kw_only(), "kind"_a = "logits",
      "exclude"_a = nb::none(), "seed"_a = 0, "bias"_a = true, "first"_a = "largest_norm", "threads"_a = 0,
      R"(A batch by BADGE: k-means++ over the gradients that each row's predicted label would send to the last layer.

outputs   [rows, classes] as for `score`; features [rows, features] float32: what the last layer is fed.
bias      as if every row had one more feature, 1, as a last layer with a bias has.
first     "largest_norm", as the published code begins, or "random", as k-means++ does.
exclude   row numbers that are not picked.
returns   (rows, distances): int64, and float32 squared distances that the rows were drawn with.
raises    ArrayError, ShapeError, InvalidValueError.

The same picks for a seed on any number of threads. The gradients, classes * features a row, are never formed:
memory is rows * (classes + a few) floats beside the inputs. Ash et al., ICLR 2020.)");

  define_query<select_call>(
      m,
      R"(Pick the batch to label next: rank, keep, diversify, within a budget, in one call.

strategy    a score, such as "margin" or "bald"; a diversity strategy: "kcenter", "weighted_kcenter", "badge",
            "dpp", "batchbald", "facility_location", "probcover", "graph_cut" or "typiclust"; or both, as
            "margin/1000/kcenter" (k-center among the 1000 rows of highest margin) or "margin/10x/badge" (ten
            for each pick). `strategies` says what each means, and needs.
batch       picks at most; None: what the budget buys.
outputs     [rows, classes], committee [members, rows, classes], as for `score` and `committee`; `kind` says what
            both hold. embeddings [rows, features] float32. Only what the strategy needs has to be there.
labelled    row numbers that have a label: never picked, and k-center's first centres.
exclude     row numbers that must not be picked.
cost        [rows] integers in the smallest unit; `budget` is what the picks may cost together, in that unit.
group       [rows] integers from 0; `quota` [groups] is how many picks each may have.
apart       no pick lies within this distance of another or of a labelled row, by the embeddings; 0 leaves out
            duplicates alone.
neighbours  how facility_location, graph_cut and typiclust find each row's neighbours: "exact", "ivf", "hnsw", or
            "auto": exact up to rows^2 * features = 1e13, ivf beyond. `Batch.neighbours` has the measured recall.
seed        with `round`, which numbers the queries of a campaign, decides every random choice.
on_nan      rows that cannot be judged: "refuse", or "skip" them.
checkpoint  a file to keep the picks so far in: a call that was ended goes on from it, and it is gone at the end.
            Scores alone and "typiclust" pick at once, and keep nothing.
memory      bytes that the call may allocate beside the arrays; one that needs more is refused before it begins.
returns     a Batch.
raises      InvalidValueError (a row out of range or given twice, too few rows, a part that is missing),
            BudgetError (not a single row can be bought), ShapeError, ArrayError.

The same batch for any number of threads. Integers other than int64 are widened in a copy; no other array is copied.
`plan` with the same arguments says what it takes.)");

  define_query<plan_call>(
      m,
      R"(What `select` with the same arguments would take: bytes, passes over the pool, and time.

Runs the request on some rows of the pool, for about a second at most. The arguments and errors of `select`, of which
`checkpoint` is not touched; returns a Plan.)");

  m.def(
      "strategies",
      [] {
        const auto entries = strategy_entries();
        return std::vector<strategy_entry>(entries.begin(), entries.end());
      },
      "The words that strategies are made of, with formula, needs and source.");
}

/// The classes of _errors.py, by name: they stay alive with their module.
void raise_as(const char* type, const std::exception& problem) {
  PyErr_SetString(nb::module_::import_("poolwise._errors").attr(type).ptr(), problem.what());
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const array_error& problem) {
    raise_as("ArrayError", problem);
  } catch (const shape_error& problem) {
    raise_as("ShapeError", problem);
  } catch (const value_error& problem) {
    raise_as("InvalidValueError", problem);
  } catch (const budget_error& problem) {
    raise_as("BudgetError", problem);
  } catch (const no_cuda_error& problem) {
    raise_as("NoCudaError", problem);
  } catch (const cuda_error& problem) {
    raise_as("CudaError", problem);
  } catch (const memory_error& problem) {
    raise_as("DeviceMemoryError", problem);
  } catch (const error& problem) {
    raise_as("Error", problem);
  }
}

}  // namespace
}  // namespace poolwise::python

NB_MODULE(_core, m) {
  nanobind::register_exception_translator(poolwise::python::translate);
  m.attr("__version__") = POOLWISE_VERSION;
  poolwise::python::define_results(m);
  poolwise::python::define_calls(m);
}
