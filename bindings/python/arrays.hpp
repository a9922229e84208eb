// Python's arrays as the views that the library takes: looked at where they lie, refused where a copy were
// needed.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/core/types.hpp"

namespace poolwise::python {

namespace nb = nanobind;

/// Another element type, another layout or another device than a call can use in place.
struct array_error : error {
  using error::error;
};

inline bool any_object(const PyObject*) { return true; }

// Arguments by what a signature says of them; what they hold is checked by the classes below, whose messages
// say more than a failed overload does.
struct outputs_array : nb::object {
  NB_OBJECT(outputs_array, nb::object, "numpy.typing.NDArray[typing.Any]", any_object)
};
struct float_array : nb::object {
  NB_OBJECT(float_array, nb::object, "numpy.typing.NDArray[numpy.float32]", any_object)
};
struct integer_array : nb::object {
  NB_OBJECT(integer_array, nb::object, "numpy.typing.ArrayLike", any_object)
};

struct integer : nb::object {
  NB_OBJECT(integer, nb::object, "int", PyIndex_Check)
};

/// The number that was given, from `least` to `most`; Python's own have no end. throws value_error.
template <class Number>
Number number_in(const char* call, const char* name, nb::handle given, Number least = 0,
                 Number most = std::numeric_limits<Number>::max()) {
  const nb::object whole = nb::steal(PyNumber_Index(given.ptr()));
  if (!whole.is_valid()) throw nb::python_error();
  Number number{};
  if (!nb::try_cast(whole, number) || number < least || number > most)
    throw value_error(std::string(call) + ": " + name + " is " + nb::str(whole).c_str() +
                      "; pass a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return number;
}

/// A borrowed array of numbers, kept alive while this lives. `call` and `name` open its error messages.
/// Every view throws array_error for another element type or layout, shape_error for another rank.
class borrowed {
 public:
  borrowed(const char* call, const char* name, nb::handle source);

  real_matrix outputs() const;              ///< [rows, cols] fp32, fp16, bf16, or uint16 as the bits of bf16
  real_cube committee() const;              ///< the same as [members, rows, cols], dense
  matrix_view<const float> rows() const;    ///< [rows, cols] fp32
  vector_view<const float> vector() const;  ///< [size] fp32, dense

 private:
  template <class T>
  matrix_view<const T> matrix_of() const;
  template <class T>
  cube_view<const T> cube_of() const;
  void require_rank(std::size_t rank, const char* shape) const;
  void require_float32() const;

  std::string what_;
  nb::ndarray<nb::ro> array_;
};

/// A borrowed place for results: fp32, writable, [rows] if `cols` is 1, else [rows, cols] with strided rows.
/// throws array_error, shape_error.
class result_place {
 public:
  result_place(const char* call, nb::handle out, index_t rows, index_t cols, bool vector);

  matrix_view<float> view() const { return view_; }

 private:
  nb::ndarray<float, nb::device::cpu> array_;
  matrix_view<float> view_;
};

/// numpy.empty(shape, float32): large ones come with huge pages, and numpy owns them.
float_array new_floats(index_t rows, index_t cols, bool vector);

/// Row numbers, costs or groups: any integer type or a list; int64 is used in place, others are widened in a
/// copy. throws array_error unless they are integers, shape_error unless of rank 1, value_error beyond 2^63
/// - 1.
class integers {
 public:
  integers() = default;  // none given
  integers(const char* call, const char* name, nb::handle source);

  std::span<const index_t> span() const;
  vector_view<const index_t> view() const { return {span().data(), index_t(span().size())}; }

 private:
  nb::ndarray<const std::int64_t, nb::c_contig, nb::device::cpu> array_;
};

/// The values as a numpy array that owns them.
template <class T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> owned(std::vector<T> values) {
  auto* kept = new std::vector<T>(std::move(values));
  nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return {kept->data(), {kept->size()}, owner};
}

}  // namespace poolwise::python
