#include "arrays.hpp"

#include <nanobind/stl/string.h>

namespace poolwise::python {
namespace {

using nb::dlpack::dtype_code;

bool is(nb::dlpack::dtype type, dtype_code code, int bits) {
  return type.lanes == 1 && type.code == std::uint8_t(code) && type.bits == bits;
}

std::string text_of(nb::handle source) { return nb::str(source).c_str(); }

// What numpy or torch would print; for messages.
std::string type_of(nb::handle source) {
  const bool typed = nb::hasattr(source, "dtype");
  return text_of(typed ? nb::object(source.attr("dtype")) : nb::object(source.type().attr("__name__")));
}

// ml_dtypes' bfloat16 is numpy's to hold but not to export: its bits are.
nb::object exportable(nb::handle source) {
  const bool bfloat16_of_numpy = nb::hasattr(source, "view") && type_of(source) == "bfloat16";
  return bfloat16_of_numpy ? nb::object(source.attr("view")("uint16")) : nb::borrow(source);
}

bool aligned(const void* data, std::size_t size) { return reinterpret_cast<std::uintptr_t>(data) % size == 0; }

}  // namespace

borrowed::borrowed(const char* call, const char* name, nb::handle source)
    : what_(std::string(call) + ": " + name) {
  if (!nb::ndarray_check(source))
    throw array_error(what_ + " is a " + type_of(source) + "; pass an array such as numpy.asarray(" + name +
                      ", numpy.float32)");
  if (!nb::try_cast(exportable(source), array_, false))
    throw array_error(what_ + " is an array of " + type_of(source) +
                      " that cannot be looked at where it lies; pass a native, aligned float32, float16 or "
                      "bfloat16 array");
  if (array_.device_type() != nb::device::cpu::value && array_.device_type() != nb::device::cuda_host::value)
    throw array_error(what_ + " lies on a device and this call computes on the CPU; copy it to the host first");
  if (array_.itemsize() > 0 && array_.size() > 0 && !aligned(array_.data(), array_.itemsize()))
    throw array_error(what_ + " is not aligned to its elements; pass a copy of it (numpy.array)");
}

void borrowed::require_rank(std::size_t rank, const char* shape) const {
  if (array_.ndim() != rank)
    throw shape_error(what_ + " has " + std::to_string(array_.ndim()) + " dimensions; pass " + shape);
}

void borrowed::require_float32() const {
  if (!is(array_.dtype(), dtype_code::Float, 32))
    throw array_error(what_ + " is not float32; pass it as float32, such as by .astype(numpy.float32)");
}

template <class T>
matrix_view<const T> borrowed::matrix_of() const {
  const index_t rows = index_t(array_.shape(0)), cols = index_t(array_.shape(1));
  // The strides of a dimension with one place, or none, mean nothing.
  const index_t stride = rows > 1 ? array_.stride(0) : cols;
  if (array_.size() > 0 && ((cols > 1 && array_.stride(1) != 1) || stride < cols))
    throw array_error(what_ + " does not have the values of a row beside each other, row after row; pass " +
                      "numpy.ascontiguousarray of it");
  return {static_cast<const T*>(array_.data()), rows, cols, stride};
}

template <class T>
cube_view<const T> borrowed::cube_of() const {
  const index_t members = index_t(array_.shape(0)), rows = index_t(array_.shape(1)),
                cols = index_t(array_.shape(2));
  const bool dense =
      array_.size() == 0 || ((cols <= 1 || array_.stride(2) == 1) && (rows <= 1 || array_.stride(1) == cols) &&
                             (members <= 1 || array_.stride(0) == rows * cols));
  if (!dense) throw array_error(what_ + " is not dense in C order; pass numpy.ascontiguousarray of it");
  return {static_cast<const T*>(array_.data()), members, rows, cols};
}

namespace {

// Calls `use` with a value of the element type that `type` names.
template <class Use>
auto with_output_type(nb::dlpack::dtype type, const std::string& what, Use use) {
  if (is(type, dtype_code::Float, 32)) return use(float{});
  if (is(type, dtype_code::Float, 16)) return use(float16{});
  if (is(type, dtype_code::Bfloat, 16) || is(type, dtype_code::UInt, 16)) return use(bfloat16{});
  throw array_error(what +
                    " is neither float32, float16 nor bfloat16; narrow it first, such as by "
                    ".astype(numpy.float32)");
}

}  // namespace

real_matrix borrowed::outputs() const {
  require_rank(2, "[rows, classes]");
  return with_output_type(array_.dtype(), what_,
                          [this](auto zero) { return real_matrix(matrix_of<decltype(zero)>()); });
}

real_cube borrowed::committee() const {
  require_rank(3, "[members, rows, classes]");
  return with_output_type(array_.dtype(), what_,
                          [this](auto zero) { return real_cube(cube_of<decltype(zero)>()); });
}

matrix_view<const float> borrowed::rows() const {
  require_rank(2, "[rows, features]");
  require_float32();
  return matrix_of<float>();
}

vector_view<const float> borrowed::vector() const {
  require_rank(1, "one value for each row");
  require_float32();
  if (array_.shape(0) > 1 && array_.stride(0) != 1)
    throw array_error(what_ + " has gaps between its values; pass numpy.ascontiguousarray of it");
  return {static_cast<const float*>(array_.data()), index_t(array_.shape(0))};
}

result_place::result_place(const char* call, nb::handle out, index_t rows, index_t cols, bool vector) {
  const std::string what = std::string(call) + ": out";
  if (!nb::try_cast(nb::borrow(out), array_, false))
    throw array_error(what + " is a " + type_of(out) + "; pass a writable float32 array on the CPU");
  std::string wanted = std::to_string(rows);
  if (!vector) wanted += ", " + std::to_string(cols);
  const bool fits = array_.ndim() == (vector ? 1 : 2) && index_t(array_.shape(0)) == rows &&
                    (vector || index_t(array_.shape(1)) == cols);
  if (!fits) throw shape_error(what + " has another shape than the scores; pass [" + wanted + "]");
  const index_t stride = rows > 1 ? array_.stride(0) : cols;
  const bool usable = rows * cols == 0 || (stride >= cols && (cols == 1 || array_.stride(1) == 1));
  if (!usable || !aligned(array_.data(), sizeof(float)))
    throw array_error(what + " does not have the scores of a row beside each other; pass numpy.empty((" +
                      wanted + "), numpy.float32)");
  view_ = {array_.data(), rows, cols, stride};
}

float_array new_floats(index_t rows, index_t cols, bool vector) {
  const nb::object shape = vector ? nb::object(nb::make_tuple(rows)) : nb::object(nb::make_tuple(rows, cols));
  return nb::borrow<float_array>(nb::module_::import_("numpy").attr("empty")(shape, "float32"));
}

integers::integers(const char* call, const char* name, nb::handle source) {
  const std::string what = std::string(call) + ": " + name;
  const nb::module_ numpy = nb::module_::import_("numpy");
  nb::object array = numpy.attr("asarray")(source);
  // An empty list is one of floats to numpy.
  const std::string kind = nb::cast<std::string>(array.attr("dtype").attr("kind"));
  if (kind != "i" && kind != "u" && nb::cast<index_t>(array.attr("size")) > 0)
    throw array_error(
        what + " holds " + type_of(array) +
        (kind == "b" ? "; pass row numbers, such as numpy.flatnonzero of it" : "; pass integers"));
  if (nb::cast<int>(array.attr("ndim")) != 1)
    throw shape_error(what + " has " + text_of(nb::object(array.attr("ndim"))) + " dimensions; pass a vector");
  if (kind == "u" && nb::cast<index_t>(array.attr("size")) > 0 &&
      nb::cast<std::uint64_t>(array.attr("max")().attr("item")()) > std::uint64_t(INT64_MAX))
    throw value_error(what + " holds a number beyond 2^63 - 1");
  array = numpy.attr("require")(array, "int64", "CA");
  array_ = nb::cast<decltype(array_)>(array);
}

std::span<const index_t> integers::span() const {
  if (!array_.is_valid()) return {};
  return {array_.data(), array_.size()};
}

}  // namespace poolwise::python
