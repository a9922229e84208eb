#include "poolwise/files/array.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/bytes.hpp"

namespace poolwise {
namespace {

struct dtype_facts {
  std::size_t size;
  const char* name;
};

constexpr dtype_facts facts[] = {{2, "float16"}, {2, "bfloat16"}, {4, "float32"}, {8, "float64"}, {4, "int32"},
                                 {8, "int64"},   {4, "uint32"},   {8, "uint64"},  {1, "bool"},    {1, "int8"},
                                 {2, "int16"},   {1, "uint8"},    {2, "uint16"}};

std::string label(const array& a) { return a.name.empty() ? "the array" : a.name; }

void require_rank(const char* call, const array& a, std::size_t rank, const char* axes) {
  if (a.shape.size() == rank) return;
  throw shape_error(std::string(call) + ": " + label(a) + " has shape " + shape_text(a.shape) +
                    "; pass an array of rank " + std::to_string(rank) + ", " + axes);
}

constexpr bool is_real(dtype t) {
  return t == dtype::f2 || t == dtype::bf16 || t == dtype::f4 || t == dtype::f8;
}

void require_real(const char* call, const array& a) {
  if (is_real(a.type)) return;
  throw format_error(std::string(call) + ": " + label(a) + " is " + name_of(a.type) +
                     "; pass float16, bfloat16, float32 or float64, as .astype('<f4') gives");
}

constexpr index_t conversion_block = index_t{1} << 16;

// Element number `place` of the file.
template <class T>
T element(const array& a, index_t place) {
  std::array<std::byte, sizeof(T)> bytes;
  std::memcpy(bytes.data(), a.data + place * index_t(sizeof(T)), sizeof(T));
  if (a.big_endian) std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<T>(bytes);
}

// Calls visit(place in C order, place in the file) for every element. Along a row of an array in Fortran order
// the elements lie as far apart as all axes but the last have elements; neighbouring rows share cache lines.
template <class Visit>
void for_each_element(cpu on, const array& a, Visit visit) {
  parallel_blocks(on, a.size(), conversion_block, [&](index_t, index_t begin, index_t end) {
    if (!a.fortran_order) {
      for (index_t i = begin; i < end; ++i) visit(i, i);
      return;
    }
    const index_t cols = a.shape.back(), apart = a.size() / cols;
    for (index_t i = begin; i < end;) {
      index_t row = i / cols, place = 0, col = i % cols;
      index_t step = apart;
      for (std::size_t axis = a.shape.size() - 1; axis-- > 0;) {
        step /= a.shape[axis];
        place += row % a.shape[axis] * step;
        row /= a.shape[axis];
      }
      for (; col < cols && i < end; ++col, ++i) visit(i, place + col * apart);
    }
  });
}

float fp32(double x) { return static_cast<float>(x); }

template <class Real>
float fp32(Real x) {
  return to_float(x);
}

// A copy whose elements are what `convert` makes of those of `a`.
template <class From, class To, class Convert>
array converted(const array& a, dtype type, cpu on, Convert convert) {
  const auto buffer = allocate_buffer(std::size_t(a.size()) * sizeof(To));
  auto* const out = reinterpret_cast<To*>(buffer.get());
  for_each_element(on, a, [&](index_t i, index_t place) { out[i] = convert(element<From>(a, place)); });
  array copy{type, a.shape, buffer.get(), buffer, a.name};
  copy.held = index_t(copy.bytes());
  return copy;
}

template <class Real>
array widened_or_narrowed(const array& a, cpu on) {
  return converted<Real, float>(a, dtype::f4, on, [](Real x) { return fp32(x); });
}

// The array in fp32; one that is fp32 and plain already is not copied.
array to_float32(const array& a, cpu on) {
  if (a.type == dtype::f2) return widened_or_narrowed<float16>(a, on);
  if (a.type == dtype::bf16) return widened_or_narrowed<bfloat16>(a, on);
  if (a.type == dtype::f8) return widened_or_narrowed<double>(a, on);
  return a.plain() ? a : widened_or_narrowed<float>(a, on);
}

template <class Integer>
std::vector<index_t> copied_integers(const array& a, cpu on) {
  std::vector<index_t> copy(std::size_t(a.size()));
  for_each_element(on, a, [&](index_t i, index_t place) {
    const auto value = element<Integer>(a, place);
    if (!std::in_range<index_t>(value))
      throw value_error("as_integers: " + label(a) + " holds " + std::to_string(value) + " at place " +
                        std::to_string(i) + "; row numbers, costs and labels are at most 2^63 - 1");
    copy[std::size_t(i)] = index_t(value);
  });
  return copy;
}

// As one of the types that a variant of views has: f8 is converted, what is not plain is copied.
array narrowed(const char* call, const array& a, cpu on) {
  require_real(call, a);
  if (a.type == dtype::f8 || a.type == dtype::f4) return to_float32(a, on);
  if (a.plain()) return a;
  return converted<std::uint16_t, std::uint16_t>(a, a.type, on, [](std::uint16_t bits) { return bits; });
}

// View is matrix_view or cube_view; `extents` are its sizes.
template <template <class> class View, class Real, class... Extents>
Real view_of(const array& a, Extents... extents) {
  switch (a.type) {
    case dtype::f2:
      return View<const float16>{reinterpret_cast<const float16*>(a.data), extents...};
    case dtype::bf16:
      return View<const bfloat16>{reinterpret_cast<const bfloat16*>(a.data), extents...};
    default:
      return View<const float>{reinterpret_cast<const float*>(a.data), extents...};
  }
}

}  // namespace

std::size_t size_of(dtype t) { return facts[std::size_t(t)].size; }
const char* name_of(dtype t) { return facts[std::size_t(t)].name; }

index_t array::size() const {
  index_t product = 1;
  for (const index_t extent : shape) product *= extent;
  return product;
}

real_matrix as_matrix(const array& a, array& keep, cpu on) {
  require_rank("as_matrix", a, 2, "[rows, cols]");
  keep = narrowed("as_matrix", a, on);
  return view_of<matrix_view, real_matrix>(keep, keep.shape[0], keep.shape[1]);
}

real_cube as_cube(const array& a, array& keep, cpu on) {
  require_rank("as_cube", a, 3, "[members, rows, classes]");
  keep = narrowed("as_cube", a, on);
  return view_of<cube_view, real_cube>(keep, keep.shape[0], keep.shape[1], keep.shape[2]);
}

matrix_view<const float> as_float_matrix(const array& a, array& keep, cpu on) {
  require_rank("as_float_matrix", a, 2, "[rows, cols]");
  require_real("as_float_matrix", a);
  keep = to_float32(a, on);
  return {reinterpret_cast<const float*>(keep.data), keep.shape[0], keep.shape[1]};
}

std::vector<float> as_values(const array& a, cpu on) {
  require_rank("as_values", a, 1, "[items]");
  const bool real = a.type == dtype::f2 || a.type == dtype::bf16 || a.type == dtype::f4 || a.type == dtype::f8;
  if (real) {
    const array plain = to_float32(a, on);
    const auto* const first = reinterpret_cast<const float*>(plain.data);
    return {first, first + plain.size()};
  }
  const std::vector<index_t> whole = as_integers(a, on);
  return {whole.begin(), whole.end()};
}

std::vector<index_t> as_integers(const array& a, cpu on) {
  require_rank("as_integers", a, 1, "[items]");
  if (a.size() == 0) return {};
  if (a.type == dtype::b1 || a.type == dtype::u1) return copied_integers<std::uint8_t>(a, on);
  if (a.type == dtype::i1) return copied_integers<std::int8_t>(a, on);
  if (a.type == dtype::i2) return copied_integers<std::int16_t>(a, on);
  if (a.type == dtype::u2) return copied_integers<std::uint16_t>(a, on);
  if (a.type == dtype::i4) return copied_integers<std::int32_t>(a, on);
  if (a.type == dtype::u4) return copied_integers<std::uint32_t>(a, on);
  if (a.type == dtype::i8) return copied_integers<std::int64_t>(a, on);
  if (a.type == dtype::u8) return copied_integers<std::uint64_t>(a, on);
  throw format_error("as_integers: " + label(a) + " is " + name_of(a.type) +
                     "; pass whole numbers, as .astype('<i8') gives");
}

std::vector<index_t> row_numbers(const array& a, index_t rows, cpu on) {
  const std::string opening = "row_numbers: " + label(a);
  if (a.type == dtype::b1 && a.size() != rows)
    throw shape_error(opening + " is a mask of " + std::to_string(a.size()) + " rows but the pool has " +
                      std::to_string(rows) +
                      "; give an entry for each row, or row numbers, as numpy.flatnonzero(mask) gives");
  if (a.size() > rows)
    throw value_error(opening + " holds " + std::to_string(a.size()) + " row numbers but the pool has " +
                      std::to_string(rows) + " rows; give each row once");
  std::vector<index_t> numbers = as_integers(a, on);
  if (a.type == dtype::b1) {
    index_t marked = 0;
    for (index_t row = 0; row < rows; ++row)
      if (numbers[std::size_t(row)] != 0) numbers[std::size_t(marked++)] = row;
    numbers.resize(std::size_t(marked));
    return numbers;
  }
  // Three and more of them would name a row twice.
  const auto is_mark = [](index_t n) { return n == 0 || n == 1; };
  if (index_t(numbers.size()) == rows && rows > 2 && std::all_of(numbers.begin(), numbers.end(), is_mark))
    throw value_error(
        opening +
        " holds a 0 or a 1 for each row of the pool, as a mask does; save it as bool, or row numbers, "
        "as numpy.flatnonzero(mask) gives");
  return numbers;
}

}  // namespace poolwise
