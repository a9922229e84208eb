#include "poolwise/files/detail/columns.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/contents.hpp"
#include "poolwise/files/detail/csv.hpp"

namespace poolwise {
namespace {

constexpr std::size_t shown = 80;  // bytes of foreign text in a message

bool is_text_table(const std::filesystem::path& file) {
  const std::string ending = ending_of(file);
  return ending == ".csv" || ending == ".tsv" || ending == ".jsonl" || ending == ".ndjson";
}

constexpr std::size_t nowhere = std::string::npos;  // of an optional column that is not there

using visitor = std::function<void(index_t line, std::span<std::string> values)>;

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + name + "'";
  return printable(text, 2 * shown);
}

class column_reader {
 public:
  column_reader(const wanted_columns& wanted, std::string file, const visitor& visit)
      : wanted_(wanted), file_(std::move(file)), visit_(visit) {}

  void read_csv(std::string_view text);
  void read_jsonl(std::string_view text);

 private:
  [[noreturn]] void refuse(index_t line, const std::string& what) const {
    throw format_error(place_in(wanted_.call, file_, line) + ": " + what);
  }
  std::optional<std::size_t> find(const std::vector<std::string>& among, const std::string& name) const {
    const auto found = find_column(among, name);
    const bool has_other = wanted_.otherwise != nullptr && name == wanted_.names.front();
    return found || !has_other ? found : find_column(among, wanted_.otherwise);
  }
  std::vector<std::size_t> columns_of(const std::vector<std::string>& header) const;
  nlohmann::json object_in(std::string_view text, index_t line) const;
  std::optional<nlohmann::json> find_value(const nlohmann::json& item, const std::string& name,
                                           index_t line) const;
  std::string value_in(const nlohmann::json& item, const std::string& name, index_t line) const;
  std::string optional_value_in(const nlohmann::json& item, const std::string& name, index_t line) const;
  void read_record(index_t line, const std::function<void()>& read) const;

  const wanted_columns& wanted_;
  std::string file_;
  const visitor& visit_;
};

// Where the wanted columns stand; nothing where the line is data.
std::vector<std::size_t> column_reader::columns_of(const std::vector<std::string>& header) const {
  std::vector<std::size_t> columns;
  try {
    for (const std::string& name : wanted_.names) {
      const auto found = find(header, name);
      const std::size_t least = wanted_.names.size(), most = least + wanted_.optional.size();
      if (!found && wanted_.is_data && header.size() >= least && header.size() <= most &&
          wanted_.is_data(header))
        return {};
      if (!found)
        refuse(1, "no column `" + printable(name, shown) + "` among " + joined(header) + "; " + wanted_.remedy);
      columns.push_back(*found);
    }
    for (const std::string& name : wanted_.optional) columns.push_back(find(header, name).value_or(nowhere));
  } catch (const format_error& problem) {
    if (std::string_view(problem.what()).starts_with(wanted_.call)) throw;
    refuse(1, problem.what());
  }
  return columns;
}

// Reads one record, or says why not.
void column_reader::read_record(index_t line, const std::function<void()>& read) const {
  if (!wanted_.refused) return read();
  try {
    read();
  } catch (const format_error& problem) {
    wanted_.refused(line, problem.what());
  }
}

void column_reader::read_csv(std::string_view text) {
  csv_reader reader(wanted_.call, text, file_);
  std::vector<std::string> fields, values(wanted_.names.size() + wanted_.optional.size());
  if (!reader.next(fields))
    refuse(1, "no header line; begin with one that names a column " + wanted_.names.front());
  const std::size_t count = fields.size();
  std::vector<std::size_t> columns = columns_of(fields);
  const bool named = !columns.empty();
  for (std::size_t k = 0; !named && k < count; ++k) columns.push_back(k);
  columns.resize(values.size(), nowhere);
  for (bool more = !named || reader.next(fields); more; more = reader.next(fields)) {
    if (wanted_.blank_lines && fields.size() == 1 && fields[0].empty()) continue;
    read_record(reader.line(), [&] {
      if (fields.size() != count)
        refuse(reader.line(), std::to_string(fields.size()) + " fields, but the " +
                                  (named ? "header" : "first") + " line has " + std::to_string(count) +
                                  "; give every line as many");
      for (std::size_t k = 0; k < values.size(); ++k)
        values[k] = columns[k] == nowhere ? std::string() : fields[columns[k]];
      visit_(reader.line(), values);
    });
  }
}

// Python writes NaN and Infinity into JSON, which has no such words; null stands for them outside strings.
std::string without_nan(std::string_view line) {
  std::string text;
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '\\' && i + 1 < line.size()) {
      text += c;
      text += line[++i];
      continue;
    }
    if (c == '"') quoted = !quoted;
    std::size_t length = 0;
    for (const std::string_view word : {"NaN", "-Infinity", "Infinity"})
      if (!quoted && length == 0 && line.substr(i).starts_with(word)) length = word.size();
    if (length > 0) {
      text += "null";
      i += length - 1;
    } else {
      text += c;
    }
  }
  return text;
}

std::optional<nlohmann::json> column_reader::find_value(const nlohmann::json& item, const std::string& name,
                                                        index_t line) const {
  std::vector<std::string> keys;
  if (item.is_object())
    for (const auto& [key, value] : item.items()) keys.push_back(key);
  std::optional<std::size_t> found;
  try {
    found = find(keys, name);
  } catch (const format_error& problem) {
    refuse(line, problem.what());
  }
  return found ? std::optional(item.at(keys[*found])) : std::nullopt;
}

std::string column_reader::value_in(const nlohmann::json& item, const std::string& name, index_t line) const {
  const auto found = find_value(item, name, line);
  if (!found)
    refuse(line, "no \"" + name + "\"; write one object with " + wanted_.what + " as \"" + name + "\" a line");
  const nlohmann::json& value = *found;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer()) return value.dump();
  refuse(line, "the " + name + " " + printable(value.dump(), shown) +
                   " is neither a string nor a 64-bit integer; write it as a string");
}

std::string column_reader::optional_value_in(const nlohmann::json& item, const std::string& name,
                                             index_t line) const {
  const auto value = find_value(item, name, line);
  if (!value || value->is_null()) return {};
  return value->is_number_float() ? value->dump() : value_in(item, name, line);
}

nlohmann::json column_reader::object_in(std::string_view text, index_t line) const {
  nlohmann::json item = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (item.is_discarded()) item = nlohmann::json::parse(without_nan(text), nullptr, false);
  if (item.is_discarded())
    refuse(line, "not JSON (\"" + printable(text, shown) + "\"); write one object a line, and no blank line");
  return item;
}

void column_reader::read_jsonl(std::string_view text) {
  std::vector<std::string> values;
  text = without_mark(text);
  text = text.substr(0, text.find_last_not_of("\r\n\t ") + 1);
  for (index_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view one = text.substr(0, end);
    read_record(line, [&] {
      const nlohmann::json item = object_in(one, line);
      values.clear();
      for (const std::string& name : wanted_.names) values.push_back(value_in(item, name, line));
      for (const std::string& name : wanted_.optional) values.push_back(optional_value_in(item, name, line));
      visit_(line, values);
    });
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

void read_columns(const std::filesystem::path& file, const copy_limit& most, const wanted_columns& wanted,
                  const visitor& visit) {
  const std::string ending = ending_of(file);
  if (!ending.empty() && !is_text_table(file))
    throw format_error(std::string(wanted.call) + ": " + printable(file.string()) +
                       " is neither .csv, .tsv nor .jsonl by its name; pass one of these");
  read_columns(file, load(wanted.call, file, most), wanted, visit);
}

void read_columns(const std::filesystem::path& file, const file_bytes& content, const wanted_columns& wanted,
                  const visitor& visit) {
  const std::string ending = ending_of(file);
  const std::string_view text = without_mark(content.text(0, content.size));
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool braces = first != std::string_view::npos && text[first] == '{';
  column_reader reader(wanted, printable(file.string()), visit);
  if (ending == ".jsonl" || ending == ".ndjson" || (ending.empty() && braces))
    reader.read_jsonl(text);
  else
    reader.read_csv(text);
}

}  // namespace poolwise
