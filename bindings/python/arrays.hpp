// Python's arrays as the views that the library takes, looked at where they lie.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "arrow.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/ids.hpp"

namespace poolwise::python {

/// What is no array of numbers that a call takes, or lies on a device.
struct array_error : error {
  using error::error;
};

struct outputs_array : nb::object {
  NB_OBJECT(outputs_array, nb::object, "numpy.typing.NDArray[typing.Any]", any_object)
};
struct members_array : nb::object {
  NB_OBJECT(members_array, nb::object,
            "numpy.typing.NDArray[typing.Any] | collections.abc.Sequence[numpy.typing.NDArray[typing.Any]]",
            any_object)
};
struct float_array : nb::object {
  NB_OBJECT(float_array, nb::object, "numpy.typing.NDArray[typing.Any]", any_object)
};
struct result_array : nb::object {
  NB_OBJECT(result_array, nb::object, "numpy.typing.NDArray[numpy.float32]", any_object)
};
struct table_source : nb::object {
  NB_OBJECT(table_source, nb::object, "typing.Any", any_object)
};
struct pool_argument : nb::object {
  NB_OBJECT(pool_argument, nb::object, "Pool", any_object)
};
struct progress_function : nb::object {
  NB_OBJECT(progress_function, nb::object, "bool | collections.abc.Callable[[int, int | None], typing.Any]",
            any_object)
};
struct integer_array : nb::object {
  NB_OBJECT(integer_array, nb::object, "numpy.typing.ArrayLike", any_object)
};

/// What numbers are that a protocol hands over.
enum class number { fp32, fp16, bf16, fp64, other };

/// Where numbers lie. Extents count numbers, strides bytes.
struct strided {
  static constexpr int most = 4;

  const void* data = nullptr;
  number type = number::other;
  bool native = true;  ///< in this machine's order of bytes
  int rank = 0;
  index_t size = 0;  ///< bytes of one number
  index_t extent[most] = {}, stride[most] = {};
  bool on_device = false;
};

/// A Py_buffer that is given back. While it is held, Python refuses to free or move the memory.
class held_buffer {
 public:
  held_buffer() = default;
  ~held_buffer() { PyBuffer_Release(&buffer_); }
  held_buffer(const held_buffer&) = delete;
  held_buffer& operator=(const held_buffer&) = delete;

  /// Whether `source` hands one over. Python's error stays where it does not.
  bool take(nb::handle source, int flags) { return PyObject_GetBuffer(source.ptr(), &buffer_, flags) == 0; }
  const Py_buffer& operator*() const { return buffer_; }
  const Py_buffer* operator->() const { return &buffer_; }

 private:
  Py_buffer buffer_{};
};

/// An array of numbers, kept alive while this lives. `call` and `name` open its error messages. The views are
/// of the array itself. Where it would have to be converted it is refused, unless it may be copied. A view
/// throws array_error for numbers that are not real, shape_error for another rank.
class borrowed {
 public:
  /// source  an array by its buffer, DLPack, Arrow's interface or __array_interface__, or the name of a file
  borrowed(const char* call, const char* name, nb::handle source, bool may_copy);
  /// A column of lists, of a table that its owner keeps.
  borrowed(const char* call, const char* name, const arrow_column& column, bool may_copy);

  real_matrix outputs();              ///< [rows, cols] fp32, fp16 or bf16
  real_cube committee();              ///< the same as [members, rows, cols], dense
  matrix_view<const float> rows();    ///< [rows, cols] fp32
  cube_view<const float> floats();    ///< [members, rows, cols] fp32, dense
  vector_view<const float> vector();  ///< [size] fp32, dense

  std::size_t copied() const { return copied_; }  ///< bytes
  nb::handle source() const { return source_; }
  /// Whether the bytes from `begin` to `end` may be some of these.
  bool may_meet(const void* begin, const void* end) const;

 private:
  [[noreturn]] void refuse_device() const;
  void by_buffer(nb::handle source);
  void by_dlpack(nb::handle source);
  void by_numpy(nb::handle source);
  void by_file(nb::handle source);
  bool by_arrow(nb::handle source);
  void by_column(const arrow_column& column);
  void look_at(const array& file);
  bool in_place(int rank, bool sixteen_bits) const;
  void fit(int rank, const char* shape, bool sixteen_bits);
  void convert(bool sixteen_bits);
  std::string why_not(int rank, bool sixteen_bits) const;
  index_t extent(int axis) const { return seen_.extent[axis]; }
  index_t row_stride() const;
  template <class T>
  const T* data() const {
    return static_cast<const T*>(seen_.data);
  }
  template <class Use>
  auto with_type(Use use) const;
  std::string what() const { return std::string(call_) + ": " + name_; }

  const char* call_;
  const char* name_;
  nb::handle source_;
  strided seen_;
  held_buffer buffer_;
  nb::ndarray<nb::ro> tensor_;  // of DLPack
  nb::object array_;            // of numpy, that was made on the way
  poolwise::array file_;
  std::unique_ptr<arrow_table> table_;
  std::unique_ptr<std::byte[]> joined_;  // the pieces of a column
  bool may_copy_;
  std::size_t copied_ = 0;
};

/// A borrowed place for results: fp32, writable, [rows] if `cols` is 1, else [rows, cols] with strided rows,
/// apart from what is `read`. throws array_error, shape_error.
class result_place {
 public:
  result_place(const char* call, nb::handle out, index_t rows, index_t cols, bool vector, const borrowed& read);

  matrix_view<float> view() const { return view_; }

 private:
  nb::object held_;
  nb::ndarray<float, nb::device::cpu> array_;
  matrix_view<float> view_;
};

/// numpy.empty(shape, float32): large ones come with huge pages, and numpy owns them.
result_array new_floats(index_t rows, index_t cols, bool vector);

using rows_by_id = std::function<std::vector<index_t>(std::span<const std::string>)>;

/// Row numbers, costs or groups, of any integer type, a list or a set: a copy, because they are checked before
/// they are used and Python may write to arrays meanwhile. Strings are ids, where `rows_of` says whose. throws
/// array_error unless they are integers, shape_error unless of rank 1, value_error beyond 2^63 - 1 and for ids
/// that no row has.
class integers {
 public:
  integers() = default;  // none given
  integers(const char* call, const char* name, nb::handle source, const rows_by_id& rows_of = {});

  std::span<const index_t> span() const { return values_; }
  vector_view<const index_t> view() const { return {values_.data(), index_t(values_.size())}; }

 private:
  std::vector<index_t> values_;
};

/// The values as a numpy array that owns them.
template <class T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> owned(std::vector<T> values) {
  auto* kept = new std::vector<T>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return {kept->data(), {kept->size()}, owner};
}

}  // namespace poolwise::python
