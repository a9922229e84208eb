// Who is near whom.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "module.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/graph/knn_method.hpp"

namespace poolwise::python {
namespace {

/// [rows] or [rows, cols] that numpy owns, and a view of it.
template <class T>
struct numpy_array {
  nb::object array;
  T* data;

  numpy_array(const char* type, const nb::object& shape)
      : array(nb::module_::import_("numpy").attr("empty")(shape, type)) {
    held_buffer buffer;
    if (!buffer.take(array, PyBUF_WRITABLE)) throw nb::python_error();
    data = static_cast<T*>(buffer->buf);
  }
};

using row_numbers = nb::typed<nb::object, nb::ndarray<nb::numpy, index_t>>;
using distances = nb::typed<nb::object, nb::ndarray<nb::numpy, float>>;

std::pair<row_numbers, distances> nearest_references(const float_array& points, const float_array& references,
                                                     const flag& copy, const integer& threads) {
  const char* const call = "nearest";
  const bool may_copy = flag_in(call, "copy", copy);
  borrowed from(call, "points", points, may_copy), to(call, "references", references, may_copy);
  const matrix_view<const float> x = from.rows(), y = to.rows();
  const where on = on_cpu(call, threads);
  const nb::object shape = nb::make_tuple(x.rows);
  const numpy_array<index_t> which("int64", shape);
  const numpy_array<float> d2("float32", shape);
  without_gil([&] { nearest(on, x, y, {d2.data, x.rows}, {which.data, x.rows}); });
  return {nb::borrow<row_numbers>(which.array), nb::borrow<distances>(d2.array)};
}

std::tuple<row_numbers, distances, knn_report> neighbour_lists(const float_array& points, const integer& k,
                                                               const word& method, const flag& copy,
                                                               const integer& threads) {
  const char* const call = "knn_graph";
  borrowed array(call, "points", points, flag_in(call, "copy", copy));
  const matrix_view<const float> x = array.rows();
  const where on = on_cpu(call, threads);
  const auto each = number_in<index_t>(call, "k", k, 1, std::max<index_t>(1, x.rows - 1));
  const knn_method by = resolved(parse_knn_method(text_in(call, "method", method)), on, x.rows, x.cols);
  const nb::object shape = nb::make_tuple(x.rows, each);
  const numpy_array<index_t> which("int64", shape);
  const numpy_array<float> d2("float32", shape);
  const knn_report report = without_gil([&] {
    return knn_graph_by(by, on, x, {which.data, x.rows, each}, {d2.data, x.rows, each});
  });
  return {nb::borrow<row_numbers>(which.array), nb::borrow<distances>(d2.array), report};
}

}  // namespace

void define_neighbours(nb::module_& m) {
  m.def("nearest", &nearest_references, "points"_a, "references"_a, nb::kw_only(), "copy"_a = false,
        "threads"_a = 0,
        R"(The nearest reference to every point, by squared Euclidean distance; ties to the lower reference.

points      [rows, features] float32, finite; references [references, features], at least one.
returns     (which, distances): int64 and float32 [rows], distances squared.
raises      ArrayError, ShapeError, InvalidValueError (NaN, infinity).

Exact, to the bit, for any number of threads. Memory beside the result: some MiB a thread.)");

  m.def("knn_graph", &neighbour_lists, "points"_a, "k"_a, nb::kw_only(), "method"_a = "auto", "copy"_a = false,
        "threads"_a = 0,
        R"(The k nearest others of every point, nearer first, ties to the lower row.

points   [rows, features] float32, finite.
k        from 1 to rows - 1.
method   "exact"; "ivf", an inverted file, or "hnsw", a small world, tuned to a recall of 0.98; "auto": exact up to
         rows^2 * features = 1e13, about a minute on two cores, ivf beyond.
returns  (neighbours, distances, report): int64 and float32 [rows, k], distances squared, and a KnnReport with the
         measured recall. A place that an approximation leaves empty is -1, at an infinite distance.
raises   ArrayError, ShapeError, InvalidValueError (NaN, infinity, another k or method).

The same lists for any number of threads. Malkov & Yashunin, IEEE TPAMI 2020 (hnsw); Jegou et al., IEEE TPAMI 2011
(ivf).)");
}

}  // namespace poolwise::python
