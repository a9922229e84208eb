#include "poolwise/core/detail/parallel.hpp"

#include <pthread.h>

namespace poolwise {
namespace {

/// Whether this thread came out of a fork. OpenMP would have it wait for others, which stayed in the parent.
thread_local bool forked = false;

[[maybe_unused]] const int heeds_forks = pthread_atfork(nullptr, nullptr, [] { forked = true; });

}  // namespace

int threads_of(cpu on) {
  if (forked) return 1;
  return on.threads > 0 ? on.threads : omp_get_max_threads();
}

}  // namespace poolwise
