// What the parts of poolwise._core share: arguments are looked at, the GIL is released, the call is made.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "arrays.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise::python {

using namespace nb::literals;

template <class Work>
auto without_gil(Work work) {
  const nb::gil_scoped_release released;
  return work();
}

/// Lets Python see to Ctrl-C and other signals; what its handler raises ends the call.
void heed_signals(const batch_state& state);

cpu on_cpu(const char* call, const integer& threads);

/// throws value_error for another word than "logits" and "probabilities".
outputs kind_of(const char* call, const std::string& kind);

// Each part adds its calls and types to the module.
void define_errors();
void define_results(nb::module_& m);
void define_scores(nb::module_& m);
void define_batches(nb::module_& m);
void define_queries(nb::module_& m);

}  // namespace poolwise::python
