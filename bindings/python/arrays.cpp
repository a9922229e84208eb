#include "arrays.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

namespace poolwise::python {
namespace {

/// numpy, which is looked up once. It is never given back: the interpreter may be gone before this library.
nb::handle numpy() {
  static const nb::handle module = nb::module_::import_("numpy").release();
  return module;
}

/// numpy's type of arrays, of which most are.
PyTypeObject* plain_array() {
  static auto* const type = reinterpret_cast<PyTypeObject*>(numpy().attr("ndarray").inc_ref().ptr());
  return type;
}

bool is_plain(nb::handle source) { return Py_TYPE(source.ptr()) == plain_array(); }

bool names_file(nb::handle source) {
  return PyUnicode_Check(source.ptr()) || (!is_plain(source) && nb::hasattr(source, "__fspath__"));
}

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

bool masks(nb::handle source) {
  return !is_plain(source) && nb::isinstance(source, numpy().attr("ma").attr("MaskedArray"));
}

/// What the format of a buffer says: a mark of the order of bytes, and one letter.
void read_format(const char* format, strided& seen) {
  const char mark = format == nullptr ? 'B' : *format;
  if (std::strchr("@=<>!", mark) != nullptr) ++format;
  seen.native = mark != '>' && mark != '!';
  const char letter = format != nullptr && std::strlen(format) == 1 ? *format : 'B';
  seen.type = letter == 'f'   ? number::fp32
              : letter == 'e' ? number::fp16
              : letter == 'd' ? number::fp64
                              : number::other;
}

constexpr const char* wanted_types = "one of float32, float16, bfloat16 or float64";

}  // namespace

borrowed::borrowed(const char* call, const char* name, nb::handle source, bool may_copy)
    : call_(call), name_(name), source_(source), may_copy_(may_copy) {
  if (names_file(source))
    by_file(source);
  else if (PyObject_CheckBuffer(source.ptr()) != 0)
    masks(source) ? by_numpy(source) : by_buffer(source);
  else if (nb::hasattr(source, "__cuda_array_interface__"))
    refuse_device();
  else if (by_arrow(source))
    return;
  else if (speaks_dlpack_alone(source))
    by_dlpack(source);
  else
    by_numpy(source);
}

borrowed::borrowed(const char* call, const char* name, const arrow_column& column, bool may_copy)
    : call_(call), name_(name), may_copy_(may_copy) {
  by_column(column);
}

void borrowed::by_buffer(nb::handle source) {
  if (!buffer_.take(source, PyBUF_RECORDS_RO)) {  // numpy does not say where those of ml_dtypes lie
    PyErr_Clear();
    return by_numpy(source);
  }
  if (buffer_->ndim > strided::most || buffer_->ndim == 0) return by_numpy(source);
  read_format(buffer_->format, seen_);
  if (seen_.type == number::other) return by_numpy(source);
  seen_.data = buffer_->buf;
  seen_.rank = buffer_->ndim;
  seen_.size = buffer_->itemsize;
  index_t dense = seen_.size;
  for (int axis = seen_.rank - 1; axis >= 0; --axis) {
    seen_.extent[axis] = buffer_->shape[axis];
    seen_.stride[axis] = buffer_->strides != nullptr ? buffer_->strides[axis] : dense;
    dense *= seen_.extent[axis];
  }
}

/// By an array of numpy, which may be a copy: of a list, say.
void borrowed::by_numpy(nb::handle source) {
  array_ = as_numpy(what(), source);
  const bool made = !array_.is(source) && nb::cast<bool>(array_.attr("flags").attr("owndata"));
  const std::string type = type_of(array_);
  const std::string kind = kind_of_numbers(array_);
  const int rank = nb::cast<int>(array_.attr("ndim"));
  if (kind != "f" && type != "bfloat16")
    throw array_error(
        what() + " is " + (rank == 0 ? shown(source) : "an array of " + type) +
        (type == "uint16" || type == "|V2"
             ? "; pass .view(ml_dtypes.bfloat16) of it if these are the bits of bfloat16, else "
               ".astype(numpy.float32)"
             : "; pass an array of float32, float16, bfloat16 or float64, such as by .astype(numpy.float32)"));
  if (made && !may_copy_)
    throw array_error(what() + " is " + shown(source) +
                      ", whose numbers lie in no array; pass numpy.asarray of it, with numpy.float32, or "
                      "copy=True");
  if (made) copied_ = nb::cast<std::size_t>(array_.attr("nbytes"));
  seen_.rank = rank;
  if (rank == 0 || rank > strided::most) return;  // as fit() says
  if (type == "bfloat16") array_ = array_.attr("view")("uint16");
  if (!buffer_.take(array_, PyBUF_RECORDS_RO)) throw nb::python_error();
  read_format(buffer_->format, seen_);
  if (type == "bfloat16") seen_.type = number::bf16;
  seen_.data = buffer_->buf;
  seen_.size = buffer_->itemsize;
  std::copy_n(buffer_->shape, rank, seen_.extent);
  std::copy_n(buffer_->strides, rank, seen_.stride);
}

void borrowed::refuse_device() const {
  throw array_error(
      what() +
      " lies on a device and this call computes on the CPU; pass .cpu() of it, or copy it to the host by "
      "what made it (device=\"cuda\" of `select` sends arrays of the host to GPUs)");
}

void borrowed::by_dlpack(nb::handle source) {
  using nb::dlpack::dtype_code;
  // Where it lies is asked first: a device is not to wait for a tensor that is refused.
  if (nb::hasattr(source, "__dlpack_device__")) {
    std::pair<int, int> device;
    if (nb::try_cast(source.attr("__dlpack_device__")(), device) && device.first != nb::device::cpu::value &&
        device.first != nb::device::cuda_host::value)
      refuse_device();
  }
  if (!nb::try_cast(source, tensor_, false))
    throw array_error(what() + " is an array of " + type_of(source) +
                      " that DLPack does not hand over; pass numpy.asarray of it, or .detach() of a tensor "
                      "that requires its gradient");
  const auto& tensor = tensor_;
  const nb::dlpack::dtype type = tensor.dtype();
  const bool bfloat = type.code == std::uint8_t(dtype_code::Bfloat) && type.bits == 16;
  if (type.lanes != 1 || (type.code != std::uint8_t(dtype_code::Float) && !bfloat) || type.bits > 64 ||
      type.bits < 16)
    throw array_error(what() + " is an array of " + type_of(source) + "; pass " + wanted_types);
  seen_.type = bfloat            ? number::bf16
               : type.bits == 64 ? number::fp64
               : type.bits == 32 ? number::fp32
                                 : number::fp16;
  seen_.size = type.bits / 8;
  seen_.data = tensor.data();
  seen_.rank = int(tensor.ndim());
  index_t numbers = 1;
  for (int axis = 0; axis < std::min(seen_.rank, strided::most); ++axis) {
    seen_.extent[axis] = index_t(tensor.shape(std::size_t(axis)));
    seen_.stride[axis] = tensor.stride(std::size_t(axis)) * seen_.size;
    numbers *= seen_.extent[axis];
  }
  if (numbers > 0 && seen_.data == nullptr)
    throw array_error(what() + " has no memory any more; pass a tensor that was not freed");
}

/// Whether it hands over lists of numbers, which the views are then of.
bool borrowed::by_arrow(nb::handle source) {
  if (!arrow_table::speaks(source)) return false;
  table_ = std::make_unique<arrow_table>(what(), source);
  const std::optional<arrow_column> column = table_->lists(what());
  if (column) by_column(*column);
  return column.has_value();
}

void borrowed::by_column(const arrow_column& column) {
  const arrow_matrix matrix = column.matrix();
  seen_.type = matrix.type == 'f' ? number::fp32 : matrix.type == 'e' ? number::fp16 : number::fp64;
  seen_.size = matrix.size();
  seen_.rank = 2;
  const index_t row = matrix.cols * seen_.size;
  seen_.extent[0] = column.rows();
  seen_.extent[1] = matrix.cols;
  seen_.stride[0] = row;
  seen_.stride[1] = seen_.size;
  if (matrix.pieces.size() <= 1) {
    if (!matrix.pieces.empty()) seen_.data = matrix.pieces[0].data;
    return;
  }
  if (!may_copy_)
    throw array_error(column.what() + " lies in " + std::to_string(matrix.pieces.size()) +
                      " chunks apart from each other; pass the table in one chunk (.rechunk() in polars, "
                      ".combine_chunks() in pyarrow), or copy=True");
  copied_ = std::size_t(column.rows() * row);
  joined_ = std::make_unique_for_overwrite<std::byte[]>(copied_);
  std::byte* end = joined_.get();
  for (const arrow_matrix::piece& piece : matrix.pieces) end = std::copy_n(piece.data, piece.rows * row, end);
  seen_.data = joined_.get();
}

void borrowed::by_file(nb::handle source) {
  const std::string spec = path_in(call_, name_, source).string();
  if (names_parquet(spec)) {
    array_ = parquet_table(what(), spec);
    if (!by_arrow(array_))
      throw array_error(
          what() + " is a Parquet file; name one column of lists of numbers, as in \"pool.parquet:logits\"");
    copied_ += std::size_t(seen_.extent[0] * seen_.stride[0]);  // decoded
    return;
  }
  try {
    look_at(file_ = open_array(spec));
  } catch (const format_error& problem) {
    throw value_error(what() + ": " + problem.what());
  } catch (const io_error& problem) {
    throw value_error(what() + ": " + problem.what());
  }
}

void borrowed::look_at(const array& file) {
  seen_.type = file.type == dtype::f4     ? number::fp32
               : file.type == dtype::f2   ? number::fp16
               : file.type == dtype::bf16 ? number::bf16
               : file.type == dtype::f8   ? number::fp64
                                          : number::other;
  if (seen_.type == number::other)
    throw array_error(what() + " is an array of " + name_of(file.type) + "; pass " + wanted_types);
  seen_.native = !file.big_endian;
  seen_.rank = int(file.shape.size());
  seen_.size = index_t(size_of(file.type));
  seen_.data = file.data;
  copied_ = std::size_t(file.held);
  const int rank = std::min(seen_.rank, strided::most);
  index_t dense = seen_.size;
  for (int i = 0; i < rank; ++i) {
    const int axis = file.fortran_order ? i : rank - 1 - i;
    seen_.extent[axis] = file.shape[std::size_t(axis)];
    seen_.stride[axis] = dense;
    dense *= seen_.extent[axis];
  }
}

/// Whether views of that rank can be of the memory as it is.
bool borrowed::in_place(int rank, bool sixteen_bits) const {
  const strided& x = seen_;
  const bool same_type = x.native && (x.type == number::fp32 || (x.size == 2 && sixteen_bits));
  if (!same_type || reinterpret_cast<std::uintptr_t>(x.data) % std::uintptr_t(x.size) != 0) return false;
  // The strides of a dimension with one place mean nothing, and there are none where one has no place.
  index_t dense = x.size;
  for (int axis = rank - 1; axis >= 0; --axis) {
    const bool free_rows = rank == 2 && axis == 0 && x.stride[0] % x.size == 0 && x.stride[0] >= dense;
    if (x.extent[axis] > 1 && x.stride[axis] != dense && !free_rows) {
      const index_t numbers = std::accumulate(x.extent, x.extent + rank, index_t(1), std::multiplies<>());
      return numbers == 0;
    }
    dense *= x.extent[axis];
  }
  return true;
}

/// In words: why it would have to be copied, and what can be passed instead.
std::string borrowed::why_not(int rank, bool sixteen_bits) const {
  const strided& x = seen_;
  const std::string or_copy = ", or copy=True, by which the call converts a copy";
  if (x.type == number::fp64) return "holds float64; pass .astype(numpy.float32) of it" + or_copy;
  if (x.type == number::other)
    return "holds floats of " + std::to_string(8 * x.size) + " bits; pass " + wanted_types + or_copy;
  if (x.size == 2 && !sixteen_bits)
    return std::string("holds ") + (x.type == number::bf16 ? "bfloat16" : "float16") +
           ", and float32 is what is computed on here; pass .astype(numpy.float32) of it" + or_copy;
  if (!x.native)
    return "has the bytes of its numbers in the other order; pass .astype(numpy.float32) of it" + or_copy;
  return std::string("does not have ") + (rank == 1 ? "its values" : "the values of a row") +
         " beside each other at whole addresses; pass numpy.ascontiguousarray of it" + or_copy;
}

/// Makes the copy that views need, if they need one and may have it.
void borrowed::fit(int rank, const char* shape, bool sixteen_bits) {
  if (seen_.rank != rank)
    throw shape_error(what() + " has " + std::to_string(seen_.rank) + " dimensions; pass " + shape);
  if (in_place(rank, sixteen_bits)) return;
  if (!may_copy_) throw array_error(what() + " " + why_not(rank, sixteen_bits));
  convert(sixteen_bits);
}

void borrowed::convert(bool sixteen_bits) {
  const char* const letters = seen_.type == number::fp32   ? "f4"
                              : seen_.type == number::fp64 ? "f8"
                              : seen_.type == number::fp16 ? "f2"
                              : seen_.type == number::bf16 ? "u2"
                                                           : nullptr;
  nb::object array = array_;
  if (letters != nullptr) {
    nb::list shape, strides;
    for (int axis = 0; axis < seen_.rank; ++axis) {
      shape.append(seen_.extent[axis]);
      strides.append(seen_.stride[axis]);
    }
    nb::dict interface;
    interface["version"] = 3;
    interface["data"] = nb::make_tuple(reinterpret_cast<std::uintptr_t>(seen_.data), true);
    interface["typestr"] = std::string(seen_.native ? "<" : ">") + letters;
    interface["shape"] = nb::tuple(shape);
    interface["strides"] = nb::tuple(strides);
    const nb::object holder =
        nb::module_::import_("types").attr("SimpleNamespace")(nb::arg("__array_interface__") = interface);
    array = numpy().attr("asarray")(holder);
  }
  if (seen_.type == number::bf16 && !sixteen_bits) {
    const nb::object bits = numpy().attr("array")(array, nb::arg("dtype") = "uint32", nb::arg("order") = "C");
    array = numpy()
                .attr("left_shift")(bits, nb::cast(std::uint32_t{16}), nb::arg("out") = bits)
                .attr("view")("float32");
    seen_.type = number::fp32;
  } else {
    const silent_overflow silent;
    const nb::object same = array.attr("dtype").attr("newbyteorder")("=");
    const bool keeps = seen_.size == 2 && sixteen_bits;
    array = numpy().attr("array")(array, nb::arg("dtype") = keeps ? same : nb::str("float32"),
                                  nb::arg("order") = "C");
    if (!keeps) seen_.type = number::fp32;
  }
  array_ = std::move(array);
  seen_.native = true;
  seen_.size = nb::cast<index_t>(array_.attr("itemsize"));
  seen_.data = reinterpret_cast<const void*>(nb::cast<std::uintptr_t>(array_.attr("ctypes").attr("data")));
  for (index_t axis = seen_.rank - 1, dense = seen_.size; axis >= 0; --axis) {
    seen_.stride[axis] = dense;
    dense *= seen_.extent[axis];
  }
  copied_ += nb::cast<std::size_t>(array_.attr("nbytes"));
}

bool borrowed::may_meet(const void* begin, const void* end) const {
  const auto* first = static_cast<const char*>(seen_.data);
  const char* last = first;
  for (int axis = 0; axis < seen_.rank; ++axis)
    last += std::max<index_t>(0, seen_.extent[axis] - 1) * std::max<index_t>(0, seen_.stride[axis]);
  return std::less<>()(static_cast<const char*>(begin), last + seen_.size) &&
         std::less<>()(first, static_cast<const char*>(end));
}

index_t borrowed::row_stride() const {
  return extent(0) <= 1 || extent(1) == 0 ? extent(1) : seen_.stride[0] / seen_.size;
}

/// Calls `use` with a value of the type of the elements, which fit() has seen to.
template <class Use>
auto borrowed::with_type(Use use) const {
  if (seen_.type == number::fp32) return use(float{});
  return seen_.type == number::bf16 ? use(bfloat16{}) : use(float16{});
}

real_matrix borrowed::outputs() {
  fit(2, "[rows, classes]", true);
  return with_type([this](auto zero) {
    return real_matrix(matrix_view{data<decltype(zero)>(), extent(0), extent(1), row_stride()});
  });
}

real_cube borrowed::committee() {
  fit(3, "[members, rows, classes]", true);
  return with_type([this](auto zero) {
    return real_cube(cube_view{data<decltype(zero)>(), extent(0), extent(1), extent(2)});
  });
}

matrix_view<const float> borrowed::rows() {
  fit(2, "[rows, features]", false);
  return {data<float>(), extent(0), extent(1), row_stride()};
}

cube_view<const float> borrowed::floats() {
  fit(3, "[members, rows, outputs]", false);
  return {data<float>(), extent(0), extent(1), extent(2)};
}

vector_view<const float> borrowed::vector() {
  fit(1, "one value for each row", false);
  return {data<float>(), extent(0)};
}

result_place::result_place(const char* call, nb::handle out, index_t rows, index_t cols, bool vector,
                           const borrowed& read) {
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
  const float* const end = array_.data() + (rows > 0 ? (rows - 1) * stride + cols : 0);
  if (buffer && read.may_meet(array_.data(), end) &&
      nb::cast<bool>(numpy().attr("shares_memory")(held_, as_numpy(what, read.source()))))
    throw array_error(what + " lies in what is scored, which is read meanwhile; pass a place of its own");
  view_ = {array_.data(), rows, cols, stride};
}

result_array new_floats(index_t rows, index_t cols, bool vector) {
  const nb::object shape = vector ? nb::object(nb::make_tuple(rows)) : nb::object(nb::make_tuple(rows, cols));
  return nb::borrow<result_array>(numpy().attr("empty")(shape, "float32"));
}

integers::integers(const char* call, const char* name, nb::handle source, const rows_by_id& rows_of) {
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
    if (!rows_of) throw array_error(what + " holds " + type_of(array) + "; pass integers");
    values_ = rows_of(texts_in(call, name, array));
    return;
  }
  if (kind != "i" && kind != "u")
    throw array_error(
        what + " holds " + type_of(array) +
        (kind == "b" ? "; pass row numbers, such as numpy.flatnonzero of it" : "; pass integers"));
  if (kind == "u" && nb::cast<std::uint64_t>(array.attr("max")().attr("item")()) > std::uint64_t(INT64_MAX))
    throw value_error(what + " holds a number beyond 2^63 - 1");
  array = numpy().attr("require")(array, "int64", "CA");
  held_buffer bytes;
  if (!bytes.take(array, PyBUF_SIMPLE)) throw nb::python_error();
  const auto* const first = static_cast<const index_t*>(bytes->buf);
  values_.assign(first, first + size);
}

}  // namespace poolwise::python
