#include "poolwise/files/ids.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/csv.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise {
namespace {

constexpr std::size_t shown = 80;  // bytes of foreign text in a message

std::string place(const std::string& file, index_t line) {
  return "row_ids: " + file + " line " + std::to_string(line);
}

[[noreturn]] void refuse(const std::string& file, index_t line, const std::string& what) {
  throw format_error(place(file, line) + ": " + what);
}

// Whether `text` is UTF-8 in the shortest form and without surrogates, as JSON output will need it.
bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int more = (lead >= 0xc2) + (lead >= 0xe0) + (lead >= 0xf0);
    if (more == 0 || lead > 0xf4) return false;
    std::uint32_t code = lead & (0x3fu >> more);
    for (int k = 0; k < more; ++k, ++i) {
      if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return false;
      code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
    }
    const bool overlong = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if (overlong || surrogate || code > 0x10ffff) return false;
  }
  return true;
}

struct id_list {
  std::vector<std::string> ids;
  std::vector<index_t> lines;  // where each stands
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + name + "'";
  return printable(text, 2 * shown);
}

std::size_t id_column(const std::vector<std::string>& header, const std::string& file) {
  const auto found = std::find(header.begin(), header.end(), "id");
  if (found == header.end())
    refuse(file, 1, "no column `id` among " + joined(header) + "; name one of them id in the header line");
  if (std::find(found + 1, header.end(), "id") != header.end()) refuse(file, 1, "two columns `id`; rename one");
  return std::size_t(found - header.begin());
}

id_list read_csv(std::string_view text, const std::string& file) {
  csv_reader reader("row_ids", text, file);
  std::vector<std::string> fields;
  if (!reader.next(fields)) refuse(file, 1, "no header line; begin with one that names a column id");
  const std::size_t column = id_column(fields, file), columns = fields.size();
  id_list list;
  while (reader.next(fields)) {
    if (fields.size() != columns)
      refuse(file, reader.line(),
             std::to_string(fields.size()) + " fields, but the header line has " + std::to_string(columns) +
                 "; give every line as many");
    if (!is_utf8(fields[column])) refuse(file, reader.line(), "the id is not UTF-8; save the file as UTF-8");
    list.ids.push_back(fields[column]);
    list.lines.push_back(reader.line());
  }
  return list;
}

std::string json_id(std::string_view line, const std::string& file, index_t number) {
  nlohmann::json item;
  try {
    item = nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception& problem) {
    refuse(file, number, "not JSON (" + printable(problem.what(), 2 * shown) + "); write one object a line");
  }
  const auto id = item.is_object() ? item.find("id") : item.end();
  if (id == item.end()) refuse(file, number, "no \"id\"; write one object with an \"id\" a line");
  if (id->is_string()) return id->get<std::string>();
  if (id->is_number_integer()) return id->dump();
  refuse(file, number,
         "the id " + printable(id->dump(), shown) +
             " is neither a string nor a 64-bit integer; write it as a string");
}

id_list read_jsonl(std::string_view text, const std::string& file) {
  id_list list;
  for (index_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    list.ids.push_back(json_id(text.substr(0, end), file, line));
    list.lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return list;
}

void require_distinct(const id_list& list, const std::string& file) {
  std::unordered_map<std::string_view, std::size_t> row_of;
  row_of.reserve(list.ids.size());
  for (std::size_t row = 0; row < list.ids.size(); ++row) {
    const std::string& id = list.ids[row];
    if (id.empty())
      throw value_error(place(file, list.lines[row]) + ": the id of row " + std::to_string(row) +
                        " is empty; give every row an id, and delete blank lines");
    const auto [first, is_new] = row_of.emplace(id, row);
    if (!is_new)
      throw value_error(place(file, list.lines[row]) + ": the id '" + printable(id, shown) + "' of row " +
                        std::to_string(row) + " is already that of row " + std::to_string(first->second) +
                        " (line " + std::to_string(list.lines[first->second]) + "); give every row its own");
  }
}

id_list read_ids(const std::filesystem::path& file, const std::string& name) {
  const bool csv = file.extension() == ".csv";
  if (!csv && file.extension() != ".jsonl")
    throw format_error("row_ids: " + name + " is neither .csv nor .jsonl by its name; pass one of these");
  const std::string bytes = read_file("row_ids", file);
  const std::string_view text = without_mark(bytes);
  return csv ? read_csv(text, name) : read_jsonl(text, name);
}

}  // namespace

row_ids::row_ids(const std::filesystem::path& file, index_t rows) {
  const std::string name = printable(file.string());
  id_list list = read_ids(file, name);
  if (index_t(list.ids.size()) != rows)
    throw shape_error("row_ids: " + name + " has " + std::to_string(list.ids.size()) +
                      " ids but the pool has " + std::to_string(rows) + " rows; give one id a row");
  require_distinct(list, name);
  ids_ = std::move(list.ids);
}

row_ids::row_ids(std::vector<std::string> ids) : ids_(std::move(ids)) {
  std::unordered_map<std::string_view, std::size_t> row_of;
  for (std::size_t row = 0; row < ids_.size(); ++row) {
    const auto [first, is_new] = row_of.emplace(ids_[row], row);
    if (ids_[row].empty() || !is_new)
      throw value_error("row_ids: the id '" + printable(ids_[row], shown) + "' of row " + std::to_string(row) +
                        (is_new ? " is empty" : " is already that of row " + std::to_string(first->second)) +
                        "; give every row its own");
  }
}

std::vector<index_t> row_ids::rows_of(std::span<const std::string> ids) const {
  std::unordered_map<std::string_view, index_t> row_of;
  row_of.reserve(ids_.size());
  for (std::size_t row = 0; row < ids_.size(); ++row) row_of.emplace(ids_[row], index_t(row));
  std::vector<index_t> rows;
  for (const std::string& id : ids) {
    const auto found = row_of.find(id);
    if (found == row_of.end())
      throw value_error("row_ids: no row has the id '" + printable(id, shown) + "'; give ids of the pool");
    rows.push_back(found->second);
  }
  return rows;
}

std::vector<index_t> row_ids::rows_in(const std::filesystem::path& file) const {
  const std::string name = printable(file.string());
  try {
    return rows_of(read_ids(file, name).ids);
  } catch (const value_error& problem) {
    throw value_error(std::string(problem.what()) + " (" + name + ")");
  }
}

std::string row_ids::operator[](index_t row) const {
  return numbered() ? std::to_string(row) : ids_[std::size_t(row)];
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

}  // namespace poolwise
