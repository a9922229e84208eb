#include "poolwise/files/detail/csv.hpp"

#include <algorithm>
#include <utility>

#include "poolwise/core/error.hpp"

namespace poolwise {

csv_reader::csv_reader(const char* call, std::string_view text, std::string file)
    : call_(call), text_(text), file_(std::move(file)) {}

void csv_reader::refuse(index_t line, const std::string& what) const {
  throw format_error(std::string(call_) + ": " + file_ + " line " + std::to_string(line) + ": " + what);
}

bool csv_reader::next(std::vector<std::string>& fields) {
  if (at_ == text_.size()) return false;
  record_line_ = line_;
  std::size_t count = 0;
  do {
    if (count == fields.size()) fields.emplace_back();
    read_field(fields[count++]);
  } while (accept(','));
  fields.resize(count);
  end_record();
  return true;
}

bool csv_reader::accept(char c) {
  if (at_ == text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

void csv_reader::read_field(std::string& field) {
  if (accept('"')) return read_quoted(field);
  const std::size_t end = std::min(text_.find_first_of(",\r\n\"", at_), text_.size());
  if (end < text_.size() && text_[end] == '"')
    refuse(line_, "a quote inside a field that is not quoted; quote the field and double the quote");
  field = text_.substr(at_, end - at_);
  at_ = end;
}

void csv_reader::read_quoted(std::string& field) {
  const index_t first_line = line_;
  field.clear();
  for (;;) {
    const std::size_t end = text_.find('"', at_);
    if (end == std::string_view::npos)
      refuse(first_line, "a quoted field that does not end; close it with a quote");
    const std::string_view part = text_.substr(at_, end - at_);
    field += part;
    line_ += std::count(part.begin(), part.end(), '\n');
    at_ = end + 1;
    if (!accept('"')) return;
    field += '"';
  }
}

void csv_reader::end_record() {
  if (at_ == text_.size()) return;
  const bool carriage_return = accept('\r');
  if (!accept('\n'))
    refuse(line_, carriage_return ? "a carriage return without a line feed; end lines in either LF or CRLF"
                                  : "text after a closing quote; a quoted field ends at a comma");
  ++line_;
}

std::string_view without_mark(std::string_view text) {
  if (constexpr std::string_view mark = "\xef\xbb\xbf"; text.starts_with(mark)) text.remove_prefix(mark.size());
  return text;
}

}  // namespace poolwise
