#include "poolwise/files/array.hpp"

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

constexpr dtype_facts facts[] = {{2, "float16"}, {2, "bfloat16"}, {4, "float32"}, {8, "float64"},
                                 {4, "int32"},   {8, "int64"},    {4, "uint32"},  {8, "uint64"}};

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

float fp32(double x) { return static_cast<float>(x); }

template <class Real>
float fp32(Real x) {
  return to_float(x);
}

template <class Real>
void widen_or_narrow(cpu on, const std::byte* from, vector_view<float> out) {
  const auto* const in = reinterpret_cast<const Real*>(from);
  parallel_blocks(on, out.size, conversion_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) out[i] = fp32(in[i]);
  });
}

// The array in fp32; one that is fp32 already is not copied.
array to_float32(const array& a, cpu on) {
  if (a.type == dtype::f4) return a;
  const auto buffer = allocate_buffer(std::size_t(a.size()) * sizeof(float));
  const vector_view<float> out{reinterpret_cast<float*>(buffer.get()), a.size()};
  if (a.type == dtype::f2)
    widen_or_narrow<float16>(on, a.data, out);
  else if (a.type == dtype::bf16)
    widen_or_narrow<bfloat16>(on, a.data, out);
  else
    widen_or_narrow<double>(on, a.data, out);
  return {dtype::f4, a.shape, buffer.get(), buffer, a.name};
}

template <class Integer>
void copy_integers(const array& a, std::vector<index_t>& out) {
  const auto* const in = reinterpret_cast<const Integer*>(a.data);
  parallel_blocks(cpu{}, a.size(), conversion_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      if (!std::in_range<index_t>(in[i]))
        throw value_error("as_integers: " + label(a) + " holds " + std::to_string(in[i]) + " at place " +
                          std::to_string(i) + "; row numbers, costs and labels are at most 2^63 - 1");
      out[std::size_t(i)] = index_t(in[i]);
    }
  });
}

// As one of the types that a variant of views has: only f8 is converted.
array narrowed(const char* call, const array& a, cpu on) {
  require_real(call, a);
  return a.type == dtype::f8 ? to_float32(a, on) : a;
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

array open_array(const std::string& spec) {
  constexpr std::string_view safetensors = ".safetensors";
  // A tensor's name may hold anything, ".npy" or a colon too: what comes first decides.
  if (const auto at = spec.find(std::string(safetensors) + ":"); at != std::string::npos) {
    const auto file_end = at + safetensors.size();
    return open_safetensors(spec.substr(0, file_end), spec.substr(file_end + 1));
  }
  if (spec.ends_with(safetensors)) return open_safetensors(spec, "");
  if (spec.ends_with(".npy")) return open_npy(spec);
  throw format_error("open_array: " + printable(spec) +
                     " is neither a .npy nor a .safetensors file by its name; pass FILE.npy, " +
                     "FILE.safetensors or FILE.safetensors:TENSOR");
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

std::vector<index_t> as_integers(const array& a) {
  require_rank("as_integers", a, 1, "[items]");
  if (is_real(a.type))
    throw format_error("as_integers: " + label(a) + " is " + name_of(a.type) +
                       "; pass whole numbers as int32, int64, uint32 or uint64, as .astype('<i8') gives");
  std::vector<index_t> values(std::size_t(a.size()));
  if (a.type == dtype::i4)
    copy_integers<std::int32_t>(a, values);
  else if (a.type == dtype::i8)
    copy_integers<std::int64_t>(a, values);
  else if (a.type == dtype::u4)
    copy_integers<std::uint32_t>(a, values);
  else
    copy_integers<std::uint64_t>(a, values);
  return values;
}

}  // namespace poolwise
