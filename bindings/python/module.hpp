// What the parts of poolwise._core share: arguments are looked at, the GIL is released, the call is made.
#pragma once

#include <nanobind/nanobind.h>

#include <optional>

#include "arrays.hpp"
#include "poolwise/core/interruption.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/pool/pool.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise::python {

using namespace nb::literals;

/// Whether Python handles signals on this thread. Others may not ask for the GIL while the interpreter ends.
bool on_main_thread();
void find_main_thread();  ///< once, when the module is loaded

/// Lets Python see to Ctrl-C and other signals. An exception that its handler raises is thrown.
void heed_signals();

/// Leaves the GIL to others as long as this lives. A thread that wants it back while the interpreter ends stops
/// for good: Python would end the thread by unwinding frames that may not be unwound.
class released_gil {
 public:
  released_gil() : state_(PyEval_SaveThread()) {}
  ~released_gil();
  released_gil(const released_gil&) = delete;
  released_gil& operator=(const released_gil&) = delete;

 private:
  PyThreadState* state_;
};

/// Calls `work`, which Ctrl-C ends within about a tenth of a second.
template <class Work>
auto without_gil(Work work) {
  const bool heeds = on_main_thread();
  const released_gil released;
  std::optional<interruptible> until;
  if (heeds) until.emplace(heed_signals);
  return work();
}

/// How a message says to pass probabilities.
inline constexpr const char* as_probabilities = "kind=\"probabilities\"";

cpu on_cpu(const char* call, const integer& threads);

/// throws value_error for another word than "logits" and "probabilities".
outputs kind_of(const char* call, const word& kind);

/// Refuses logits, of one model or of members, all of whose rows are probabilities: their softmax would be
/// taken for the model's word. `remedy` says how probabilities are passed. throws value_error.
void check_logits(const char* call, const char* name, const committee_outputs& x, const char* remedy);

// Each part adds its calls and types to the module.
void define_errors();
void define_results(nb::module_& m);
void define_scores(nb::module_& m);
void define_batches(nb::module_& m);
void define_neighbours(nb::module_& m);
void define_pools(nb::module_& m);
void define_ranks(nb::module_& m);
void define_queries(nb::module_& m);

}  // namespace poolwise::python
