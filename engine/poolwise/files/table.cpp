#include "poolwise/files/table.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>

#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/contents.hpp"
#include "poolwise/files/detail/csv.hpp"
#include "poolwise/files/detail/gzip.hpp"

namespace poolwise {
namespace {

constexpr std::size_t shown = 80;  // bytes of foreign text in a message

[[noreturn]] void refuse(const std::string& file, index_t line, const std::string& what) {
  throw format_error("read_table: " + file + " line " + std::to_string(line) + ": " + what);
}

std::string quoted(std::string_view text) {
  std::string out = "'";
  out += printable(text, shown);
  return out += '\'';
}

/// The number that is the whole of `text`; none if it is no finite number.
std::optional<double> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto value = number_in<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

double required_number(std::string_view text, const std::string& file, index_t line, const std::string& where) {
  if (const auto value = parse_number(text)) return *value;
  refuse(file, line, quoted(text) + " in " + where + " is no finite number; write one");
}

/// Gives each class its place in the order as its label.
void set_labels(labelled_table& table, const std::vector<std::string>& classes) {
  const auto before = [](const std::string& a, const std::string& b) {
    const auto x = parse_number(a), y = parse_number(b);
    if (x && y) return *x < *y;
    return x.has_value() != y.has_value() ? x.has_value() : a < b;
  };
  std::map<std::string, std::int32_t, decltype(before)> label_of(before);
  for (const std::string& name : classes) label_of.emplace(name, 0);
  for (auto& [name, label] : label_of) {
    label = std::int32_t(table.class_names.size());
    table.class_names.push_back(name);
  }
  for (const std::string& name : classes) table.labels.push_back(label_of.at(name));
}

// UCI's files begin with the first row. Other programs number the columns: 0, 1, 2, ... or 1, 2, 3, ...
enum class first_line { names, numbers_of_columns, row };

first_line kind_of(const std::vector<std::string>& fields) {
  bool from_0 = true, from_1 = true;
  for (std::size_t j = 0; j < fields.size(); ++j) {
    const auto number = parse_number(trimmed(fields[j]));
    if (!number && j + 1 == fields.size() && j > 0) break;  // the class, or a name for it
    if (!number) return first_line::names;
    from_0 &= *number == double(j);
    from_1 &= *number == double(j + 1);
  }
  return from_0 || from_1 ? first_line::numbers_of_columns : first_line::row;
}

void add_row(labelled_table& table, const std::vector<std::string>& fields, const std::string& file,
             index_t line) {
  for (std::size_t j = 0; j + 1 < fields.size(); ++j)
    table.features.push_back(
        required_number(trimmed(fields[j]), file, line, "column " + std::to_string(j + 1)));
}

labelled_table read_csv(std::string_view text, const std::string& file) {
  csv_reader reader("read_table", text, file);
  std::vector<std::string> fields, classes;
  labelled_table table;
  const auto add = [&] {
    add_row(table, fields, file, reader.line());
    classes.push_back(trimmed(fields.back()));
    if (classes.back().empty()) refuse(file, reader.line(), "the class in the last column is empty; write one");
  };
  if (!reader.next(fields)) refuse(file, 1, "no header line; begin with one that names the columns");
  const std::vector<std::string> first = fields;
  const first_line kind = kind_of(first);
  table.cols = index_t(first.size()) - 1;
  if (kind == first_line::row) add();
  while (reader.next(fields)) {
    if (fields.size() != first.size())
      refuse(file, reader.line(),
             std::to_string(fields.size()) + " fields, but the first line has " + std::to_string(first.size()) +
                 "; give every line as many");
    add();
  }
  // A row has the class of some other row; names and numbers of columns end in what is no class.
  const bool has_class = std::find(classes.begin() + (kind == first_line::row), classes.end(),
                                   trimmed(first.back())) != classes.end();
  if (kind != first_line::names && has_class != (kind == first_line::row))
    refuse(file, 1,
           "the fields may be the columns' names or a row; begin with a line of names that are no numbers");
  table.rows = index_t(classes.size());
  set_labels(table, classes);
  return table;
}

struct sparse_value {
  index_t row, col;
  double value;
};

/// The words of a line up to a comment.
std::vector<std::string_view> words_of(std::string_view line) {
  line = line.substr(0, line.find('#'));
  std::vector<std::string_view> words;
  for (std::size_t at = 0; (at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

labelled_table read_libsvm(std::string_view text, const std::string& file) {
  constexpr index_t most = 1'000'000;  // of features, which are kept dense
  std::vector<std::string> classes;
  std::vector<sparse_value> values;
  labelled_table table;
  const std::size_t bytes = text.size();
  for (index_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const auto words = words_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty()) continue;
    required_number(words[0], file, line, "the place of the class");
    index_t before = 0;
    for (std::size_t k = 1; k < words.size(); ++k) {
      const std::size_t colon = std::min(words[k].find(':'), words[k].size());
      const index_t index = number_in<index_t>(words[k].substr(0, colon)).value_or(0);
      if (colon == words[k].size() || index <= before || index > most)
        refuse(file, line,
               quoted(words[k]) +
                   " is no index:value with a rising index from 1; a CSV file must end its name in .csv");
      values.push_back(
          {index_t(classes.size()), index - 1,
           required_number(words[k].substr(colon + 1), file, line, "feature " + std::to_string(index))});
      before = index;
    }
    table.cols = std::max(table.cols, before);
    classes.emplace_back(words[0]);
  }
  table.rows = index_t(classes.size());
  // A few bytes a row can claim a million columns.
  constexpr double most_bytes = 1 << 30, most_times_the_file = 1000;
  const double dense = double(table.rows) * double(table.cols) * sizeof(double);
  if (dense > most_bytes && dense > most_times_the_file * double(bytes))
    throw shape_error("read_table: " + file + " has " + std::to_string(table.rows) + " rows of " +
                      std::to_string(table.cols) + " features, which are kept with their zeros and take " +
                      human_bytes(dense) + ", though the file has " + human_bytes(double(bytes)) +
                      "; give fewer features");
  table.features.assign(std::size_t(table.rows * table.cols), 0.0);
  for (const sparse_value& v : values) table.features[std::size_t(v.row * table.cols + v.col)] = v.value;
  set_labels(table, classes);
  return table;
}

}  // namespace

labelled_table read_table(const std::filesystem::path& file) {
  const std::string name = printable(file.string()), ending = ending_of(file);
  constexpr index_t longest_line = index_t{1} << 24;
  const std::string bytes = gzip_reader("read_table", file).rest(longest_line);
  const std::string_view text = without_mark(bytes);
  labelled_table table = ending == ".csv" || ending == ".tsv" ? read_csv(text, name) : read_libsvm(text, name);
  if (table.rows < 1 || table.cols < 1)
    throw shape_error("read_table: " + name + " has " + std::to_string(table.rows) + " rows of " +
                      std::to_string(table.cols) + " features; give at least one of each");
  return table;
}

table_fingerprint fingerprint(const labelled_table& table) {
  table_fingerprint print;
  for (index_t i = 0; i < table.rows; ++i) {
    std::uint64_t row = splitmix64(0, std::uint64_t(table.labels[std::size_t(i)]));
    // + 0.0 makes a negative zero, which some writers keep, the same as 0.
    for (index_t j = 0; j < table.cols; ++j)
      row = splitmix64(row, std::bit_cast<std::uint64_t>(table.view()(i, j) + 0.0));
    print.ordered = splitmix64(print.ordered, row);
    print.rows += row;
  }
  return print;
}

std::vector<index_t> constant_columns(const labelled_table& table) {
  std::vector<index_t> found;
  for (index_t j = 0; j < table.cols; ++j) {
    bool constant = true;
    for (index_t i = 1; i < table.rows && constant; ++i) constant = table.view()(i, j) == table.view()(0, j);
    if (constant) found.push_back(j);
  }
  return found;
}

}  // namespace poolwise
