// Threads for the CPU backend. Work is cut into blocks whose borders depend on the problem alone, never on
// the number of threads, so that sums kept per block are the same on any machine.
#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <vector>

#include "poolwise/core/interruption.hpp"
#include "poolwise/core/mapped_pages.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// How many threads compute. Every region of OpenMP, FAISS's too, takes its number from here.
int threads_of(cpu on);

inline index_t blocks_of(index_t items, index_t block) { return (items + block - 1) / block; }

/// Between reads of rows: gives back pages of mapped files where it is time.
inline void settle_pages(cpu on) {
  if (on.pages != nullptr) on.pages->settle();
}

/// The same between reads of rows that lie anywhere.
inline void settle_far_pages(cpu on, unsigned reads = 1) {
  if (on.pages != nullptr) on.pages->settle_far(reads);
}

/// As many threads as may hold a block each whose rows take so many bytes. Between two looks at the pages of
/// mapped files each can end one block, too early to look again, and read another: 32 MiB, or two blocks.
inline cpu holding(cpu on, index_t block_bytes) {
  constexpr index_t most = index_t{16} << 20;
  if (on.pages != nullptr)
    on.threads = int(std::clamp<index_t>(most / std::max<index_t>(1, block_bytes), 1, threads_of(on)));
  return on;
}

/// Calls `body(b, begin, end)` for every block b of `block` items in [0, items), on the threads of `on`.
/// An exception from `body` is rethrown here, from the lowest block that threw; so is one that interrupts.
template <class Body>
void parallel_blocks(cpu on, index_t items, index_t block, Body&& body) {
  const index_t blocks = blocks_of(items, block);
  const int threads = int(std::min<index_t>(threads_of(on), blocks));
  std::exception_ptr failure;
  std::atomic<index_t> failed_block = blocks;
#pragma omp parallel for schedule(dynamic) num_threads(threads) if (threads > 1)
  for (index_t b = 0; b < blocks; ++b) {
    if (b > failed_block) continue;
    try {
      body(b, b * block, std::min(items, (b + 1) * block));
      settle_pages(on);
      heed_interruption();
    } catch (...) {
#pragma omp critical(poolwise_parallel_blocks)
      if (b < failed_block) {
        failed_block = b;
        failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
}

/// A T for each thread that parallel_blocks() uses at most, in cache lines of its own. T is a class.
template <class T>
class per_thread {
 public:
  struct alignas(64) slot : T {};

  per_thread(cpu on, index_t items, index_t block, const T& first = {})
      : slots_(std::size_t(std::clamp<index_t>(blocks_of(items, block), 1, threads_of(on))), slot{first}) {}

  /// That of the calling thread; to be asked for in the body of parallel_blocks().
  T& mine() { return slots_[std::size_t(omp_get_thread_num())]; }
  const std::vector<slot>& all() const { return slots_; }

 private:
  std::vector<slot> slots_;
};

}  // namespace poolwise
