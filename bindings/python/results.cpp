// What queries and plans come to.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <new>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "module.hpp"
#include "poolwise/core/text.hpp"
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

/// Lets values be pickled, and so copied and sent to other processes, by these of their members.
template <class T, class... Members>
void pickled_by(nb::class_<T>& type, Members T::*... members) {
  type.def("__getstate__", [=](const T& value) { return std::tuple<Members...>(value.*members...); });
  type.def("__setstate__", [=](T& value, const std::tuple<Members...>& state) {
    new (&value) T{};
    std::tie(value.*members...) = state;
  });
}

void pickled_by_members(nb::class_<knn_report>& type) {
  using state = std::tuple<std::string, double, index_t, index_t, index_t, index_t, index_t, index_t>;
  type.def("__getstate__", [](const knn_report& r) {
    return state(name_of(r.method), r.recall, r.sampled, r.cells, r.probes, r.train_rows, r.links, r.breadth);
  });
  type.def("__setstate__", [](knn_report& r, const state& from) {
    new (&r) knn_report{};
    std::string method;
    std::tie(method, r.recall, r.sampled, r.cells, r.probes, r.train_rows, r.links, r.breadth) = from;
    r.method = parse_knn_method(method);
  });
}

/// A pick, or a list of those of a slice.
nb::object picks_at(const batch& b, const nb::object& at) {
  if (PySlice_Check(at.ptr())) return nb::cast(b.picks)[at];
  Py_ssize_t i = PyNumber_AsSsize_t(at.ptr(), PyExc_IndexError);
  if (i == -1 && PyErr_Occurred() != nullptr) throw nb::python_error();
  const auto size = Py_ssize_t(b.picks.size());
  if (i < 0) i += size;
  if (i < 0 || i >= size)
    throw nb::index_error(("a batch of " + std::to_string(size) + " picks has no such pick").c_str());
  return nb::cast(b.picks[std::size_t(i)], nb::rv_policy::copy);
}

std::string text_of(const batch& b) {
  constexpr std::size_t most = 5;
  std::string text = "<poolwise.Batch of " + std::to_string(b.picks.size()) + " picks";
  for (std::size_t i = 0; i < std::min(most, b.picks.size()); ++i)
    text += (i == 0 ? ": rows " : ", ") + std::to_string(b.picks[i].row);
  return text + (b.picks.size() > most ? ", ...>" : ">");
}

std::string text_of(const pick& p) {
  return "<poolwise.Pick of row " + std::to_string(p.row) + ", \"" + printable(p.id) + "\", score " +
         std::to_string(p.score) + ", cost " + std::to_string(p.cost) + ": " + p.reason + ">";
}

void define_reports(nb::module_& m) {
  nb::class_<knn_report> report(m, "KnnReport",
                                "How lists of neighbours were made. What says nothing about the method is 0.");
  report
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
  pickled_by_members(report);
}

void define_batch(nb::module_& m) {
  nb::class_<pick> picked(m, "Pick", "One row of a Batch.");
  picked.def_ro("row", &pick::row)
      .def_ro("id", &pick::id, "What the pool calls the row.")
      .def_ro("score", &pick::score)
      .def_ro("cost", &pick::cost)
      .def_ro("reason", &pick::reason)
      .def_ro("kept_by", &pick::kept_by, "The scores by which it was kept, one for each of Batch.kept_by.")
      .def_ro("also_cost", &pick::also_cost, "Its further costs, one for each of Batch.also_cost.")
      .def("__repr__", [](const pick& p) { return text_of(p); });
  pickled_by(picked, &pick::row, &pick::id, &pick::score, &pick::cost, &pick::reason, &pick::kept_by,
             &pick::also_cost);

  nb::class_<batch> picks(m, "Batch", "What `select` picked, in the order of the picks: a sequence of Pick.");
  picks.def_prop_ro("rows", column(&pick::row), nb::rv_policy::automatic, "Row numbers, int64.")
      .def_prop_ro("ids", texts(&pick::id), "What the pool calls the rows: of `ids`, or their numbers.")
      .def_prop_ro("scores", column(&pick::score), nb::rv_policy::automatic,
                   "Of the acquisition, or the gain where a diversity strategy ordered the picks; float32.")
      .def_prop_ro("costs", column(&pick::cost), nb::rv_policy::automatic, "What each pick costs, int64.")
      .def_prop_ro("reasons", texts(&pick::reason), "Why each row was picked.")
      .def_prop_ro("cost", nb::overload_cast<>(&batch::cost, nb::const_), "What all picks cost together.")
      .def_ro("strategy", &batch::strategy, "By which they were picked, with every parameter, given or not.")
      .def_ro("kept_by", &batch::kept_by, "The stages before the last that scored rows, in order.")
      .def_ro("also_cost", &batch::also_cost, "The names of the further costs, in order.")
      .def_ro(
          "of_optimum", &batch::of_optimum,
          "Where a budget decided between scores: at least this share of the highest total score that it "
          "buys. Of facility_location, graph_cut and probcover under a budget or floors: of the highest total "
          "gain. Else None.")
      .def_ro("remarks", &batch::remarks, "What was not quite as asked: fewer picks, more candidates.")
      .def_ro("skipped_rows", &batch::skipped_rows,
              "Rows that could not be judged and were left out (on_nan=\"skip\").")
      .def_ro("first_skipped", &batch::first_skipped, "The first of them; -1 if none.")
      .def_ro("neighbours", &batch::neighbours,
              "How the strategy found each row's neighbours, a KnnReport; None if it looks for none.")
      .def_ro("rank_seconds", &batch::rank_seconds)
      .def_ro("diversify_seconds", &batch::diversify_seconds)
      .def("__len__", [](const batch& b) { return b.picks.size(); })
      .def("__getitem__", &picks_at, "at"_a,
           nb::sig("def __getitem__(self, at: int | slice, /) -> Pick | list[Pick]"))
      .def(
          "__iter__", [](const batch& b) { return nb::iter(nb::cast(b.picks)); },
          nb::sig("def __iter__(self) -> collections.abc.Iterator[Pick]"))
      .def("__repr__", [](const batch& b) { return text_of(b); });
  pickled_by(picks, &batch::picks, &batch::strategy, &batch::kept_by, &batch::also_cost, &batch::of_optimum,
             &batch::remarks, &batch::skipped_rows, &batch::first_skipped, &batch::rank_seconds,
             &batch::diversify_seconds, &batch::neighbours);
}

void define_plan(nb::module_& m) {
  nb::class_<plan_step> step(m, "PlanStep", "One step of a plan.");
  step.def_ro("name", &plan_step::name)
      .def_ro("bytes", &plan_step::bytes, "Allocated while the step runs, beside the inputs.")
      .def_ro("sweeps", &plan_step::sweeps, "Passes over the step's rows.")
      .def_ro("seconds", &plan_step::seconds);
  pickled_by(step, &plan_step::name, &plan_step::bytes, &plan_step::sweeps, &plan_step::seconds);

  nb::class_<query_plan> plan(m, "Plan", "What a `select` will take.");
  plan.def_ro("input_bytes", &query_plan::input_bytes, "Of the arrays, as they are read.")
      .def_ro("bytes", &query_plan::bytes,
              "An upper bound on what the call allocates beside the inputs, copies of them included.")
      .def_ro("sweeps", &query_plan::sweeps, "Passes over the pool.")
      .def_ro("seconds", &query_plan::seconds, "Drawn on from runs of each stage on few rows.")
      .def_ro("least_seconds", &query_plan::least_seconds)
      .def_ro("most_seconds", &query_plan::most_seconds)
      .def_ro("steps", &query_plan::steps)
      .def("__repr__", [](const query_plan& p) {
        return "<poolwise.Plan of " + std::to_string(p.bytes) + " bytes, " + std::to_string(p.sweeps) +
               " sweeps, " + std::to_string(p.seconds) + " s>";
      });
  pickled_by(plan, &query_plan::input_bytes, &query_plan::bytes, &query_plan::sweeps, &query_plan::seconds,
             &query_plan::least_seconds, &query_plan::most_seconds, &query_plan::steps);
}

void define_strategy(nb::module_& m) {
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
      .def_prop_ro(
          "aliases",
          [](const strategy_entry& e) { return std::vector<std::string>(e.aliases.begin(), e.aliases.end()); },
          "Other names; case, - and _ do not count.")
      .def_prop_ro("example", &strategy_entry::example, "The shortest strategy that has it.")
      .def("__repr__", [](const strategy_entry& e) {
        return "<poolwise.Strategy " + std::string(e.name) + ": " + e.formula + ">";
      });
}

}  // namespace

void define_results(nb::module_& m) {
  define_reports(m);
  define_batch(m);
  define_plan(m);
  define_strategy(m);
}

}  // namespace poolwise::python
