// numpy's own file format: numpy/lib/format.py describes it.
#include <bit>
#include <charconv>
#include <initializer_list>
#include <optional>
#include <span>

#include "poolwise/core/detail/number_bytes.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/detail/array_bytes.hpp"
#include "poolwise/files/detail/contents.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise {
namespace {

static_assert(std::endian::native == std::endian::little, "files hold little-endian numbers, as memory does");

constexpr std::string_view magic = "\x93NUMPY";
constexpr index_t longest_header = index_t{1} << 20;  // numpy's are a few hundred bytes
constexpr std::size_t shown = 80;                     // bytes of foreign text in a message

struct npy_header {
  std::string descr;
  bool fortran_order = false;
  std::vector<index_t> shape;
};

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw format_error("open_npy: " + file + " " + what);
}

// The header is a Python dict literal with three known keys; nothing else of Python is understood.
class header_parser {
 public:
  header_parser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  npy_header parse() {
    expect('{');
    while (!accept('}')) {
      parse_entry();
      if (accept(',')) continue;
      expect('}');
      break;
    }
    peek();
    if (at_ < text_.size()) fail("nothing after the closing }");
    if (!descr_ || !fortran_order_ || !shape_) fail("the keys descr, fortran_order and shape");
    return {*descr_, *fortran_order_, *shape_};
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    refuse(file_, "has a malformed header: expected " + expected + " at byte " + std::to_string(at_) + " of " +
                      printable(text_, shown) + "; write it again with numpy.save");
  }

  // The next character that is not space, and '\0' at the end.
  char peek() {
    while (at_ < text_.size() && std::string_view(" \t\n\r\f").find(text_[at_]) != std::string_view::npos)
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail(std::string("'") + c + "'");
  }

  void parse_entry() {
    const std::string key = parse_string("a key in quotes");
    expect(':');
    if (key == "descr") {
      set(descr_, key, peek() == '[' ? parse_field() : parse_string("a dtype in quotes"));
    } else if (key == "fortran_order") {
      set(fortran_order_, key, parse_bool());
    } else if (key == "shape") {
      set(shape_, key, parse_shape());
    } else {
      fail("only the keys descr, fortran_order and shape");
    }
  }

  // "[('f', '<f4')]": a structure of one field lies as the field alone does.
  std::string parse_field() {
    expect('[');
    expect('(');
    parse_string("a field's name in quotes");
    expect(',');
    if (peek() == '[') refuse_structure();
    const std::string descr = parse_string("a dtype in quotes");
    if (!accept(')')) refuse_structure();
    accept(',');
    if (!accept(']')) refuse_structure();
    return descr;
  }

  [[noreturn]] void refuse_structure() const {
    refuse(file_, "has a structured dtype; save one field of it, as numpy.save(file, x['field'])");
  }

  template <class T>
  void set(std::optional<T>& place, const std::string& key, T value) {
    if (place) fail("the key " + key + " once");
    place = std::move(value);
  }

  std::string parse_string(const char* expected) {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail(expected);
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a closing quote");
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    if (inside.find('\\') != std::string_view::npos) fail("a string without backslashes");
    at_ = end + 1;
    return std::string(inside);
  }

  bool parse_bool() {
    peek();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return value;
    }
    fail("True or False");
  }

  // "()", "(3,)", "(3, 4)", "(3, 4,)"; "(3)" is a number, in Python as here.
  std::vector<index_t> parse_shape() {
    std::vector<index_t> shape;
    expect('(');
    while (!accept(')')) {
      shape.push_back(parse_extent());
      if (accept(',')) continue;
      if (shape.size() == 1) fail("',' (a shape is a tuple)");
      expect(')');
      break;
    }
    return shape;
  }

  index_t parse_extent() {
    peek();
    index_t extent = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, problem] = std::from_chars(begin, text_.data() + text_.size(), extent);
    if (problem == std::errc::invalid_argument) fail("a number or ')'");
    if (problem == std::errc::result_out_of_range) fail("an extent that fits 63 bits");
    if (extent < 0) fail("an extent that is not negative");
    at_ += std::size_t(end - begin);
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // of Python 2's long integers
    return extent;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
  std::optional<std::string> descr_;
  std::optional<bool> fortran_order_;
  std::optional<std::vector<index_t>> shape_;
};

struct named_type {
  std::string_view descr;
  dtype type;
};

// numpy has no bfloat16: ml_dtypes saves it as '<V2', and what was loaded so is saved again as '|V2'.
constexpr named_type types[] = {
    {"<f2", dtype::f2}, {"<f4", dtype::f4}, {"<f8", dtype::f8},   {"<i4", dtype::i4},   {"<i8", dtype::i8},
    {"<u4", dtype::u4}, {"<u8", dtype::u8}, {"|V2", dtype::bf16}, {"<V2", dtype::bf16}, {"|b1", dtype::b1},
    {"|i1", dtype::i1}, {"|u1", dtype::u1}, {"<i2", dtype::i2},   {"<u2", dtype::u2},
};

struct element_type {
  dtype type;
  bool big_endian;
};

element_type type_of(const std::string& descr, const std::string& file) {
  for (const named_type& known : types) {
    if (descr == known.descr) return {known.type, false};
    if (known.descr[0] == '<' && known.type != dtype::bf16 && descr == '>' + std::string(known.descr.substr(1)))
      return {known.type, true};
  }
  const std::string named = printable(descr, shown);
  if (descr.find('O') != std::string::npos)
    refuse(file, "holds Python objects ('" + named +
                     "'), which are pickled and never loaded; convert to numbers, as .astype('<f4')");
  std::string supported;
  for (const named_type& known : types)
    supported += (supported.empty() ? "'" : ", '") + std::string(known.descr) + "'";
  refuse(file, "has dtype '" + named + "'; supported are " + supported + ": convert it with .astype");
}

// Both orders coincide where at most one extent differs from 1.
bool orders_differ(const std::vector<index_t>& shape) {
  int long_extents = 0;
  for (const index_t extent : shape) {
    if (extent == 0) return false;
    long_extents += extent > 1;
  }
  return long_extents > 1;
}

struct header_place {
  index_t begin, size;
};

header_place find_header(const file_bytes& content, const std::string& file) {
  constexpr index_t version_at = 6, length_at = 8;
  if (content.size < length_at || content.text(0, version_at) != magic)
    refuse(file, "is not a .npy file (it does not begin as one); write it with numpy.save");
  const int major = int(content.data[version_at]), minor = int(content.data[version_at + 1]);
  if (major < 1 || major > 3 || minor != 0)
    refuse(file, "has .npy version " + std::to_string(major) + "." + std::to_string(minor) +
                     "; versions 1.0, 2.0 and 3.0 are read");
  const index_t width = major == 1 ? 2 : 4;
  if (content.size < length_at + width) refuse(file, "is truncated in its header; write it again");
  std::span<const std::byte> length(content.data + length_at, std::size_t(width));
  const header_place header{length_at + width, index_t(take_number(length, length.size()))};
  if (header.size > longest_header)
    refuse(file, "has a header of " + std::to_string(header.size) + " bytes; at most " +
                     std::to_string(longest_header) + " are read, write it again with numpy.save");
  if (header.begin + header.size > content.size)
    refuse(file, "is truncated: its header needs " + std::to_string(header.size) + " bytes, the file has " +
                     std::to_string(content.size - header.begin) + " more; write it again");
  return header;
}

// Version 1.0, padded so that the data starts at a multiple of 64 bytes, as numpy has it.
std::string header_text(const char* descr, std::initializer_list<index_t> shape) {
  std::string dict = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (";
  for (const index_t extent : shape) dict += std::to_string(extent) + (shape.size() == 1 ? "," : ", ");
  if (shape.size() > 1) dict.resize(dict.size() - 2);
  dict += "), }";
  constexpr std::size_t preamble = 10, alignment = 64;
  dict.append(alignment - 1 - (preamble + dict.size()) % alignment, ' ') += '\n';
  return std::string(magic) + std::string("\x01\x00", 2) + char(dict.size() & 0xff) + char(dict.size() >> 8) +
         dict;
}

template <class T>
void write_vector(const std::filesystem::path& target, const char* descr, vector_view<const T> values) {
  output_file out(target);
  out.write(header_text(descr, {values.size}));
  out.write(values.data, std::size_t(values.size) * sizeof(T));
  out.commit();
}

}  // namespace

array npy_array(const file_bytes& content, const std::filesystem::path& file, const std::string& name,
                const copy_limit& most) {
  array result;
  result.name = name;
  const auto [begin, size] = find_header(content, result.name);
  const npy_header header = header_parser(content.text(begin, size), result.name).parse();
  const element_type element = type_of(header.descr, result.name);
  result.type = element.type;
  result.big_endian = element.big_endian;
  result.shape = header.shape;
  result.fortran_order = header.fortran_order && orders_differ(header.shape);
  const auto needed = bytes_of(header.shape, size_of(result.type));
  if (!needed)
    refuse(result.name, "has shape " + printable(shape_text(header.shape), shown) +
                            ", more than 2^63 - 1 bytes; write it again with numpy.save");
  const index_t there = content.size - begin - size;
  if (there != *needed)
    refuse(result.name, std::string("is ") + (there < *needed ? "truncated" : "longer than its shape says") +
                            ": shape " + printable(shape_text(header.shape), shown) + " needs " +
                            std::to_string(*needed) + " bytes of data, the file has " + std::to_string(there) +
                            "; write it again");
  set_data(result, content, begin + size, file, most);
  return result;
}

array open_npy(const std::filesystem::path& file, const copy_limit& most) {
  return npy_array(load("open_npy", file, most), file, printable(file.string()), most);
}

void write_npy(const std::filesystem::path& target, vector_view<const float> values) {
  write_vector(target, "<f4", values);
}

void write_npy(const std::filesystem::path& target, vector_view<const std::int64_t> values) {
  write_vector(target, "<i8", values);
}

void write_npy(const std::filesystem::path& target, vector_view<const std::int32_t> values) {
  write_vector(target, "<i4", values);
}

void write_npy(const std::filesystem::path& target, matrix_view<const float> values) {
  output_file out(target);
  out.write(header_text("<f4", {values.rows, values.cols}));
  const bool dense = values.stride == values.cols;
  const index_t runs = dense ? 1 : values.rows;
  const auto run_bytes = std::size_t(dense ? values.rows * values.cols : values.cols) * sizeof(float);
  for (index_t i = 0; i < runs; ++i) out.write(values.row(i), run_bytes);
  out.commit();
}

}  // namespace poolwise
