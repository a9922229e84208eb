#include "poolwise/ledger/export.hpp"

#include <nlohmann/json.hpp>
#include <span>

#include "poolwise/files/ids.hpp"
#include "poolwise/ledger/detail/body.hpp"

namespace poolwise {
namespace {

using nlohmann::json;

constexpr const char* decision_columns[] = {"event", "at_ms",  "round",      "rank",    "item",
                                            "row",   "score",  "cost",       "seconds", "group",
                                            "arm",   "reason", "probability"};
constexpr const char* label_columns[] = {"event",      "at_ms",   "item",     "label",     "source",
                                         "external",   "version", "replaces", "by",        "seconds",
                                         "confidence", "cost",    "why",      "guideline", "current"};

std::string cell(const json& row, const char* column) {
  const auto value = row.find(column);
  if (value == row.end() || value->is_null()) return {};
  return csv_field(value->is_string() ? value->get<std::string>() : value->dump());
}

class row_writer {
 public:
  row_writer(std::span<const char* const> columns, row_format as, const line_sink& write)
      : columns_(columns), as_(as), write_(write) {
    if (as == row_format::csv) write_line([](const char* column) { return std::string(column); });
  }

  void add(index_t event, std::int64_t at_ms, json row) const {
    row["event"] = event;
    row["at_ms"] = at_ms;
    if (as_ == row_format::jsonl)
      write_(row.dump() + "\n");
    else
      write_line([&](const char* column) { return cell(row, column); });
  }

 private:
  template <class CellOf>
  void write_line(CellOf cell_of) const {
    std::string line;
    for (const char* const column : columns_) {
      line += cell_of(column);
      line += ',';
    }
    line.back() = '\n';
    write_(line);
  }

  std::span<const char* const> columns_;
  row_format as_;
  const line_sink& write_;
};

}  // namespace

void export_events(const tables& from_tables, const line_sink& write, index_t from, index_t to) {
  from_tables.each_event(from, to, [&](const event& one) { write(line_of(one) + "\n"); });
}

void export_decisions(const tables& from_tables, row_format as, const line_sink& write) {
  const row_writer out(decision_columns, as, write);
  from_tables.each_of("decision", [&](const event& one) { out.add(one.number, one.at_ms, body_of(one)); });
}

void export_labels(const tables& from_tables, versions which, row_format as, const line_sink& write) {
  const row_writer out(label_columns, as, write);
  from_tables.each_label(which, [&](const label& one) {
    json row = body_of({one.event, one.at_ms, "label", one.body});
    row["current"] = one.current;
    out.add(one.event, one.at_ms, std::move(row));
  });
}

}  // namespace poolwise
