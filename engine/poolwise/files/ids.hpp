// Stable ids: what a row is called outside Poolwise.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// The ids of the pool's rows; without a file, a row's id is its number.
class row_ids {
 public:
  row_ids() = default;

  /// Reads .csv (a header line with a column `id`, RFC 4180 quoting, lines ending in LF or CRLF) or .jsonl (an
  /// object with "id", a string or a 64-bit integer, a line), both in UTF-8, with or without its mark.
  /// throws io_error; format_error naming the line; value_error if an id is empty or repeated, naming both
  /// rows; shape_error unless there is one id for each of `rows`.
  row_ids(const std::filesystem::path& file, index_t rows);

  /// ids  one a row; throws value_error if one is empty or repeated.
  explicit row_ids(std::vector<std::string> ids);

  std::string operator[](index_t row) const;
  bool numbered() const { return ids_.empty(); }
  index_t size() const { return index_t(ids_.size()); }

  /// The rows that these ids name, in their order. throws value_error for an id that no row has.
  std::vector<index_t> rows_of(std::span<const std::string> ids) const;

  /// The rows whose ids stand in a file, which is read as those of all rows are.
  std::vector<index_t> rows_in(const std::filesystem::path& file) const;

 private:
  std::vector<std::string> ids_;
};

/// A field as it stands in a CSV file: quoted if it must be (RFC 4180).
std::string csv_field(const std::string& text);

}  // namespace poolwise
