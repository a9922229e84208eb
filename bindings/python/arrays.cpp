#include "arrays.hpp"

#include <nanobind/stl/string.h>

#include <algorithm>

namespace poolwise::python {
namespace {

nb::module_ numpy() { return nb::module_::import_("numpy"); }

/// Whether DLPack is the way to look at it. Where there is a buffer numpy looks: it knows of those without
/// strides.
bool speaks_dlpack_alone(nb::handle source) {
  return PyObject_CheckBuffer(source.ptr()) == 0 && nb::hasattr(source, "__dlpack__");
}

/// numpy's array of it: of its memory where it has a buffer, else of its values.
nb::object as_numpy(const std::string& what, nb::handle source) {
  try {
    const nb::object masked = numpy().attr("ma").attr("is_masked");
    if (nb::isinstance(source, numpy().attr("ma").attr("MaskedArray")) && nb::cast<bool>(masked(source)))
      throw array_error(what +
                        " has masked values, which are no numbers; pass it without them, such as by "
                        ".filled(numpy.nan) with on_nan=\"skip\", or by .compressed()");
    return numpy().attr(speaks_dlpack_alone(source) ? "from_dlpack" : "asarray")(source);
  } catch (nb::python_error& problem) {
    throw array_error(what + " is " + shown(source) + " and no array: " + message_of(problem) +
                      "; pass an array such as numpy.asarray gives");
  }
}

std::string kind_of_numbers(nb::handle array) {
  return nb::cast<std::string>(array.attr("dtype").attr("kind"));
}

/// While this lives, numpy is silent about numbers beyond fp32: they become infinities, which are judged as
/// such.
class silent_overflow {
 public:
  silent_overflow() : state_(numpy().attr("errstate")(nb::arg("over") = "ignore")) {
    state_.attr("__enter__")();
  }
  ~silent_overflow() {
    try {
      state_.attr("__exit__")(nb::none(), nb::none(), nb::none());
    } catch (nb::python_error&) {  // it has nothing to say
    }
  }
  silent_overflow(const silent_overflow&) = delete;
  silent_overflow& operator=(const silent_overflow&) = delete;

 private:
  nb::object state_;
};

template <class T>
const T* address_of(nb::handle array) {
  Py_buffer buffer;
  if (PyObject_GetBuffer(array.ptr(), &buffer, PyBUF_STRIDES) != 0) throw nb::python_error();
  const void* const data = buffer.buf;
  PyBuffer_Release(&buffer);  // the array has the memory
  return static_cast<const T*>(data);
}

}  // namespace

borrowed::borrowed(const char* call, const char* name, nb::handle source)
    : what_(std::string(call) + ": " + name) {
  if (speaks_dlpack_alone(source))
    by_dlpack(source);
  else
    look_at(source);
}

void borrowed::look_at(nb::handle source) {
  array_ = as_numpy(what_, source);
  const bool made = !array_.is(source) && nb::cast<bool>(array_.attr("flags").attr("owndata"));
  if (made) copied_ = nb::cast<std::size_t>(array_.attr("nbytes"));
  // numpy holds those of ml_dtypes but does not say where they lie.
  bfloat16_ = type_of(array_) == "bfloat16";
  if (bfloat16_) array_ = array_.attr("view")("uint16");
  const std::string kind = kind_of_numbers(array_);
  if (kind == "f" || bfloat16_) return;
  const std::string type = type_of(array_);
  throw array_error(
      what_ + " is " + (nb::cast<int>(array_.attr("ndim")) == 0 ? shown(source) : "an array of " + type) +
      (type == "uint16" || type == "|V2"
           ? "; pass .view(ml_dtypes.bfloat16) of it if these are the bits of bfloat16, else "
             ".astype(numpy.float32)"
           : "; pass an array of float32, float16, bfloat16 or float64, such as by .astype(numpy.float32)"));
}

void borrowed::by_dlpack(nb::handle source) {
  using nb::dlpack::dtype_code;
  nb::ndarray<nb::ro>& tensor = tensor_;
  if (!nb::try_cast(source, tensor, false))
    throw array_error(
        what_ + " is an array of " + type_of(source) +
        " that DLPack does not hand over; pass numpy.asarray of it, or .detach() of a tensor that "
        "requires its gradient");
  if (tensor.device_type() != nb::device::cpu::value && tensor.device_type() != nb::device::cuda_host::value)
    throw array_error(what_ + " lies on a device and this call computes on the CPU; copy it to the host first");
  nb::dlpack::dtype type = tensor.dtype();
  bfloat16_ = type.code == std::uint8_t(dtype_code::Bfloat) && type.bits == 16;
  if (type.lanes != 1 || (type.code != std::uint8_t(dtype_code::Float) && !bfloat16_) || type.bits > 64)
    throw array_error(what_ + " is an array of " + type_of(source) +
                      "; pass one of float32, float16, bfloat16 or float64");
  if (bfloat16_) type.code = std::uint8_t(dtype_code::UInt);
  std::vector<std::size_t> shape;
  std::vector<std::int64_t> strides;
  for (std::size_t axis = 0; axis < tensor.ndim(); ++axis) {
    shape.push_back(tensor.shape(axis));
    strides.push_back(tensor.stride(axis));
  }
  array_ = nb::cast(
      nb::ndarray<nb::numpy, nb::ro>(tensor.data(), shape.size(), shape.data(), source, strides.data(), type));
}

/// Makes the copy that views need, if they need one.
void borrowed::fit(int rank, const char* shape, bool sixteen_bits) {
  const int dimensions = nb::cast<int>(array_.attr("ndim"));
  if (dimensions != rank)
    throw shape_error(what_ + " has " + std::to_string(dimensions) + " dimensions; pass " + shape);
  const index_t size = nb::cast<index_t>(array_.attr("dtype").attr("itemsize"));
  const nb::object flags = array_.attr("flags");
  const bool same_type =
      nb::cast<bool>(array_.attr("dtype").attr("isnative")) && (size == 4 || (size == 2 && sixteen_bits));
  const auto stride = [&](int axis) { return nb::cast<index_t>(array_.attr("strides")[nb::int_(axis)]); };
  // The strides of a dimension with one place mean nothing.
  const bool rows_in_place = rank == 2 && (extent(1) <= 1 || stride(1) == size) &&
                             (extent(0) <= 1 || (stride(0) % size == 0 && stride(0) >= extent(1) * size));
  if (same_type && nb::cast<bool>(flags.attr("aligned")) &&
      (rows_in_place || nb::cast<bool>(flags.attr("c_contiguous"))))
    return;
  if (bfloat16_ && !sixteen_bits) {
    const nb::object bits = numpy().attr("array")(array_, nb::arg("dtype") = "uint32", nb::arg("order") = "C");
    array_ = numpy()
                 .attr("left_shift")(bits, nb::cast(std::uint32_t{16}), nb::arg("out") = bits)
                 .attr("view")("float32");
  } else {
    const silent_overflow silent;
    const nb::object same = array_.attr("dtype").attr("newbyteorder")("=");
    array_ =
        numpy().attr("array")(array_, nb::arg("dtype") = size == 2 && sixteen_bits ? same : nb::str("float32"),
                              nb::arg("order") = "C");
  }
  copied_ += nb::cast<std::size_t>(array_.attr("nbytes"));
}

index_t borrowed::extent(int axis) const { return nb::cast<index_t>(array_.attr("shape")[nb::int_(axis)]); }

index_t borrowed::row_stride() const {
  if (extent(0) <= 1) return extent(1);
  return nb::cast<index_t>(array_.attr("strides")[nb::int_(0)]) / nb::cast<index_t>(array_.attr("itemsize"));
}

/// Calls `use` with a value of the type of the elements, which fit() has seen to.
template <class Use>
auto borrowed::with_type(Use use) const {
  if (nb::cast<int>(array_.attr("itemsize")) == 4) return use(float{});
  return bfloat16_ ? use(bfloat16{}) : use(float16{});
}

real_matrix borrowed::outputs() {
  fit(2, "[rows, classes]", true);
  return with_type([this](auto zero) {
    return real_matrix(matrix_view{address_of<decltype(zero)>(array_), extent(0), extent(1), row_stride()});
  });
}

real_cube borrowed::committee() {
  fit(3, "[members, rows, classes]", true);
  return with_type([this](auto zero) {
    return real_cube(cube_view{address_of<decltype(zero)>(array_), extent(0), extent(1), extent(2)});
  });
}

matrix_view<const float> borrowed::rows() {
  fit(2, "[rows, features]", false);
  return {address_of<float>(array_), extent(0), extent(1), row_stride()};
}

cube_view<const float> borrowed::floats() {
  fit(3, "[members, rows, outputs]", false);
  return {address_of<float>(array_), extent(0), extent(1), extent(2)};
}

vector_view<const float> borrowed::vector() {
  fit(1, "one value for each row", false);
  return {address_of<float>(array_), extent(0)};
}

result_place::result_place(const char* call, nb::handle out, index_t rows, index_t cols, bool vector,
                           nb::handle read) {
  const std::string what = std::string(call) + ": out";
  const bool buffer = PyObject_CheckBuffer(out.ptr()) != 0;
  held_ = buffer ? as_numpy(what, out) : nb::borrow(out);
  if ((!buffer && !speaks_dlpack_alone(out)) || !nb::try_cast(held_, array_, false))
    throw array_error(what + " is " + shown(out) + "; pass a writable float32 array on the CPU");
  std::string wanted = std::to_string(rows);
  if (!vector) wanted += ", " + std::to_string(cols);
  const bool fits = array_.ndim() == (vector ? 1 : 2) && index_t(array_.shape(0)) == rows &&
                    (vector || index_t(array_.shape(1)) == cols);
  if (!fits) throw shape_error(what + " has another shape than the scores; pass [" + wanted + "]");
  const index_t stride = rows > 1 ? array_.stride(0) : cols;
  const bool usable = rows * cols == 0 || (stride >= cols && (cols == 1 || array_.stride(1) == 1));
  if (!usable || reinterpret_cast<std::uintptr_t>(array_.data()) % sizeof(float) != 0)
    throw array_error(what + " does not have the scores of a row beside each other; pass numpy.empty((" +
                      wanted + "), numpy.float32)");
  if (buffer && nb::cast<bool>(numpy().attr("shares_memory")(held_, read)))
    throw array_error(what + " lies in what is scored, which is read meanwhile; pass a place of its own");
  view_ = {array_.data(), rows, cols, stride};
}

result_array new_floats(index_t rows, index_t cols, bool vector) {
  const nb::object shape = vector ? nb::object(nb::make_tuple(rows)) : nb::object(nb::make_tuple(rows, cols));
  return nb::borrow<result_array>(numpy().attr("empty")(shape, "float32"));
}

integers::integers(const char* call, const char* name, nb::handle source, const row_ids* ids) {
  const std::string what = std::string(call) + ": " + name;
  nb::object array;
  try {
    const nb::module_ builtins = nb::module_::import_("builtins");
    const bool is_set = nb::isinstance(source, nb::module_::import_("collections.abc").attr("Set"));
    array = as_numpy(what, is_set ? builtins.attr("sorted")(source) : nb::borrow(source)).attr("copy")();
  } catch (nb::python_error& problem) {
    throw array_error(what + " cannot be sorted: " + message_of(problem) + "; pass a list of integers");
  }
  const std::string kind = kind_of_numbers(array);
  const index_t size = nb::cast<index_t>(array.attr("size"));
  if (nb::cast<int>(array.attr("ndim")) != 1)
    throw shape_error(what + " has " + std::to_string(nb::cast<int>(array.attr("ndim"))) +
                      " dimensions; pass a vector");
  if (size == 0) return;  // an empty list is one of floats to numpy
  if (kind == "U" || kind == "T" || kind == "O") {
    if (ids == nullptr) throw array_error(what + " holds " + type_of(array) + "; pass integers");
    values_ = ids->rows_of(texts_in(call, name, array));
    return;
  }
  if (kind != "i" && kind != "u")
    throw array_error(
        what + " holds " + type_of(array) +
        (kind == "b" ? "; pass row numbers, such as numpy.flatnonzero of it" : "; pass integers"));
  if (kind == "u" && nb::cast<std::uint64_t>(array.attr("max")().attr("item")()) > std::uint64_t(INT64_MAX))
    throw value_error(what + " holds a number beyond 2^63 - 1");
  array = numpy().attr("require")(array, "int64", "CA");
  values_.assign(address_of<index_t>(array), address_of<index_t>(array) + size);
}

}  // namespace poolwise::python
