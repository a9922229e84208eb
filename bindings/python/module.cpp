// poolwise._core: the library's calls for Python.
#include "module.hpp"

#include <omp.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>

#include "poolwise/core/text.hpp"
#include "poolwise/core/threads.hpp"
#include "poolwise/pool/pool.hpp"

namespace poolwise::python {

released_gil::~released_gil() {
  try {
    PyEval_RestoreThread(state_);
  } catch (...) {
    for (;;) ::pause();
  }
}

namespace {

/// The thread on which Python handles signals. In a child it is the one that comes out of the fork.
std::atomic<unsigned long> main_thread = 0;

}  // namespace

void find_main_thread() {
  main_thread = nb::cast<unsigned long>(nb::module_::import_("threading").attr("main_thread")().attr("ident"));
  ::pthread_atfork(nullptr, nullptr, [] { main_thread = PyThread_get_thread_ident(); });
}

bool on_main_thread() { return PyThread_get_thread_ident() == main_thread; }

void heed_signals() {
  const nb::gil_scoped_acquire held;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

cpu on_cpu(const char* call, const integer& threads) {
  const int asked = number_in(call, "threads", threads, 0, 4096),
            wanted = asked > 0 ? asked : omp_get_max_threads();
  static std::atomic<int> had_before = 1;
  if (wanted <= had_before) return {asked};
  const int had = threads_to_be_had(wanted);
  if (had < wanted) return {had};  // OpenMP would end the process
  had_before = wanted;
  return {asked};
}

outputs kind_of(const char* call, const word& kind) {
  const std::string text = text_in(call, "kind", kind);
  if (text == "logits") return outputs::logits;
  if (text == "probabilities") return outputs::probabilities;
  throw value_error(std::string(call) + ": kind is \"" + printable(text) +
                    "\"; pass \"logits\" or \"probabilities\"");
}

void check_logits(const char* call, const char* name, const committee_outputs& x, const char* remedy) {
  for (index_t m = 0; m < x.members(); ++m)
    if (!are_probabilities(x.member(m))) return;
  throw value_error(std::string(call) + ": " + name +
                    " holds probabilities: no value is negative, and every row sums to 1; pass them as such (" +
                    remedy + "), or less 1 if they are logits by chance");
}

}  // namespace poolwise::python

NB_MODULE(_core, m) {
  // At exit a thread may still be in a call, and its objects are there.
  nanobind::set_leak_warnings(false);
  m.attr("__version__") = POOLWISE_VERSION;
  poolwise::python::find_main_thread();
  poolwise::python::define_errors();
  poolwise::python::define_results(m);
  poolwise::python::define_scores(m);
  poolwise::python::define_batches(m);
  poolwise::python::define_neighbours(m);
  poolwise::python::define_pools(m);
  poolwise::python::define_ranks(m);
  poolwise::python::define_queries(m);
}
