#include "pools.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "module.hpp"

namespace poolwise::python {
namespace {

constexpr const char* call = "Pool";

/// An id, or a list of them, as `arrow_ids` writes it.
std::string id_text(nb::handle id) {
  if (PyBytes_Check(id.ptr())) return nb::cast<std::string>(id.attr("hex")());
  if (PyLong_Check(id.ptr()) || nb::hasattr(id, "hex")) return nb::cast<std::string>(nb::str(id));  // a UUID
  return text_in(call, "rows_of", id);
}

/// What was given, or the table of a file.
nb::object table_in(nb::handle given) {
  const char* const what = "Pool: table";
  if (!PyUnicode_Check(given.ptr()) && !nb::hasattr(given, "__fspath__")) return nb::borrow(given);
  const std::string spec = path_in(call, "table", given).string();
  if (!names_parquet(spec))
    throw value_error(std::string(what) + " is " + shown(given) +
                      "; pass a table, or the name of a .parquet file");
  return parquet_table(what, spec);
}

std::optional<std::string> column_in(const char* name, const std::optional<word>& given) {
  if (!given) return std::nullopt;
  return text_in(call, name, *given);
}

}  // namespace

table_pool::table_pool(nb::handle table, const pool_columns& columns, bool may_copy)
    : table_("Pool: table", table_in(table)), kind_(columns.kind) {
  const auto column = [&](const char* name, const std::string& of) {
    return table_.column(std::string(call) + ": " + name, of);
  };
  const auto matrix = [&](const char* name, const std::string& of) -> borrowed& {
    return arrays_.emplace_back(call, name, column(name, of), may_copy);
  };
  if (columns.outputs) {
    model_ = matrix("outputs", *columns.outputs).outputs();
    if (kind_ == outputs::logits) check_logits(call, "outputs", committee_outputs({*model_}), as_probabilities);
  }
  if (!columns.committee.empty()) {
    std::vector<real_matrix> members;
    for (const std::string& name : columns.committee) members.push_back(matrix("committee", name).outputs());
    committee_.emplace(std::move(members));
    if (kind_ == outputs::logits) check_logits(call, "committee", *committee_, as_probabilities);
  }
  if (columns.embeddings) embeddings_ = matrix("embeddings", *columns.embeddings).rows();
  if (columns.cost) cost_ = column("cost", *columns.cost).integers();
  if (columns.group) {
    const arrow_column group = column("group", *columns.group);
    if (group.holds_integers())
      groups_ = group.integers();
    else
      group_names_ = group.texts();
  }
  if (columns.ids) {
    arrow_column ids = column("ids", *columns.ids);
    without_gil([&] { ids_.emplace(std::move(ids)); });
  }
}

void table_pool::give(const char* asking, pool_inputs& pool) const {
  const auto refuse_two = [&](bool there, bool here, const char* name) {
    if (there && here)
      throw value_error(std::string(asking) + ": " + name +
                        " is given, and the pool has it, too; pass one of them");
  };
  refuse_two(pool.model.has_value(), model_.has_value(), "outputs");
  refuse_two(pool.committee.has_value(), committee_.has_value(), "committee");
  refuse_two(pool.embeddings.has_value(), embeddings_.has_value(), "embeddings");
  refuse_two(!pool.cost.empty(), !cost_.empty(), "cost");
  if (model_) pool.model = model_;
  if (model_) pool.model_kind = kind_;
  if (committee_) pool.committee = committee_;
  if (committee_) pool.committee_kind = kind_;
  if (embeddings_) pool.embeddings = embeddings_;
  if (!cost_.empty()) pool.cost = {cost_.data(), index_t(cost_.size())};
  pool.rows = rows();
}

std::size_t table_pool::copied() const {
  std::size_t bytes =
      (cost_.size() + groups_.size()) * sizeof(index_t) + group_names_.size() * sizeof(std::string);
  for (const borrowed& array : arrays_) bytes += array.copied();
  return bytes;
}

std::string table_pool::parts() const {
  std::string text;
  const auto add = [&](bool there, const char* name) {
    if (there) text += (text.empty() ? "" : ", ") + std::string(name);
  };
  add(ids_.has_value(), "ids");
  add(model_.has_value(), "outputs");
  add(committee_.has_value(), "committee");
  add(embeddings_.has_value(), "embeddings");
  add(!cost_.empty(), "cost");
  add(!groups_.empty() || !group_names_.empty(), "group");
  return text.empty() ? "nothing" : text;
}

void define_pools(nb::module_& m) {
  nb::class_<table_pool> pool(m, "Pool",
                              R"(A pool that a table holds, looked at where it lies.

    poolwise.select("margin/10x/kcenter", poolwise.Pool(table, outputs="logits", embeddings="emb"), batch=100)

It keeps the table, and takes any strategy's keywords beside it: `labelled`, `quota`, `budget` and so on.)");
  pool.def(
      "__init__",
      [](table_pool* self, const table_source& table, const std::optional<word>& ids,
         const std::optional<word>& outputs, const word& kind, const std::optional<one_or_more>& committee,
         const std::optional<word>& embeddings, const std::optional<word>& cost,
         const std::optional<word>& group, const flag& copy) {
        pool_columns columns{.ids = column_in("ids", ids),
                             .outputs = column_in("outputs", outputs),
                             .embeddings = column_in("embeddings", embeddings),
                             .cost = column_in("cost", cost),
                             .group = column_in("group", group),
                             .committee = {},
                             .kind = kind_of(call, kind)};
        if (committee)
          columns.committee = PyUnicode_Check(committee->ptr())
                                  ? std::vector{text_in(call, "committee", *committee)}
                                  : texts_in(call, "committee", *committee);
        new (self) table_pool(table, columns, flag_in(call, "copy", copy));
      },
      "table"_a, nb::kw_only(), "ids"_a = nb::none(), "outputs"_a = nb::none(), "kind"_a = "logits",
      "committee"_a = nb::none(), "embeddings"_a = nb::none(), "cost"_a = nb::none(), "group"_a = nb::none(),
      "copy"_a = false,
      R"(Looks at the columns of a table.

table       anything with __arrow_c_stream__: of polars, pandas, pyarrow, duckdb, datasets; or the name of a .parquet
            file, which pyarrow reads.
ids         the column that says what rows are called: integers, strings, bytes or UUIDs, each once.
outputs     the column of logits, or of probabilities where `kind` says so: lists of float32 or float16, all of one
            length (FixedSizeList, polars' Array). committee: such columns, one a member. embeddings: the same, of
            float32.
cost        the column of integers in the smallest unit.
group       the column of integers from 0, or of names, for which `select` takes a dict of quotas.
copy        whether columns in several chunks, and float64, may be copied into what is needed; else they are
            refused.
raises      ArrayError (no table, values of another kind, several chunks), InvalidValueError (no such column, a null,
            an id that two rows have), ArgumentError.

Costs and groups are copied, 8 bytes a row; ids are looked through once, with as much.)");
  pool.def("__len__", &table_pool::rows)
      .def(
          "rows_of",
          [](const table_pool& self, const names& ids) {
            std::vector<std::string> texts;
            for (const nb::handle id : nb::borrow<nb::object>(ids)) texts.push_back(id_text(id));
            if (!self.ids())
              throw value_error("Pool.rows_of: the pool has no ids; make it with ids=\"COLUMN\"");
            return owned(without_gil([&] { return self.ids()->rows_of(texts); }));
          },
          "ids"_a,
          "The rows of these ids, in their order, int64. raises InvalidValueError for one that no row has.")
      .def("__repr__", [](const table_pool& self) {
        return "<poolwise.Pool of " + std::to_string(self.rows()) + " rows: " + self.parts() + ">";
      });
}

}  // namespace poolwise::python
