// Scores of rows, and the best of them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "module.hpp"
#include "poolwise/committee/committee.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise::python {
namespace {

template <class Score>
Score parse_score(const char* call, std::optional<Score> strategy_entry::*kind, const std::string& text) {
  // A strategy is read in some 70 us, more than it takes to score a few rows.
  static thread_local std::unordered_map<std::string, Score> known;
  if (const auto at = known.find(text); at != known.end()) return at->second;
  const strategy what = parse_strategy(text);
  const stage* const score = what.score();
  if (score != nullptr && score->entry->*kind) {
    if (known.size() < 64) known.emplace(text, *(score->entry->*kind));
    return *(score->entry->*kind);
  }
  std::string names;
  for (const strategy_entry& entry : strategies())
    if (entry.*kind) names += (names.empty() ? "" : ", ") + std::string(entry.name);
  throw value_error(std::string(call) + ": \"" + printable(text) + "\" is not one of its scores; pass one of " +
                    names);
}

/// What `score` and `committee` have in common: words in, [rows] or [rows, words] out.
template <class Score, class Work>
result_array scored(const char* call, std::optional<Score> strategy_entry::*kind, const char* name,
                    const one_or_more& words, index_t rows, const std::optional<result_array>& out,
                    const borrowed& read, Work work) {
  const bool vector = PyUnicode_Check(words.ptr());
  const std::vector<std::string> texts =
      vector ? std::vector{text_in(call, name, words)} : texts_in(call, name, words);
  std::vector<Score> which;
  for (const std::string& text : texts) which.push_back(parse_score(call, kind, text));
  const index_t cols = index_t(which.size());
  result_array scores = out ? *out : new_floats(rows, cols, vector);
  const result_place place(call, scores, rows, cols, vector, read);
  without_gil([&] { work(which, place.view()); });
  return scores;
}

result_array score_rows(const outputs_array& x, const one_or_more& acquisitions, const word& kind,
                        const std::optional<result_array>& out, const flag& copy, const integer& threads) {
  const char* const call = "score";
  borrowed array(call, "outputs", x, flag_in(call, "copy", copy));
  const real_matrix view = array.outputs();
  const outputs holds = kind_of(call, kind);
  if (holds == outputs::logits) check_logits(call, "outputs", committee_outputs({view}), as_probabilities);
  const where on = on_cpu(call, threads);
  return scored(call, &strategy_entry::fused, "acquisition", acquisitions, rows_of(view), out, array,
                [&](const auto& which, auto place) { score(on, view, holds, which, place); });
}

result_array score_members(const outputs_array& x, const one_or_more& disagreements, const word& kind,
                           const std::optional<result_array>& out, const flag& copy, const integer& threads) {
  const char* const call = "committee";
  borrowed array(call, "outputs", x, flag_in(call, "copy", copy));
  const real_cube view = array.committee();
  const outputs holds = kind_of(call, kind);
  const committee_outputs members(view);
  if (holds == outputs::logits) check_logits(call, "outputs", members, as_probabilities);
  check_axes(std::string(call) + ": outputs", members, holds);
  if (const std::string doubt = doubt_axes(members);
      !doubt.empty() && PyErr_WarnEx(PyExc_UserWarning, doubt.c_str(), 1) != 0)
    throw nb::python_error();
  const where on = on_cpu(call, threads);
  return scored(call, &strategy_entry::disagrees, "disagreement", disagreements, rows_of(view), out, array,
                [&](const auto& which, auto place) { score_committee(on, view, holds, which, place); });
}

}  // namespace

void define_scores(nb::module_& m) {
  m.def("score", &score_rows, "outputs"_a, "acquisition"_a, nb::kw_only(), "kind"_a = "logits",
        "out"_a = nb::none(), "copy"_a = false, "threads"_a = 0,
        R"(Acquisition scores of every row, larger = more worth labelling, all of them in one read of `outputs`.

outputs      [rows, classes] float32, float16 or bfloat16 (of ml_dtypes or torch); float64 is narrowed in a copy.
acquisition  a name ("entropy", "margin", "least_confidence", "ratio", "energy") or a list of names.
kind         what `outputs` holds: "logits" or "probabilities".
out          where to write: float32, writable, of the result's shape, apart from `outputs`; None for a new array.
returns      float32 [rows] for a name, [rows, names] for a list. A row without a distribution (a NaN, +Inf, a
             wrong sum) scores NaN, and `top_k` and `select` refuse it.
raises       ArrayError, ShapeError, InvalidValueError (an unknown name; energy of probabilities; logits that are
             all probabilities).

The same bits for any number of threads and any CPU. Reads `outputs` once; allocates the result alone.)");

  m.def("committee", &score_members, "outputs"_a, "disagreement"_a, nb::kw_only(), "kind"_a = "logits",
        "out"_a = nb::none(), "copy"_a = false, "threads"_a = 0,
        R"(How much the members of a committee disagree about each row, by every disagreement in one pass.

outputs       [members, rows, classes] of the types of `score`; used in place where dense in C order.
disagreement  a name ("bald", "consensus_entropy", "vote_entropy", "variation_ratio", "max_kl", "mean_std") or a
              list of names.
kind, out     as for `score`.
returns       float32 [rows] or [rows, names]; NaN where a member has no distribution.
raises        ArrayError, ShapeError, InvalidValueError. Warns of more members than rows, as of axes that are swapped.

Reads `outputs` once, twice for max_kl; allocates the result and a few KiB a thread.)");
}

}  // namespace poolwise::python
