#include "poolwise/files/detail/csv.hpp"

#include <algorithm>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

// What stands first in the first line, outside quotes: in "id;price, net" the semicolon.
char separator_of(std::string_view text) {
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == ',' || c == ';' || c == '\t') return c;
    if (c == '\n') break;
  }
  return ',';
}

}  // namespace

csv_reader::csv_reader(const char* call, std::string_view text, std::string file)
    : call_(call), text_(without_mark(text)), file_(std::move(file)), separator_(separator_of(text_)) {
  if (text_.starts_with("\xff\xfe") || text_.starts_with("\xfe\xff"))
    refuse(1, "UTF-16, as spreadsheets' \"Unicode text\" is; save it as UTF-8");
}

void csv_reader::refuse(index_t line, const std::string& what) const {
  throw format_error(place_in(call_, file_, line) + ": " + what);
}

bool csv_reader::next(std::vector<std::string>& fields) {
  if (text_.find_first_not_of("\r\n", at_) == std::string_view::npos) return false;
  record_line_ = line_;
  std::size_t count = 0;
  do {
    if (count == fields.size()) fields.emplace_back();
    read_field(fields[count++]);
  } while (accept(separator_));
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
  const char ends[] = {separator_, '\r', '\n', '"'};
  const std::size_t end = std::min(text_.find_first_of(ends, at_, sizeof ends), text_.size());
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
                                  : "text after a closing quote; a quoted field ends at a separator");
  ++line_;
}

std::string place_in(const char* call, const std::string& file, index_t line) {
  return std::string(call) + ": " + file + " line " + std::to_string(line);
}

std::string_view without_mark(std::string_view text) {
  if (constexpr std::string_view mark = "\xef\xbb\xbf"; text.starts_with(mark)) text.remove_prefix(mark.size());
  return text;
}

std::optional<std::size_t> find_column(const std::vector<std::string>& header, const std::string& name) {
  for (const bool exact : {true, false}) {
    std::optional<std::size_t> found;
    for (std::size_t k = 0; k < header.size(); ++k) {
      const std::string field = trimmed(header[k]);
      if (exact ? field != name : in_lower_case(field) != in_lower_case(name)) continue;
      if (found) throw format_error("two columns `" + name + "`; rename one");
      found = k;
    }
    if (found) return found;
  }
  return std::nullopt;
}

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t") + 1 - begin));
}

}  // namespace poolwise
