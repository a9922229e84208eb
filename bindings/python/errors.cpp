// The library's errors as the classes of _errors.py.
#include <exception>

#include "module.hpp"
#include "poolwise/cluster/communicator.hpp"

namespace poolwise::python {
namespace {

/// Raises the class of _errors.py that stands for Error, where the problem is one.
template <class Error>
bool raised(const std::exception& problem, const char* type) {
  if (dynamic_cast<const Error*>(&problem) == nullptr) return false;
  PyErr_SetString(nb::module_::import_("poolwise._errors").attr(type).ptr(), problem.what());
  return true;
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const error& e) {
    raised<array_error>(e, "ArrayError") || raised<argument_error>(e, "ArgumentError") ||
        raised<shape_error>(e, "ShapeError") || raised<value_error>(e, "InvalidValueError") ||
        raised<budget_error>(e, "BudgetError") || raised<no_cuda_error>(e, "NoCudaError") ||
        raised<cuda_error>(e, "CudaError") || raised<memory_error>(e, "DeviceMemoryError") ||
        raised<cluster_error>(e, "ClusterError") || raised<error>(e, "Error");
  }
}

}  // namespace

void define_errors() { nb::register_exception_translator(translate); }

}  // namespace poolwise::python
