// Arrays in files: what a pool, its model outputs and its labels are read from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

enum class dtype { f2, bf16, f4, f8, i4, i8, u4, u8, b1, i1, i2, u1, u2 };
std::size_t size_of(dtype t);
const char* name_of(dtype t);  ///< as numpy writes it: "float16", "bfloat16", "float32", ...

/// An array as a file holds it. `owner` keeps the bytes alive (a file mapping or a buffer); null means borrowed
/// from the caller, who keeps them. Copies share the bytes. `data` lies at a multiple of the element's size.
struct array {
  dtype type = dtype::f4;
  std::vector<index_t> shape;
  const std::byte* data = nullptr;
  std::shared_ptr<const void> owner;
  std::string name;            ///< for messages: the file, and the tensor in it
  bool mapped = false;         ///< whether `data` lies in a file mapped for reading, fit for mapped_pages::add
  bool fortran_order = false;  ///< the first axis is the fastest, instead of the last
  bool big_endian = false;
  index_t held = 0;  ///< bytes of memory that `owner` holds, beside mapped files

  /// Whether the elements lie as memory has them: in C order, little-endian.
  bool plain() const { return !fortran_order && !big_endian; }

  bool owned() const { return owner != nullptr; }
  index_t size() const;  ///< the product of the shape; 1 for rank 0
  std::size_t bytes() const { return std::size_t(size()) * size_of(type); }
};

/// The most that arrays may take in memory where their files cannot be mapped.
struct copy_limit {
  std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();
  const char* name = "the limit";  ///< for messages
};

/// Maps a .npy file (versions 1 to 3; bool, integers of 8 to 64 bits, float16, 32 and 64, `|V2` and `<V2` as
/// bfloat16; either byte order, C or Fortran order). Reads the header only; the rest is paged in by whoever
/// looks. Data that the header leaves off a multiple of the element's size (numpy's own never is) is copied to
/// one that is.
/// What cannot be mapped is read into memory, within `most`: a pipe, and what gzip compressed.
/// A file must stay as it is while it is mapped: the system ends a process (SIGBUS) that looks where a file
/// has been cut off since. Files that Poolwise replaces are safe: a mapping keeps the old one.
/// throws io_error (no such file, not readable, a directory or a device), format_error (not .npy, truncated,
/// longer than its shape says, object dtype, a shape whose size overflows), value_error for more than `most`.
array open_npy(const std::filesystem::path& file, const copy_limit& most = {});

/// One member of a .npz file, with or without its `.npy`; `member` may be empty if the file holds just one.
/// A stored member is mapped where its place in the file allows, else copied; a compressed one is unpacked.
/// throws as open_npy; format_error names the members there are when `member` is not among them.
array open_npz(const std::filesystem::path& file, const std::string& member, const copy_limit& most = {});

/// Maps one tensor of a .safetensors file; `tensor` may be empty if the file holds just one.
/// BOOL, I8 to I64, U8 to U64, F16 BF16 F32 F64; tensors of other types may stand beside the one that is
/// opened. The format aligns nothing: as with open_npy, data at an odd place is copied.
/// throws as open_npy; format_error names the tensors there are when `tensor` is not among them.
array open_safetensors(const std::filesystem::path& file, const std::string& tensor,
                       const copy_limit& most = {});

/// Opens "x.npy", "x.npz", "x.npz:member", "x.safetensors" or "x.safetensors:tensor", in either case; ".gz" may
/// follow. Of a name without an ending, such as /dev/stdin, the first bytes tell. throws as these; format_error
/// for other names.
array open_array(const std::string& spec, const copy_limit& most = {});

/// The file that such a spec is of: "x.npz" of "x.npz:member".
std::filesystem::path file_of_array(const std::string& spec);

/// The array as model outputs of rank 2 or 3, or as features. f8 is narrowed to fp32 in an owned copy, and what
/// is not plain is copied; the others are used where they lie. `keep`, which may be `a` itself, then holds what
/// the view looks at. Narrowing rounds as numpy's astype does: to nearest even, and to Inf beyond the range of
/// fp32.
/// throws format_error for integers, shape_error for another rank.
real_matrix as_matrix(const array& a, array& keep, cpu on = {});
real_cube as_cube(const array& a, array& keep, cpu on = {});

/// The array as fp32 [rows, cols]: in place for a plain f4, else converted into a buffer held by `keep`.
/// throws as as_matrix.
matrix_view<const float> as_float_matrix(const array& a, array& keep, cpu on = {});

/// Numbers of any type, one an item, as fp32. throws shape_error for another rank.
std::vector<float> as_values(const array& a, cpu on = {});

/// Row numbers, costs or labels: rank 1, any integer type or bool, and any type where there are none (numpy's
/// empty array is float64). throws format_error for floats (says that integers are needed), shape_error for
/// another rank, value_error for a u8 beyond 2^63 - 1.
std::vector<index_t> as_integers(const array& a, cpu on = {});

/// Numbers of rows of a pool: integers, which are not checked but for being no mask, or the places at which a
/// vector of bool with an entry for each of the pool's `rows` is true. throws as as_integers; shape_error for a
/// mask of another length; value_error for integers that are a mask, and for more of them than rows.
std::vector<index_t> row_numbers(const array& a, index_t rows, cpu on = {});

}  // namespace poolwise
