#include "poolwise/graph/detail/faiss_cpu.hpp"

#include <faiss/impl/AuxIndexStructures.h>
#include <faiss/impl/FaissException.h>
#include <omp.h>

#include <exception>
#include <memory>
#include <mutex>
#include <utility>

#include "poolwise/core/interruption.hpp"

namespace poolwise {
namespace {

class openmp_threads {
 public:
  explicit openmp_threads(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~openmp_threads() { omp_set_num_threads(before_); }
  openmp_threads(const openmp_threads&) = delete;
  openmp_threads& operator=(const openmp_threads&) = delete;

 private:
  int before_;
};

/// What interrupts this thread while it is in FAISS.
thread_local std::exception_ptr interruption;

/// FAISS asks it whether to go on, in regions that no exception may leave, and throws its own when they are
/// over.
struct interruption_of_faiss : faiss::InterruptCallback {
  bool want_interrupt() override {
    try {
      heed_interruption();
    } catch (...) {
      interruption = std::current_exception();
    }
    return interruption != nullptr;
  }
};

}  // namespace

void with_faiss(int threads, const std::function<void()>& work) {
  static std::once_flag once;
  std::call_once(once, [] {
    auto& asked = faiss::InterruptCallback::instance;
    if (asked == nullptr) asked = std::make_unique<interruption_of_faiss>();
  });
  const openmp_threads scope(threads);
  try {
    work();
  } catch (const faiss::FaissException&) {
    if (!interruption) throw;
  }
  if (interruption) std::rethrow_exception(std::exchange(interruption, nullptr));
}

}  // namespace poolwise
