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
#include "poolwise/diverse/coverage.hpp"
#include "poolwise/diverse/dpp.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/graph/similarity.hpp"
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

ranked best_scores(const float_array& scores, const integer& k, const flag& copy, const integer& threads) {
  borrowed array("top_k", "scores", scores, flag_in("top_k", "copy", copy));
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

/// Rows that may not be picked: those that are labelled, and those that are excluded.
std::vector<std::uint8_t> barred_rows(const char* call, const integers& labelled, const integers& excluded,
                                      index_t rows) {
  std::vector<std::uint8_t> barred;
  bar(call, "labelled", labelled.span(), rows, barred);
  bar(call, "exclude", excluded.span(), rows, barred);
  return barred;
}

/// Numbers that may be left out.
class optional_values {
 public:
  optional_values(const char* call, const char* name, const std::optional<float_array>& given, bool may_copy) {
    if (given) view_ = array_.emplace(call, name, *given, may_copy).vector();
  }
  vector_view<const float> view() const { return view_; }

 private:
  std::optional<borrowed> array_;
  vector_view<const float> view_;
};

ranked pick_centers(const float_array& points, const integer& k, const std::optional<integer_array>& labelled,
                    const std::optional<float_array>& weights, const std::optional<integer_array>& exclude,
                    const flag& copy, const integer& threads) {
  const char* call = "kcenter";
  const bool may_copy = flag_in(call, "copy", copy);
  borrowed array(call, "points", points, may_copy);
  const matrix_view<const float> view = array.rows();
  optional_values weight(call, "weights", weights, may_copy);
  const integers centres = rows_given(call, "labelled", labelled),
                 excluded = rows_given(call, "exclude", exclude);
  const where on = on_cpu(call, threads);
  allowance limit;
  limit.picks = picks_of(call, k);
  return as_arrays(without_gil([&] {
    const std::vector<std::uint8_t> barred = barred_rows(call, centres, excluded, view.rows);
    limit.barred = {barred.data(), index_t(barred.size())};
    const finite_rows finite = require_finite(on, call, "points", view);
    std::vector<float> labels;
    for (const index_t row : centres.span())
      labels.insert(labels.end(), view.row(row), view.row(row) + view.cols);
    const auto covered = distances_to(
        on, finite, finite_rows::judged({labels.data(), index_t(centres.span().size()), view.cols}));
    return kcenter(on, finite, limit, {covered.data(), index_t(covered.size())}, weight.view());
  }));
}

ranked pick_badge(const outputs_array& x, const float_array& features, const integer& k, const word& kind,
                  const std::optional<integer_array>& exclude, const integer& seed, const flag& bias,
                  const word& first, const flag& copy, const integer& threads) {
  const char* call = "badge";
  const bool may_copy = flag_in(call, "copy", copy);
  borrowed model(call, "outputs", x, may_copy), embedding(call, "features", features, may_copy);
  const real_matrix view = model.outputs();
  const matrix_view<const float> feature_view = embedding.rows();
  const outputs holds = kind_of(call, kind);
  if (holds == outputs::logits) check_logits(call, "outputs", committee_outputs({view}), as_probabilities);
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
    const std::vector<std::uint8_t> barred = barred_rows(call, {}, excluded, rows_of(view));
    limit.barred = {barred.data(), index_t(barred.size())};
    return badge(on, view, holds, feature_view, limit, draws, with_bias,
                 begins == "random" ? first_center::random : first_center::largest_norm);
  }));
}

ranked pick_dpp(const float_array& points, const integer& k, const std::optional<float_array>& quality,
                const real& bandwidth, const word& similarity, const std::optional<integer_array>& exclude,
                const flag& copy, const integer& threads) {
  const char* call = "dpp";
  const bool may_copy = flag_in(call, "copy", copy);
  borrowed array(call, "points", points, may_copy);
  const matrix_view<const float> view = array.rows();
  optional_values worth(call, "quality", quality, may_copy);
  const std::string kind = text_in(call, "similarity", similarity);
  if (kind != "rbf" && kind != "linear")
    throw value_error("dpp: similarity is \"" + printable(kind) + "\"; pass \"rbf\" or \"linear\"");
  const dpp_kernel kernel{kind == "rbf" ? dpp_similarity::rbf : dpp_similarity::linear,
                          double(real_in(call, "bandwidth", bandwidth))};
  const integers excluded = rows_given(call, "exclude", exclude);
  const where on = on_cpu(call, threads);
  allowance limit;
  limit.picks = picks_of(call, k);
  return as_arrays(without_gil([&] {
    const std::vector<std::uint8_t> barred = barred_rows(call, {}, excluded, view.rows);
    limit.barred = {barred.data(), index_t(barred.size())};
    return dpp(on, view, limit, worth.view(), kernel);
  }));
}

ranked pick_facilities(const float_array& points, const integer& k,
                       const std::optional<integer_array>& labelled, const std::optional<float_array>& weights,
                       const std::optional<integer_array>& exclude, const integer& neighbours,
                       const word& method, const flag& copy, const integer& threads) {
  const char* call = "facility_location";
  const bool may_copy = flag_in(call, "copy", copy);
  borrowed array(call, "points", points, may_copy);
  const matrix_view<const float> view = array.rows();
  optional_values weight(call, "weights", weights, may_copy);
  const integers known = rows_given(call, "labelled", labelled),
                 excluded = rows_given(call, "exclude", exclude);
  const auto each = number_in<index_t>(call, "neighbours", neighbours, 1);
  const where on = on_cpu(call, threads);
  const knn_method by = resolved(parse_knn_method(text_in(call, "method", method)), on, view.rows, view.cols);
  allowance limit;
  limit.picks = picks_of(call, k);
  return as_arrays(without_gil([&] {
    const std::vector<std::uint8_t> barred = barred_rows(call, known, excluded, view.rows);
    limit.barred = {barred.data(), index_t(barred.size())};
    const finite_rows finite = require_finite(on, call, "points", view);
    const similarity_graph graph = knn_similarities(on, finite, each, 0, by);
    return facility_location(on, graph, limit, known.span(), weight.view());
  }));
}

}  // namespace

void define_batches(nb::module_& m) {
  m.def("top_k", &best_scores, "scores"_a, "k"_a, nb::kw_only(), "copy"_a = false, "threads"_a = 0,
        R"(The k rows of highest score, best first; ties to the lower row.

scores   [rows] float32; other floats, and values that do not lie beside each other, are converted in a copy.
returns  (rows, scores): int64 and float32 [min(k, rows)].
raises   InvalidValueError for a NaN (names the first row and counts them) or k < 0; ArrayError, ShapeError.

Reads the scores once, sorts nothing but what may be among the best: O(rows + k log k) time, O(k) memory.)");

  m.def("kcenter", &pick_centers, "points"_a, "k"_a, nb::kw_only(), "labelled"_a = nb::none(),
        "weights"_a = nb::none(), "exclude"_a = nb::none(), "copy"_a = false, "threads"_a = 0,
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
      "exclude"_a = nb::none(), "seed"_a = 0, "bias"_a = true, "first"_a = "largest_norm", "copy"_a = false,
      "threads"_a = 0,
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

  m.def(
      "dpp", &pick_dpp, "points"_a, "k"_a, nb::kw_only(), "quality"_a = nb::none(), "bandwidth"_a = 0.0,
      "similarity"_a = "rbf", "exclude"_a = nb::none(), "copy"_a = false, "threads"_a = 0,
      R"(A batch that a determinantal point process finds likely: rows of high quality that do not repeat each other.

points      [rows, features] float32, finite.
quality     [rows] float32 >= 0: what a row is worth by itself. None for 1.
similarity  "rbf", exp(-d^2 / (2 bandwidth^2)), or "linear", the dot product: of rows of norm 1 the cosine.
bandwidth   of rbf, in the unit of the distances; 0: the median distance between rows.
exclude     row numbers that are not picked.
returns     (rows, gains): int64, and float32 by what factor each grew the determinant; never rising.
raises      ArrayError, ShapeError, InvalidValueError (NaN, infinity, a negative quality or bandwidth, a row out of
            range).

Greedy: again and again the row that raises the determinant most; the same for any number of threads. Memory: 4 bytes
a row and pick. Kulesza & Taskar 2012; Chen, Zhang & Zhou, NeurIPS 2018.)");

  m.def(
      "facility_location", &pick_facilities, "points"_a, "k"_a, nb::kw_only(), "labelled"_a = nb::none(),
      "weights"_a = nb::none(), "exclude"_a = nb::none(), "neighbours"_a = 32, "method"_a = "auto",
      "copy"_a = false, "threads"_a = 0,
      R"(A batch that stands for the pool: picks that most rows are like, over the graph of each row's nearest.

points      [rows, features] float32, finite.
labelled    row numbers that stand for rows from the start, and are not picked.
weights     [rows] float32 >= 0: what each row counts for. None for 1.
exclude     row numbers that are not picked.
neighbours  of each row, at least 1; likeness is 1 / (1 + d^2 / h), h the median d^2 to the farthest of them, and 0
            to all others.
method      how they are found: "exact", "ivf", "hnsw" or "auto", as for `knn_graph`.
returns     (rows, gains): int64, and float32 by how much each raises the sum of all rows' likeness to the nearest
            pick; never rising.
raises      ArrayError, ShapeError, InvalidValueError (NaN, infinity, a negative weight, a row out of range).

At least 1 - 1/e of the best sum of as many picks; the same for any number of threads. Memory: 16 bytes a row and
neighbour. Cornuejols et al. 1977; Nemhauser et al. 1978.)");
}

}  // namespace poolwise::python
