// What queries and plans come to.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "module.hpp"
#include "poolwise/query/plan.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise::python {
namespace {

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

/// The same of words, as a list.
auto texts(std::string pick::*member) {
  return [member](const batch& b) {
    std::vector<std::string> words;
    for (const pick& p : b.picks) words.push_back(p.*member);
    return words;
  };
}

}  // namespace

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
      .def_prop_ro("ids", texts(&pick::id), "What the pool calls the rows: of `ids`, or their numbers.")
      .def_prop_ro("scores", column(&pick::score), nb::rv_policy::automatic,
                   "Of the acquisition, or the gain where a diversity strategy ordered the picks; float32.")
      .def_prop_ro("costs", column(&pick::cost), nb::rv_policy::automatic, "What each pick costs, int64.")
      .def_prop_ro("reasons", texts(&pick::reason), "Why each row was picked.")
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
      .def_prop_ro("needs", [](const strategy_entry& e) { return e.needs_text(); })
      .def_prop_ro("source", [](const strategy_entry& e) { return e.source; })
      .def_prop_ro(
          "parameters",
          [](const strategy_entry& e) {
            nb::dict standard;
            for (const parameter& p : e.parameters) standard[p.name] = p.standard;
            return standard;
          },
          "What it can be given, as in \"graph_cut(lambda=4)\", and what it takes else.")
      .def_prop_ro("example", &strategy_entry::example, "The shortest strategy that has it.")
      .def("__repr__", [](const strategy_entry& e) {
        return "<poolwise.Strategy " + std::string(e.name) + ": " + e.formula + ">";
      });
}

}  // namespace poolwise::python
