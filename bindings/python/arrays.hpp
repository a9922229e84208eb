// Python's arrays as the views that the library takes: looked at where they lie if that can be, else in a copy.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/types.hpp"
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
struct integer_array : nb::object {
  NB_OBJECT(integer_array, nb::object, "numpy.typing.ArrayLike", any_object)
};

/// An array of numbers, kept alive while this lives. `call` and `name` open its error messages. The views are
/// of the array itself where it is native, aligned, row after row and of their types. Else they are of a copy,
/// in fp32 where the type is another one than they have. A view throws array_error for numbers that are not
/// real, shape_error for another rank.
class borrowed {
 public:
  borrowed(const char* call, const char* name, nb::handle source);

  real_matrix outputs();              ///< [rows, cols] fp32, fp16 or bf16
  real_cube committee();              ///< the same as [members, rows, cols], dense
  matrix_view<const float> rows();    ///< [rows, cols] fp32
  cube_view<const float> floats();    ///< [members, rows, cols] fp32, dense
  vector_view<const float> vector();  ///< [size] fp32, dense

  std::size_t copied() const { return copied_; }  ///< bytes
  nb::handle array() const { return array_; }     ///< numpy's, that the views are of

 private:
  void look_at(nb::handle source);
  void by_dlpack(nb::handle source);
  void fit(int rank, const char* shape, bool sixteen_bits);
  index_t extent(int axis) const;
  index_t row_stride() const;
  template <class Use>
  auto with_type(Use use) const;

  std::string what_;
  nb::ndarray<nb::ro> tensor_;  // of DLPack, whose memory `array_` is then of
  nb::object array_;            // of numpy
  bool bfloat16_ = false;       // its uint16 are the bits of these
  std::size_t copied_ = 0;
};

/// A borrowed place for results: fp32, writable, [rows] if `cols` is 1, else [rows, cols] with strided rows,
/// apart from what is `read`. throws array_error, shape_error.
class result_place {
 public:
  result_place(const char* call, nb::handle out, index_t rows, index_t cols, bool vector, nb::handle read);

  matrix_view<float> view() const { return view_; }

 private:
  nb::object held_;
  nb::ndarray<float, nb::device::cpu> array_;
  matrix_view<float> view_;
};

/// numpy.empty(shape, float32): large ones come with huge pages, and numpy owns them.
result_array new_floats(index_t rows, index_t cols, bool vector);

/// Row numbers, costs or groups, of any integer type, a list or a set: a copy, because they are checked before
/// they are used and Python may write to arrays meanwhile. Strings are rows by their `ids`, where there are
/// some. throws array_error unless they are integers, shape_error unless of rank 1, value_error beyond 2^63 - 1
/// and for ids that no row has.
class integers {
 public:
  integers() = default;  // none given
  integers(const char* call, const char* name, nb::handle source, const row_ids* ids = nullptr);

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
