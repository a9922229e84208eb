// Arrays for benchmarks on huge pages: on 4 KiB pages a sequential read is bound by address translation.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace poolwise::bench {

struct free_memory {
  void operator()(void* p) const { std::free(p); }
};
template <class T>
using huge_array = std::unique_ptr<T[], free_memory>;

/// `size` elements, not yet written, on 2 MiB pages where the system has them.
template <class T>
huge_array<T> make_huge(std::size_t size) {
  constexpr std::size_t page = std::size_t{1} << 21;
  const std::size_t bytes = (size * sizeof(T) + page - 1) / page * page;
  void* memory = std::aligned_alloc(page, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  madvise(memory, bytes, MADV_HUGEPAGE);
  return huge_array<T>(static_cast<T*>(memory));
}

}  // namespace poolwise::bench
