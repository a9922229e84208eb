#include "arguments.hpp"

#include <nanobind/stl/string.h>

#include "poolwise/core/text.hpp"

namespace poolwise::python {
namespace {

constexpr std::size_t shown_bytes = 60;

/// Any text that Python makes of an object, with what is not ASCII escaped; nothing where it cannot.
std::optional<std::string> ascii_of(nb::handle source, PyObject* (*text_of)(PyObject*)) {
  const nb::object text = nb::steal(text_of(source.ptr()));
  const nb::object bytes = text.is_valid()
                               ? nb::steal(PyUnicode_AsEncodedString(text.ptr(), "ascii", "backslashreplace"))
                               : nb::object();
  if (!bytes.is_valid()) {
    PyErr_Clear();
    return std::nullopt;
  }
  return PyBytes_AsString(bytes.ptr());
}

[[noreturn]] void refuse(const std::string& what, nb::handle given, const char* wanted) {
  throw argument_error(what + " is " + shown(given) + "; pass " + wanted);
}

std::string named(const char* call, const char* name) { return std::string(call) + ": " + name; }

}  // namespace

std::string type_of(nb::handle source) {
  const bool typed = nb::hasattr(source, "dtype");
  const nb::object type = typed ? source.attr("dtype") : source.type().attr("__name__");
  return printable(ascii_of(type, PyObject_Str).value_or("an unknown type"), shown_bytes);
}

std::string shown(nb::handle given) {
  if (PyLong_Check(given.ptr())) {
    const auto digits = ascii_of(given, PyObject_Repr);  // Python refuses to write out the longest
    return digits && digits->size() <= shown_bytes ? *digits : "a number of many digits";
  }
  if (given.is_none() || PyFloat_Check(given.ptr()) || PyUnicode_Check(given.ptr()))
    return printable(ascii_of(given, PyObject_Repr).value_or("a value"), shown_bytes);
  return "of type " + type_of(given);
}

std::string message_of(nb::python_error& problem) {
  if (!problem.matches(PyExc_Exception) || problem.matches(PyExc_MemoryError)) throw problem;
  const std::string text = ascii_of(problem.value(), PyObject_Str).value_or("it failed");
  return printable(text.substr(0, text.find('\n')), 200);
}

nb::object whole_number(const std::string& what, nb::handle given) {
  if (PyIndex_Check(given.ptr())) {
    const nb::object whole = nb::steal(PyNumber_Index(given.ptr()));
    if (whole.is_valid()) return whole;
    PyErr_Clear();
  }
  refuse(what, given, "a whole number");
}

std::string text_in(const char* call, const char* name, nb::handle given) {
  if (!PyUnicode_Check(given.ptr())) refuse(named(call, name), given, "a string");
  Py_ssize_t bytes = 0;
  const char* const text = PyUnicode_AsUTF8AndSize(given.ptr(), &bytes);
  if (text != nullptr) return {text, std::size_t(bytes)};
  PyErr_Clear();
  throw value_error(named(call, name) + " is " + shown(given) + ", which UTF-8 cannot hold; pass other text");
}

std::vector<std::string> texts_in(const char* call, const char* name, nb::handle given) {
  const char* const wanted = "a list of strings";
  if (PyUnicode_Check(given.ptr()) || PyBytes_Check(given.ptr())) refuse(named(call, name), given, wanted);
  const nb::object list = nb::steal(PySequence_List(given.ptr()));
  if (!list.is_valid()) {
    nb::python_error problem;
    message_of(problem);
    refuse(named(call, name), given, wanted);
  }
  std::vector<std::string> texts;
  for (const nb::handle item : list) {
    const std::string place = std::string(name) + "[" + std::to_string(texts.size()) + "]";
    const bool number = PyIndex_Check(item.ptr()) && !PyBool_Check(item.ptr());
    texts.push_back(number ? shown(whole_number(named(call, place.c_str()), item))
                           : text_in(call, place.c_str(), item));
  }
  return texts;
}

float real_in(const char* call, const char* name, nb::handle given) {
  const double value = PyUnicode_Check(given.ptr()) ? -1 : PyFloat_AsDouble(given.ptr());
  if (!PyUnicode_Check(given.ptr()) && PyErr_Occurred() == nullptr) return float(value);
  PyErr_Clear();
  refuse(named(call, name), given, "a number");
}

bool flag_in(const char* call, const char* name, nb::handle given) {
  const bool is_flag = PyBool_Check(given.ptr()) || type_of(given) == "bool";  // numpy's
  const int truth = is_flag ? PyObject_IsTrue(given.ptr()) : -1;
  if (truth >= 0) return truth != 0;
  PyErr_Clear();
  refuse(named(call, name), given, "True or False");
}

std::filesystem::path path_in(const char* call, const char* name, nb::handle given) {
  const nb::object path = nb::steal(PyOS_FSPath(given.ptr()));
  PyObject* bytes = nullptr;
  if (!path.is_valid() || PyUnicode_FSConverter(path.ptr(), &bytes) == 0) {
    PyErr_Clear();
    refuse(named(call, name), given, "the name of a file");
  }
  const nb::object owned = nb::steal(bytes);
  return std::string(PyBytes_AsString(bytes), std::size_t(PyBytes_Size(bytes)));
}

}  // namespace poolwise::python
