#include "arrow.hpp"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "arrays.hpp"
#include "poolwise/core/interruption.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise::python {
namespace {

constexpr const char* stream_name = "arrow_array_stream";

/// The struct that a capsule holds.
template <class T>
T& held_by(const std::string& what, nb::handle capsule, const char* name) {
  void* const held = PyCapsule_GetPointer(capsule.ptr(), name);
  if (held == nullptr) {
    PyErr_Clear();
    throw array_error(what + " hands over no capsule of the name " + name +
                      "; pass a table that follows the Arrow PyCapsule interface");
  }
  return *static_cast<T*>(held);
}

std::string row_text(index_t row) { return "row " + std::to_string(row); }

/// The first entry of `rows` from `begin` on that is null; -1 for none.
index_t first_null(const ArrowArray& array, index_t begin, index_t rows) {
  if (array.null_count == 0 || array.n_buffers == 0 || array.buffers[0] == nullptr) return -1;
  const auto* const valid = static_cast<const std::uint8_t*>(array.buffers[0]);
  for (index_t i = 0; i < rows; ++i)
    if ((valid[(begin + i) / 8] >> ((begin + i) % 8) & 1) == 0) return i;
  return -1;
}

template <class T>
const T* values(const ArrowArray& array, int buffer = 1) {
  return static_cast<const T*>(array.buffers[buffer]);
}

/// Calls `use` with a value of the type that a format of whole numbers means; false for other formats.
template <class Use>
bool with_integer(const char* format, Use use) {
  if (std::strlen(format) != 1) return false;
  switch (*format) {
    case 'c':
      return use(std::int8_t{}), true;
    case 'C':
      return use(std::uint8_t{}), true;
    case 's':
      return use(std::int16_t{}), true;
    case 'S':
      return use(std::uint16_t{}), true;
    case 'i':
      return use(std::int32_t{}), true;
    case 'I':
      return use(std::uint32_t{}), true;
    case 'l':
      return use(std::int64_t{}), true;
    case 'L':
      return use(std::uint64_t{}), true;
    default:
      return false;
  }
}

bool is_one_of(const char* format, std::initializer_list<const char*> formats) {
  return std::any_of(formats.begin(), formats.end(),
                     [&](const char* f) { return std::strcmp(format, f) == 0; });
}

bool is_fixed_bytes(const char* format) { return std::strncmp(format, "w:", 2) == 0; }

/// Strings and bytes in each of their layouts.
std::string_view bytes_at(const char* format, const ArrowArray& array, index_t at) {
  if (is_fixed_bytes(format)) {
    const index_t size = std::atoll(format + 2);
    return {values<char>(array) + at * size, std::size_t(size)};
  }
  if (*format == 'v') {  // views: a length, then the bytes or where they are
    const char* const view = values<char>(array) + at * 16;
    std::int32_t length = 0, buffer = 0, offset = 0;
    std::memcpy(&length, view, 4);
    if (length <= 12) return {view + 4, std::size_t(length)};
    std::memcpy(&buffer, view + 8, 4);
    std::memcpy(&offset, view + 12, 4);
    return {values<char>(array, 2 + buffer) + offset, std::size_t(length)};
  }
  if (*format == 'U' || *format == 'Z') {
    const auto* const offsets = values<std::int64_t>(array);
    return {values<char>(array, 2) + offsets[at], std::size_t(offsets[at + 1] - offsets[at])};
  }
  const auto* const offsets = values<std::int32_t>(array);
  return {values<char>(array, 2) + offsets[at], std::size_t(offsets[at + 1] - offsets[at])};
}

bool is_text(const char* format) { return is_one_of(format, {"u", "U", "vu"}); }
bool is_bytes(const char* format) { return is_one_of(format, {"z", "Z", "vz"}) || is_fixed_bytes(format); }

/// One value of a schema's metadata: pairs of lengths and bytes; empty where it is not there.
std::string metadata_of(const ArrowSchema& schema, std::string_view wanted) {
  const char* at = schema.metadata;
  if (at == nullptr) return {};
  const auto number = [&at] {
    std::int32_t n = 0;
    std::memcpy(&n, at, 4);
    at += 4;
    return n;
  };
  const auto text = [&] {
    const std::int32_t size = number();
    const std::string_view t(at, std::size_t(size));
    at += size;
    return t;
  };
  for (std::int32_t pairs = number(); pairs > 0; --pairs) {
    const std::string_view key = text(), value = text();
    if (key == wanted) return std::string(value);
  }
  return {};
}

std::string hexadecimal(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::string uuid_text(std::string_view bytes) {
  const std::string h = hexadecimal(bytes);
  return h.substr(0, 8) + "-" + h.substr(8, 4) + "-" + h.substr(12, 4) + "-" + h.substr(16, 4) + "-" +
         h.substr(20);
}

/// Where the lists of a piece begin and how long they all are. throws value_error for another length.
template <class Offset>
index_t list_length(const std::string& what, const arrow_piece& piece, index_t cols, index_t row,
                    index_t& begin) {
  const auto* const offsets = values<Offset>(*piece.array) + piece.begin;
  begin = offsets[0];
  for (index_t i = 0; i < piece.rows; ++i) {
    const index_t length = offsets[i + 1] - offsets[i];
    if (cols < 0) cols = length;
    if (length != cols)
      throw value_error(what + " has " + std::to_string(length) + " values in " + row_text(row + i) + " and " +
                        std::to_string(cols) + " before; pass lists of one length");
  }
  return cols;
}

}  // namespace

// ---- A column

index_t arrow_column::rows() const {
  index_t sum = 0;
  for (const arrow_piece& piece : pieces_) sum += piece.rows;
  return sum;
}

void arrow_column::refuse(const std::string& wanted) const {
  throw array_error(what_ + " holds values of the Arrow format \"" + printable(schema_->format) + "\"; pass " +
                    wanted);
}

void arrow_column::refuse_nulls() const {
  index_t row = 0;
  for (const arrow_piece& piece : pieces_) {
    const index_t null = first_null(*piece.array, piece.begin, piece.rows);
    if (null >= 0)
      throw value_error(what_ + " is null in " + row_text(row + null) + "; pass a column without nulls");
    row += piece.rows;
  }
}

arrow_matrix arrow_column::matrix() const {
  const std::string format = schema_->format;
  const bool fixed = format.rfind("+w:", 0) == 0;
  const char* const wanted =
      "a column of lists of float32, all of one length, such as FixedSizeList (Array in polars)";
  if (!fixed && format != "+l" && format != "+L") refuse(wanted);
  const ArrowSchema& of_values = *schema_->children[0];
  if (!is_one_of(of_values.format, {"e", "f", "g"}))
    throw array_error(what_ + " holds lists of the Arrow format \"" + printable(of_values.format) +
                      "\"; pass " + wanted);
  refuse_nulls();
  arrow_matrix matrix;
  matrix.type = *of_values.format;
  index_t cols = fixed ? std::atoll(format.c_str() + 3) : -1, row = 0;
  for (const arrow_piece& piece : pieces_) {
    if (piece.rows == 0) continue;
    const ArrowArray& child = *piece.array->children[0];
    index_t begin = piece.begin * cols;
    if (format == "+l") cols = list_length<std::int32_t>(what_, piece, cols, row, begin);
    if (format == "+L") cols = list_length<std::int64_t>(what_, piece, cols, row, begin);
    begin += child.offset;
    const index_t null = first_null(child, begin, piece.rows * cols);
    if (null >= 0)
      throw value_error(what_ + " has a null in " + row_text(row + null / std::max<index_t>(cols, 1)) +
                        "; pass lists without nulls");
    const auto* const data = values<std::byte>(child) + begin * matrix.size();
    const bool follows = !matrix.pieces.empty() &&
                         matrix.pieces.back().data + matrix.pieces.back().rows * cols * matrix.size() == data;
    if (follows)
      matrix.pieces.back().rows += piece.rows;
    else
      matrix.pieces.push_back({data, piece.rows});
    row += piece.rows;
  }
  matrix.cols = std::max<index_t>(cols, 0);
  return matrix;
}

bool arrow_column::holds_integers() const {
  return schema_->dictionary == nullptr && with_integer(schema_->format, [](auto) {});
}

std::vector<index_t> arrow_column::integers() const {
  if (!holds_integers()) refuse("a column of integers");
  refuse_nulls();
  std::vector<index_t> all;
  all.reserve(std::size_t(rows()));
  with_integer(schema_->format, [&](auto zero) {
    using T = decltype(zero);
    for (const arrow_piece& piece : pieces_) {
      const T* const from = values<T>(*piece.array) + piece.begin;
      if constexpr (sizeof(T) == 8 && std::is_unsigned_v<T>)
        if (std::any_of(from, from + piece.rows,
                        [](T x) { return x > T(std::numeric_limits<index_t>::max()); }))
          throw value_error(what_ + " holds a number beyond 2^63 - 1");
      for (index_t i = 0; i < piece.rows; ++i) all.push_back(index_t(from[i]));
    }
  });
  return all;
}

std::vector<std::string> arrow_column::texts() const {
  const bool coded = schema_->dictionary != nullptr;
  const char* const format = coded ? schema_->dictionary->format : schema_->format;
  if (!is_text(format)) refuse("a column of strings or of integers");
  refuse_nulls();
  std::vector<std::string> all;
  all.reserve(std::size_t(rows()));
  for (const arrow_piece& piece : pieces_) {
    const auto add = [&](const ArrowArray& array, index_t at) {
      all.emplace_back(bytes_at(format, array, at));
    };
    if (!coded)
      for (index_t i = 0; i < piece.rows; ++i) add(*piece.array, piece.begin + i);
    else
      with_integer(schema_->format, [&](auto zero) {
        const auto* const codes = values<decltype(zero)>(*piece.array) + piece.begin;
        const ArrowArray& words = *piece.array->dictionary;
        for (index_t i = 0; i < piece.rows; ++i) add(words, words.offset + index_t(codes[i]));
      });
  }
  return all;
}

// ---- A table

bool arrow_table::speaks(nb::handle source) {
  return nb::hasattr(source, "__arrow_c_stream__") || nb::hasattr(source, "__arrow_c_array__");
}

arrow_table::arrow_table(const std::string& what, nb::handle source) {
  try {
    if (nb::hasattr(source, "__arrow_c_stream__")) {
      const nb::object capsule = source.attr("__arrow_c_stream__")();
      arrow_owned<ArrowArrayStream> stream(held_by<ArrowArrayStream>(what, capsule, stream_name));
      take_stream(what, stream);
      return;
    }
    if (!nb::hasattr(source, "__arrow_c_array__"))
      throw array_error(
          what + " is " + shown(source) +
          "; pass a table with __arrow_c_stream__, such as one of polars, pandas, pyarrow or duckdb");
    const nb::object pair = source.attr("__arrow_c_array__")();
    auto& schema = held_by<ArrowSchema>(what, pair[0], "arrow_schema");
    auto& chunk = held_by<ArrowArray>(what, pair[1], "arrow_array");
    static_cast<ArrowSchema&>(schema_) = std::exchange(schema, {});
    chunks_.emplace_back(chunk);
  } catch (nb::python_error& problem) {
    throw array_error(what + " is " + shown(source) + " and hands over no table: " + message_of(problem));
  }
}

void arrow_table::take_stream(const std::string& what, ArrowArrayStream& stream) {
  const auto check = [&](int status) {
    if (status == 0) return;
    const char* const why = stream.get_last_error(&stream);
    throw array_error(what + " could not be read as an Arrow stream: " +
                      printable(why != nullptr ? why : std::strerror(status)));
  };
  check(stream.get_schema(&stream, &schema_));
  for (;;) {
    ArrowArray chunk{};
    check(stream.get_next(&stream, &chunk));
    if (chunk.release == nullptr) return;
    chunks_.emplace_back(chunk);
  }
}

bool arrow_table::is_table() const { return std::strcmp(schema_.format, "+s") == 0; }

index_t arrow_table::rows() const {
  return std::accumulate(chunks_.begin(), chunks_.end(), index_t(0),
                         [](index_t sum, const ArrowArray& chunk) { return sum + chunk.length; });
}

arrow_column arrow_table::column_at(std::string what, index_t at) const {
  std::vector<arrow_piece> pieces;
  for (const ArrowArray& chunk : chunks_) {
    const ArrowArray& array = is_table() ? *chunk.children[at] : static_cast<const ArrowArray&>(chunk);
    pieces.push_back({&array, array.offset + (is_table() ? chunk.offset : 0), chunk.length});
  }
  return {std::move(what), is_table() ? *schema_.children[at] : static_cast<const ArrowSchema&>(schema_),
          std::move(pieces)};
}

arrow_column arrow_table::column(const std::string& what, const std::string& name) const {
  if (!is_table())
    throw array_error(what + " is \"" + printable(name) +
                      "\", but what was given is no table of columns; pass one");
  std::vector<std::string> names;
  for (index_t i = 0; i < schema_.n_children; ++i) names.emplace_back(schema_.children[i]->name);
  const auto found = std::count(names.begin(), names.end(), name);
  if (found == 1)
    return column_at(what + " (\"" + printable(name) + "\")",
                     std::find(names.begin(), names.end(), name) - names.begin());
  std::string known;
  for (const std::string& one : names) known += (known.empty() ? "" : ", ") + printable(one);
  throw value_error(what + " is \"" + printable(name) + "\", which is the name of " +
                    (found == 0 ? "no column" : std::to_string(found) + " columns") + "; the table has " +
                    (known.empty() ? "none" : known));
}

std::optional<arrow_column> arrow_table::lists(const std::string& what) const {
  if (is_table() && schema_.n_children != 1) return std::nullopt;
  arrow_column column = column_at(what, 0);
  if (column.schema().format[0] != '+' || column.schema().format[1] == 's') return std::nullopt;
  return column;
}

// ---- Parquet

namespace {

/// Where the ending of a Parquet file's name ends; npos for another name.
std::size_t parquet_end(const std::string& spec) {
  const std::string ending = ".parquet";
  const std::size_t at = spec.rfind(ending);
  const std::size_t end = at == std::string::npos ? at : at + ending.size();
  return end == std::string::npos || end == spec.size() || spec[end] == ':' ? end : std::string::npos;
}

}  // namespace

bool names_parquet(const std::string& spec) { return parquet_end(spec) != std::string::npos; }

nb::object parquet_table(const std::string& what, const std::string& spec) {
  const std::size_t end = parquet_end(spec);
  const nb::object columns =
      end == spec.size()
          ? nb::none()
          : nb::object(nb::module_::import_("builtins").attr("list")(nb::make_tuple(spec.substr(end + 1))));
  try {
    return nb::module_::import_("pyarrow.parquet")
        .attr("read_table")(spec.substr(0, end), nb::arg("columns") = columns)
        .attr("combine_chunks")();
  } catch (nb::python_error& problem) {
    const bool missing = problem.matches(PyExc_ImportError);
    throw value_error(
        what + (missing ? " is a Parquet file, which pyarrow reads; install pyarrow, or pass another file"
                        : " could not be read: " + message_of(problem)));
  }
}

// ---- Ids

arrow_ids::arrow_ids(arrow_column column) : column_(std::move(column)) {
  const ArrowSchema& schema = column_.schema();
  const char* const format = schema.format;
  const bool uuid = metadata_of(schema, "ARROW:extension:name") == "arrow.uuid";
  if (schema.dictionary != nullptr || (!column_.holds_integers() && !is_text(format) && !is_bytes(format)))
    column_.refuse("a column of integers, strings, bytes or UUIDs");
  kind_ = column_.holds_integers()                   ? id_kind::number
          : is_text(format)                          ? id_kind::text
          : uuid && std::strcmp(format, "w:16") == 0 ? id_kind::uuid
                                                     : id_kind::bytes;
  column_.refuse_nulls();
  if (std::strcmp(format, "L") == 0) column_.integers();  // none of them is beyond 2^63 - 1
  index_t row = 0;
  for (const arrow_piece& piece : column_.pieces_) {
    first_.push_back(row);
    row += piece.rows;
  }
  refuse_repeated();
}

std::string arrow_ids::operator[](index_t row) const {
  const auto at = std::size_t(std::upper_bound(first_.begin(), first_.end(), row) - first_.begin()) - 1;
  const arrow_piece& piece = column_.pieces_[at];
  const index_t entry = piece.begin + row - first_[at];
  const char* const format = column_.schema().format;
  if (kind_ == id_kind::number) {
    std::string text;
    with_integer(format,
                 [&](auto zero) { text = std::to_string(values<decltype(zero)>(*piece.array)[entry]); });
    return text;
  }
  const std::string_view bytes = bytes_at(format, *piece.array, entry);
  return kind_ == id_kind::text   ? std::string(bytes)
         : kind_ == id_kind::uuid ? uuid_text(bytes)
                                  : hexadecimal(bytes);
}

void arrow_ids::refuse_repeated() const {
  const index_t rows = column_.rows();
  std::vector<std::size_t> marks;
  marks.reserve(std::size_t(rows));
  for (index_t row = 0; row < rows; ++row) {
    if (row % 65536 == 0) heed_interruption();
    const std::string id = (*this)[row];
    if (id.empty())
      throw value_error(column_.what() + " is empty in " + row_text(row) + "; give every row an id");
    marks.push_back(std::hash<std::string>()(id));
  }
  std::sort(marks.begin(), marks.end());
  if (std::adjacent_find(marks.begin(), marks.end()) == marks.end()) return;
  // Equal marks are mostly equal ids: the ids themselves say so.
  std::unordered_map<std::string, index_t> seen;
  for (index_t row = 0; row < rows; ++row) {
    const auto [at, is_new] = seen.emplace((*this)[row], row);
    if (!is_new)
      throw value_error(column_.what() + " is " + printable(at->first) + " in rows " +
                        std::to_string(at->second) + " and " + std::to_string(row) +
                        "; give every row its own id");
  }
}

std::vector<index_t> arrow_ids::rows_of(std::span<const std::string> ids) const {
  std::unordered_map<std::string, index_t> wanted;
  for (const std::string& id : ids) wanted.emplace(id, -1);
  const index_t rows = column_.rows();
  for (index_t row = 0; row < rows; ++row) {
    if (row % 65536 == 0) heed_interruption();
    if (const auto at = wanted.find((*this)[row]); at != wanted.end()) at->second = row;
  }
  std::vector<index_t> found;
  for (const std::string& id : ids) {
    const index_t row = wanted.at(id);
    if (row < 0)
      throw value_error(column_.what() + " has no row of the id " + printable(id) + "; pass ids that it has");
    found.push_back(row);
  }
  return found;
}

}  // namespace poolwise::python
