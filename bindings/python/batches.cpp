// Batches from the arrays of one algorithm.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "module.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise::python {
namespace {

using row_array = nb::ndarray<nb::numpy, index_t, nb::ndim<1>>;
using score_array = nb::ndarray<nb::numpy, float, nb::ndim<1>>;
using ranked = std::pair<row_array, score_array>;

index_t picks_of(const char* call, const integer& k) { return number_in<index_t>(call, "k", k); }

ranked as_arrays(const std::vector<candidate>& picks) {
  std::vector<index_t> rows(picks.size());
  std::vector<float> scores(picks.size());
  for (std::size_t i = 0; i < picks.size(); ++i) {
    rows[i] = picks[i].row;
    scores[i] = picks[i].score;
  }
  return {owned(std::move(rows)), owned(std::move(scores))};
}

ranked best_scores(const float_array& scores, const integer& k, const integer& threads) {
  borrowed array("top_k", "scores", scores);
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

ranked pick_centers(const float_array& points, const integer& k, const std::optional<integer_array>& labelled,
                    const std::optional<float_array>& weights, const std::optional<integer_array>& exclude,
                    const integer& threads) {
  const char* call = "kcenter";
  borrowed array(call, "points", points);
  const matrix_view<const float> view = array.rows();
  std::optional<borrowed> weight;
  if (weights) weight.emplace(call, "weights", *weights);
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
    limit.barred = {barred.data(), index_t(barred.size())};
    const finite_rows finite = require_finite(on, call, "points", view);
    std::vector<float> labels;
    for (const index_t row : centres.span())
      labels.insert(labels.end(), view.row(row), view.row(row) + view.cols);
    const auto covered = distances_to(
        on, finite, finite_rows::judged({labels.data(), index_t(centres.span().size()), view.cols}));
    return kcenter(on, finite, limit, {covered.data(), index_t(covered.size())}, weight_view);
  }));
}

ranked pick_badge(const outputs_array& x, const float_array& features, const integer& k, const word& kind,
                  const std::optional<integer_array>& exclude, const integer& seed, const flag& bias,
                  const word& first, const integer& threads) {
  const char* call = "badge";
  borrowed model(call, "outputs", x), embedding(call, "features", features);
  const real_matrix view = model.outputs();
  const matrix_view<const float> feature_view = embedding.rows();
  const outputs holds = kind_of(call, kind);
  if (holds == outputs::logits)
    check_logits(call, "outputs", committee_outputs({view}), "kind=\"probabilities\"");
  const std::string begins = text_in(call, "first", first);
  const bool with_bias = flag_in(call, "bias", bias);
  if (begins != "largest_norm" && begins != "random")
    throw value_error("badge: first is \"" + printable(begins) + "\"; pass \"largest_norm\" or \"random\"");
  const integers excluded = rows_given(call, "exclude", exclude);
  const where on = on_cpu(call, threads);
  const auto draws = number_in<std::uint64_t>(call, "seed", seed);
  allowance limit;
  limit.picks = picks_of(call, k);
  return as_arrays(without_gil([&] {
    std::vector<std::uint8_t> barred;
    bar(call, "exclude", excluded.span(), rows_of(view), barred);
    limit.barred = {barred.data(), index_t(barred.size())};
    return badge(on, view, holds, feature_view, limit, draws, with_bias,
                 begins == "random" ? first_center::random : first_center::largest_norm);
  }));
}

}  // namespace

void define_batches(nb::module_& m) {
  m.def("top_k", &best_scores, "scores"_a, "k"_a, nb::kw_only(), "threads"_a = 0,
        R"(The k rows of highest score, best first; ties to the lower row.

scores   [rows] float32; other floats, and values that do not lie beside each other, are converted in a copy.
returns  (rows, scores): int64 and float32 [min(k, rows)].
raises   InvalidValueError for a NaN (names the first row and counts them) or k < 0; ArrayError, ShapeError.

Reads the scores once, sorts nothing but what may be among the best: O(rows + k log k) time, O(k) memory.)");

  m.def("kcenter", &pick_centers, "points"_a, "k"_a, nb::kw_only(), "labelled"_a = nb::none(),
        "weights"_a = nb::none(), "exclude"_a = nb::none(), "threads"_a = 0,
        R"(A batch by greedy k-center: again and again the row farthest from everything labelled or picked.

points    [rows, features] float32, finite; other floats are converted in a copy.
labelled  row numbers, a list, array or set: never picked, and covered from the start. None or empty: the first pick is row 0, or the
          first row of a positive weight.
weights   [rows] float32 >= 0: the gain is weight * squared distance. None for 1.
exclude   row numbers that are not picked.
returns   (rows, gains): int64 and float32, in the order of the picks; fewer than k if the rows run out.
raises    ArrayError, ShapeError, InvalidValueError (NaN, infinity, squared distances that leave float32, a negative
          weight, a row out of range).

The picks of plain greedy, to the row, for any number of threads. Memory: some bytes a row beside the inputs, and a
copy of the labelled rows. Gonzalez 1985; Sener & Savarese, ICLR 2018.)");

  m.def(
      "badge", &pick_badge, "outputs"_a, "features"_a, "k"_a, nb::kw_only(), "kind"_a = "logits",
      "exclude"_a = nb::none(), "seed"_a = 0, "bias"_a = true, "first"_a = "largest_norm", "threads"_a = 0,
      R"(A batch by BADGE: k-means++ over the gradients that each row's predicted label would send to the last layer.

outputs   [rows, classes] and kind, as for `score`; features [rows, features] as of `kcenter`: what the last layer is
          fed.
bias      as if every row had one more feature, 1, as a last layer with a bias has.
first     "largest_norm", as the published code begins, or "random", as k-means++ does.
exclude   row numbers that are not picked.
returns   (rows, distances): int64, and float32 squared distances that the rows were drawn with; where the model is
          so certain of every row that these leave the range of float32, times a power of two.
raises    ArrayError, ShapeError, InvalidValueError.

The same picks for a seed on any number of threads. The gradients, classes * features a row, are never formed:
memory is rows * (classes + a few) floats beside the inputs. Ash et al., ICLR 2020.)");
}

}  // namespace poolwise::python
