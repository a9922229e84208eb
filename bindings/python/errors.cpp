// The library's errors as the classes of _errors.py.
#include <exception>

#include "module.hpp"

namespace poolwise::python {
namespace {

/// The classes of _errors.py, by name: they stay alive with their module.
void raise_as(const char* type, const std::exception& problem) {
  PyErr_SetString(nb::module_::import_("poolwise._errors").attr(type).ptr(), problem.what());
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const array_error& problem) {
    raise_as("ArrayError", problem);
  } catch (const argument_error& problem) {
    raise_as("ArgumentError", problem);
  } catch (const shape_error& problem) {
    raise_as("ShapeError", problem);
  } catch (const value_error& problem) {
    raise_as("InvalidValueError", problem);
  } catch (const budget_error& problem) {
    raise_as("BudgetError", problem);
  } catch (const no_cuda_error& problem) {
    raise_as("NoCudaError", problem);
  } catch (const cuda_error& problem) {
    raise_as("CudaError", problem);
  } catch (const memory_error& problem) {
    raise_as("DeviceMemoryError", problem);
  } catch (const error& problem) {
    raise_as("Error", problem);
  }
}

}  // namespace

void define_errors() { nb::register_exception_translator(translate); }

}  // namespace poolwise::python
