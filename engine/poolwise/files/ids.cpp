#include "poolwise/files/ids.hpp"

#include <bit>
#include <cstdint>
#include <functional>
#include <string_view>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/array_bytes.hpp"
#include "poolwise/files/detail/columns.hpp"
#include "poolwise/files/detail/contents.hpp"
#include "poolwise/files/detail/csv.hpp"

namespace poolwise {
namespace {

constexpr const char* call = "row_ids";
constexpr std::size_t shown = 80;  // bytes of foreign text in a message

struct id_list {
  std::vector<std::string> ids;
  std::vector<index_t> lines;  // where each stands
  index_t bytes = 0;           // what they take, with the table that finds them again
};

// The library keeps short text in place.
index_t heap_bytes(const std::string& text) {
  return text.capacity() >= sizeof(std::string) / 2 ? index_t(text.capacity()) + 17 : 0;
}

constexpr int row_bits = 40;
constexpr std::uint64_t row_mask = (std::uint64_t{1} << row_bits) - 1;

wanted_columns id_column(const std::string& column, const char* otherwise) {
  return {.call = call,
          .what = "an id",
          .names = {column},
          .otherwise = otherwise,
          .remedy = "name the column that holds the ids (--id-column), or call one of them id"};
}

// What read_columns is to do with an id.
auto adding_to(id_list& list, const std::filesystem::path& file, const copy_limit& most) {
  return [&, name = printable(file.string())](index_t line, std::span<std::string> values) {
    if (!is_utf8(values[0]))
      throw format_error(place_in(call, name, line) + ": the id is not UTF-8; save the file as UTF-8");
    constexpr std::size_t table_entry = 24;  // at most
    list.bytes += index_t(sizeof(std::string) + sizeof(index_t) + table_entry) + heap_bytes(values[0]);
    require_room(most, call, file, list.bytes, "holds ids that are kept in memory");
    list.ids.push_back(std::move(values[0]));
    list.lines.push_back(line);
  };
}

}  // namespace

row_ids::row_ids(const std::filesystem::path& file, index_t rows, const std::string& column,
                 const copy_limit& most)
    : column_(column) {
  const std::string name = printable(file.string());
  require_room(most, call, file, rows * index_t(sizeof(std::string)), "holds ids that are kept in memory");
  id_list list;
  list.ids.reserve(std::size_t(rows));
  read_columns(file, most, id_column(column, nullptr), adding_to(list, file, most));
  if (index_t(list.ids.size()) != rows)
    throw shape_error("row_ids: " + name + " has " + std::to_string(list.ids.size()) +
                      " ids but the pool has " + std::to_string(rows) + " rows; give one id a row");
  ids_ = std::move(list.ids);
  const auto wrong = file_rows();
  if (!wrong) return;
  const std::string &id = at(*wrong), place = place_in(call, name, list.lines[std::size_t(*wrong)]);
  if (id.empty())
    throw value_error(place + ": the id of row " + std::to_string(*wrong) +
                      " is empty; give every row an id, and delete blank lines");
  const index_t first = *row_of(id);
  throw value_error(place + ": the id '" + printable(id, shown) + "' of row " + std::to_string(*wrong) +
                    " is already that of row " + std::to_string(first) + " (line " +
                    std::to_string(list.lines[std::size_t(first)]) + "); give every row its own");
}

row_ids::row_ids(std::vector<std::string> ids) : ids_(std::move(ids)) {
  if (const auto wrong = file_rows())
    throw value_error(
        "row_ids: the id '" + printable(at(*wrong), shown) + "' of row " + std::to_string(*wrong) +
        (at(*wrong).empty() ? " is empty" : " is already that of row " + std::to_string(*row_of(at(*wrong)))) +
        "; give every row its own");
}

std::size_t row_ids::place_of(std::string_view id) const {
  const std::uint64_t hashed = std::hash<std::string_view>{}(id);
  const std::size_t last = places_.size() - 1;
  std::size_t place = std::size_t(hashed) & last;
  for (;; place = (place + 1) & last) {
    const std::uint64_t there = places_[place];
    if (there == 0) return place;
    if (((there ^ hashed) & ~row_mask) == 0 && ids_[std::size_t((there & row_mask) - 1)] == id) return place;
  }
}

std::optional<index_t> row_ids::file_rows() {
  places_.assign(std::bit_ceil(ids_.size() + ids_.size() / 2 + 1), 0);
  for (std::size_t row = 0; row < ids_.size(); ++row) {
    std::uint64_t& place = places_[place_of(ids_[row])];
    if (place != 0 || ids_[row].empty()) return index_t(row);
    place = (std::hash<std::string_view>{}(ids_[row]) & ~row_mask) | (row + 1);
  }
  return std::nullopt;
}

std::optional<index_t> row_ids::row_of(std::string_view id) const {
  if (places_.empty()) return std::nullopt;
  const std::uint64_t there = places_[place_of(id)];
  return there == 0 ? std::nullopt : std::optional(index_t(there & row_mask) - 1);
}

std::vector<index_t> row_ids::rows_of(std::span<const std::string> ids) const {
  std::vector<index_t> rows;
  if (numbered()) {
    for (const std::string& id : ids) {
      const auto row = number_in<index_t>(id);
      if (!row)
        throw usage_error("row_ids: no row is called '" + printable(id, shown) +
                          "', as rows have no ids; give --ids, or row numbers");
      rows.push_back(*row);
    }
    return rows;
  }
  for (const std::string& id : ids) {
    const auto row = row_of(id);
    if (!row)
      throw value_error("row_ids: no row has the id '" + printable(id, shown) + "'; give ids of the pool");
    rows.push_back(*row);
  }
  return rows;
}

std::vector<index_t> row_ids::rows_in(const std::filesystem::path& file, index_t rows,
                                      const copy_limit& most) const {
  const std::string name = printable(file.string());
  id_list list;
  try {
    if (ending_of(file).empty()) {
      const file_bytes content = load(call, file, most);
      if (const auto numbers = array_in(content, file, most)) return row_numbers(*numbers, rows);
      read_columns(file, content, id_column(column_, "id"), adding_to(list, file, most));
    } else {
      read_columns(file, most, id_column(column_, "id"), adding_to(list, file, most));
    }
    return rows_of(list.ids);
  } catch (const usage_error& problem) {
    throw usage_error(std::string(problem.what()) + " (" + name + ")");
  } catch (const value_error& problem) {
    throw value_error(std::string(problem.what()) + " (" + name + ")");
  }
}

std::uint64_t row_ids::bytes() const {
  std::uint64_t total = ids_.capacity() * sizeof(std::string) + places_.size() * sizeof(std::uint64_t);
  for (const std::string& id : ids_) total += std::uint64_t(heap_bytes(id));
  return total;
}

std::string row_ids::operator[](index_t row) const {
  return numbered() ? std::to_string(row) : ids_[std::size_t(row)];
}

bool names_array(const std::string& spec) {
  const std::string ending = ending_of(file_of_array(spec));
  return ending == ".npy" || ending == ".npz" || ending == ".safetensors";
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

}  // namespace poolwise
