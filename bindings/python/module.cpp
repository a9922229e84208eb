// poolwise._core: the library's calls for Python.
#include "module.hpp"

namespace poolwise::python {

void heed_signals(const batch_state&) {
  const nb::gil_scoped_acquire held;
  if (PyErr_CheckSignals() != 0) throw nb::python_error();
}

cpu on_cpu(const char* call, const integer& threads) { return {number_in(call, "threads", threads, 0, 4096)}; }

outputs kind_of(const char* call, const std::string& kind) {
  if (kind == "logits") return outputs::logits;
  if (kind == "probabilities") return outputs::probabilities;
  throw value_error(std::string(call) + ": kind is \"" + kind + "\"; pass \"logits\" or \"probabilities\"");
}

}  // namespace poolwise::python

NB_MODULE(_core, m) {
  m.attr("__version__") = POOLWISE_VERSION;
  poolwise::python::define_errors();
  poolwise::python::define_results(m);
  poolwise::python::define_scores(m);
  poolwise::python::define_batches(m);
  poolwise::python::define_queries(m);
}
