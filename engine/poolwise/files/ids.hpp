// Stable ids: what a row is called outside Poolwise.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/files/array.hpp"

namespace poolwise {

/// The ids of the pool's rows; without a file, a row's id is its number.
class row_ids {
 public:
  row_ids() = default;

  /// Reads .csv or .tsv (a header line that names the column, RFC 4180 quoting, fields separated by commas,
  /// semicolons or tabs, lines ending in LF or CRLF) or .jsonl or .ndjson (an object a line, the id a string or
  /// a 64-bit integer), in UTF-8 with or without its mark; compressed by gzip, or from a pipe, within `most`.
  /// column  what it is called, whatever the case of its letters.
  /// throws io_error; format_error naming the line; value_error if an id is empty or repeated, naming both
  /// rows; shape_error unless there is one id for each of `rows`.
  row_ids(const std::filesystem::path& file, index_t rows, const std::string& column = "id",
          const copy_limit& most = {});

  /// ids  one a row; throws value_error if one is empty or repeated.
  explicit row_ids(std::vector<std::string> ids);

  std::string operator[](index_t row) const;
  bool numbered() const { return ids_.empty(); }
  /// Of rows that are not numbered, as it is kept.
  const std::string& at(index_t row) const { return ids_[std::size_t(row)]; }
  index_t size() const { return index_t(ids_.size()); }

  /// Of rows that are not numbered, the one that is called so.
  std::optional<index_t> row_of(std::string_view id) const;

  /// The rows that these ids name, in their order. throws value_error for an id that no row has, usage_error
  /// where rows are numbered and it is no number.
  std::vector<index_t> rows_of(std::span<const std::string> ids) const;

  /// The rows, of `rows`, whose ids stand in a file that is read as those of all rows are; where it is none
  /// such but has a name without an ending, in an array of row numbers or a mask.
  std::vector<index_t> rows_in(const std::filesystem::path& file, index_t rows,
                               const copy_limit& most = {}) const;

  /// What they take in memory.
  std::uint64_t bytes() const;

 private:
  /// Files each row under its id. Returns the first row whose id is empty, or that of an earlier one.
  std::optional<index_t> file_rows();
  std::size_t place_of(std::string_view id) const;

  std::vector<std::string> ids_;
  // Rows by the hashes of their ids: the row plus one below, a part of its hash above; 0 where there is none.
  std::vector<std::uint64_t> places_;
  std::string column_ = "id";
};

/// Whether the name of a file, or what is before its colon, says that it is an array.
bool names_array(const std::string& spec);

/// A field as it stands in a CSV file: quoted if it must be (RFC 4180).
std::string csv_field(const std::string& text);

}  // namespace poolwise
