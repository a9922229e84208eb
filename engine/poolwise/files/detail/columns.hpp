// Named columns of a text file. Not part of the public interface.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/detail/bytes.hpp"

namespace poolwise {

/// The columns that a reader of a text file wants.
struct wanted_columns {
  const char* call;                 ///< for messages
  const char* what;                 ///< for messages: "an id"
  std::vector<std::string> names;   ///< as find_column finds them
  const char* otherwise = nullptr;  ///< a name that will do for the first
  bool blank_lines = false;         ///< whether they may stand between the records of a CSV file
  /// What to do about a file without them.
  const char* remedy = "name one of them so in the header line";
  /// The fields of the first line may be the first values where they are as many as the columns and this holds.
  std::function<bool(const std::vector<std::string>& fields)> is_data = {};
  /// Their values follow those of the names, empty where there is no such column.
  std::vector<std::string> optional = {};
  /// Hears of a record that cannot be read, which is then left out; without it, reading ends there.
  std::function<void(index_t line, const std::string& why)> refused = {};
};

/// Calls visit(line, values in the order of the names) for each record of a .csv or .tsv file, as csv_reader
/// reads them, or of a .jsonl or .ndjson file: an object a line, values strings or 64-bit integers (those of
/// optional columns any number). Of a name without an ending, the first byte tells. throws, in the name of the
/// call, io_error; format_error naming the line. `content`: the bytes of the file, where they are there
/// already.
void read_columns(const std::filesystem::path& file, const copy_limit& most, const wanted_columns& wanted,
                  const std::function<void(index_t line, std::span<std::string> values)>& visit);
void read_columns(const std::filesystem::path& file, const file_bytes& content, const wanted_columns& wanted,
                  const std::function<void(index_t line, std::span<std::string> values)>& visit);

}  // namespace poolwise
