// Records of a CSV file. Not part of the public interface.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// RFC 4180: records of fields separated by commas, or by semicolons or tabs where one of them comes first in
/// the first line; a field with separators, quotes or line breaks in quotes. Lines end in LF or CRLF; blank
/// lines at the end do not count, nor does a mark of UTF-8 at the beginning. throws format_error in the name of
/// `call`, naming `file` and the line.
class csv_reader {
 public:
  csv_reader(const char* call, std::string_view text, std::string file);

  /// The next record's fields, valid until the call after; false at the end.
  bool next(std::vector<std::string>& fields);

  /// Where that record began, counted from 1.
  index_t line() const { return record_line_; }

 private:
  bool accept(char c);
  void read_field(std::string& field);
  void read_quoted(std::string& field);
  void end_record();
  [[noreturn]] void refuse(index_t line, const std::string& what) const;

  const char* call_;
  std::string_view text_;
  std::string file_;
  char separator_;
  std::size_t at_ = 0;
  index_t line_ = 1, record_line_ = 1;
};

/// A place in a file, for messages: "row_ids: ids.csv line 3".
std::string place_in(const char* call, const std::string& file, index_t line);

/// Without the mark that some editors put before UTF-8.
std::string_view without_mark(std::string_view text);

/// The number of the column that is called `name`, whatever the case of its letters and the spaces around it;
/// none if there is no such column, and one that is called exactly so before others. throws format_error for
/// two.
std::optional<std::size_t> find_column(const std::vector<std::string>& header, const std::string& name);

/// Without spaces around it.
std::string trimmed(std::string_view text);

}  // namespace poolwise
