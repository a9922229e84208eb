// Arrays in files: what a pool, its model outputs and its labels are read from.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

enum class dtype { f2, bf16, f4, f8, i4, i8, u4, u8 };
std::size_t size_of(dtype t);
const char* name_of(dtype t);  ///< as numpy writes it: "float16", "bfloat16", "float32", ...

/// A C-order array. `owner` keeps the bytes alive (a file mapping or a buffer); null means borrowed from
/// the caller, who keeps them. Copies share the bytes. `data` lies at a multiple of the element's size.
struct array {
  dtype type = dtype::f4;
  std::vector<index_t> shape;
  const std::byte* data = nullptr;
  std::shared_ptr<const void> owner;
  std::string name;     ///< for messages: the file, and the tensor in it
  bool mapped = false;  ///< whether `data` lies in a file mapped for reading, fit for mapped_pages::add

  bool owned() const { return owner != nullptr; }
  index_t size() const;  ///< the product of the shape; 1 for rank 0
  std::size_t bytes() const { return std::size_t(size()) * size_of(type); }
};

/// Maps a .npy file (versions 1 to 3; f2 f4 f8 i4 i8 u4 u8, `|V2` and `<V2` as bfloat16; little-endian; C
/// order). Reads the header only; the rest is paged in by whoever looks. Data that the header leaves off
/// a multiple of the element's size (numpy's own never is) is copied to one that is.
/// A file must stay as it is while it is mapped: the system ends a process (SIGBUS) that looks where a file
/// has been cut off since. Files that Poolwise replaces are safe: a mapping keeps the old one.
/// throws io_error (no such file, not readable, a directory or a pipe), format_error (not .npy, truncated,
/// longer than its shape says, object dtype, Fortran order, big-endian, a shape whose size overflows).
array open_npy(const std::filesystem::path& file);

/// Maps one tensor of a .safetensors file; `tensor` may be empty if the file holds just one.
/// F16 BF16 F32 F64 I32 I64 U32 U64; tensors of other types may stand beside the one that is opened. The
/// format aligns nothing: as with open_npy, data at an odd place is copied.
/// throws as open_npy; format_error names the tensors there are when `tensor` is not among them.
array open_safetensors(const std::filesystem::path& file, const std::string& tensor);

/// Opens "x.npy", "x.safetensors" or "x.safetensors:tensor". throws as these; format_error for other names.
array open_array(const std::string& spec);

/// The array as model outputs of rank 2 or 3, or as features. f8 is narrowed to fp32 in an owned copy, the
/// others are used where they lie. `keep`, which may be `a` itself, then holds what the view looks at.
/// Narrowing rounds as numpy's astype does: to nearest even, and to Inf beyond the range of fp32.
/// throws format_error for integers, shape_error for another rank.
real_matrix as_matrix(const array& a, array& keep, cpu on = {});
real_cube as_cube(const array& a, array& keep, cpu on = {});

/// The array as fp32 [rows, cols]: in place for f4, else widened or narrowed into a buffer held by `keep`.
/// throws as as_matrix.
matrix_view<const float> as_float_matrix(const array& a, array& keep, cpu on = {});

/// Row numbers, costs or labels: rank 1, any integer type. throws format_error for floats (says that
/// integers are needed), shape_error for another rank, value_error for a u8 beyond 2^63 - 1.
std::vector<index_t> as_integers(const array& a);

}  // namespace poolwise
