// Work that libraries would do as they are loaded, and most commands have no use for.
#include <dlfcn.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "poolwise/core/error.hpp"

#ifdef POOLWISE_LAPACK

// BLAS and LAPACK are loaded where FAISS first multiplies matrices: OpenBLAS takes milliseconds, and memory for
// each thread that there may be. These are the functions that FAISS calls, by the names that Fortran gives
// them.
namespace {

bool is_limited(__rlimit_resource resource) {
  rlimit limit{};
  return ::getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/// OpenBLAS spins where a limit on memory (ulimit -v or -d) leaves none for its threads: then it has one.
void* load_lapack() {
  constexpr const char* setting = "OMP_NUM_THREADS";
  const bool limited = is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA);
  const char* const found = std::getenv(setting);
  const std::string before = found != nullptr ? found : "";
  if (limited) ::setenv(setting, "1", 1);
  void* const library = ::dlopen(POOLWISE_LAPACK, RTLD_NOW | RTLD_LOCAL);
  if (limited && found != nullptr) ::setenv(setting, before.c_str(), 1);
  if (limited && found == nullptr) ::unsetenv(setting);
  if (library == nullptr)
    throw poolwise::io_error(std::string("BLAS cannot be loaded: ") + ::dlerror() + "; install libopenblas0");
  return library;
}

template <class... Argument>
int call(const char* name, Argument... argument) {
  static void* const library = load_lapack();
  void* const function = ::dlsym(library, name);
  if (function == nullptr)
    throw poolwise::io_error(std::string("BLAS has no ") + name + "; install libopenblas0");
  return reinterpret_cast<int (*)(Argument...)>(function)(argument...);
}

using any = void*;

}  // namespace

#pragma GCC visibility push(hidden)
extern "C" {
int sgemm_(any a, any b, any c, any d, any e, any f, any g, any h, any i, any j, any k, any l, any m) {
  return call("sgemm_", a, b, c, d, e, f, g, h, i, j, k, l, m);
}
int dgemm_(any a, any b, any c, any d, any e, any f, any g, any h, any i, any j, any k, any l, any m) {
  return call("dgemm_", a, b, c, d, e, f, g, h, i, j, k, l, m);
}
int ssyrk_(any a, any b, any c, any d, any e, any f, any g, any h, any i, any j) {
  return call("ssyrk_", a, b, c, d, e, f, g, h, i, j);
}
int sgesvd_(any a, any b, any c, any d, any e, any f, any g, any h, any i, any j, any k, any l, any m, any n) {
  return call("sgesvd_", a, b, c, d, e, f, g, h, i, j, k, l, m, n);
}
int dgesvd_(any a, any b, any c, any d, any e, any f, any g, any h, any i, any j, any k, any l, any m, any n) {
  return call("dgesvd_", a, b, c, d, e, f, g, h, i, j, k, l, m, n);
}
int dsyev_(any a, any b, any c, any d, any e, any f, any g, any h, any i) {
  return call("dsyev_", a, b, c, d, e, f, g, h, i);
}
int sgeqrf_(any a, any b, any c, any d, any e, any f, any g, any h) {
  return call("sgeqrf_", a, b, c, d, e, f, g, h);
}
int sorgqr_(any a, any b, any c, any d, any e, any f, any g, any h, any i) {
  return call("sorgqr_", a, b, c, d, e, f, g, h, i);
}
}
#pragma GCC visibility pop

#endif

// Highway's library measures the clock for its benchmarks, by this. It is found here first.
namespace hwy::platform {
std::uint64_t TimerResolution();
[[gnu::used, gnu::visibility("default")]] std::uint64_t TimerResolution() { return 1; }
}  // namespace hwy::platform
