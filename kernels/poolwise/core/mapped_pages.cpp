#include "poolwise/core/mapped_pages.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>

#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

constexpr std::int64_t look_every = 100'000;  // nanoseconds
constexpr unsigned far_reads_a_look = 4;
constexpr std::size_t far_room = std::size_t{32} << 20;   // for what two threads read between looks
constexpr std::size_t least_gain = std::size_t{4} << 20;  // bytes that giving pages back is worth

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

mapped_pages::mapped_pages(std::size_t ceiling)
    : ceiling_(ceiling),
      page_(std::size_t(::sysconf(_SC_PAGESIZE))),
      status_(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)) {
  if (status_ < 0)
    throw io_error(
        "mapped_pages: cannot open /proc/self/statm, which says how much memory the process has; "
        "mount /proc, or set no ceiling");
}

mapped_pages::~mapped_pages() { ::close(status_); }

void mapped_pages::add(const void* begin, std::size_t bytes) {
  if (bytes == 0) return;
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t first = address / page_ * page_, last = (address + bytes + page_ - 1) / page_ * page_;
  ranges_.push_back({reinterpret_cast<void*>(first), last - first});
  // A row read here and there must not bring 2 MiB with it.
  ::madvise(ranges_.back().begin, ranges_.back().bytes, MADV_NOHUGEPAGE);
}

mapped_pages::usage mapped_pages::measure() const noexcept {
  char text[128];
  const ssize_t length = ::pread(status_, text, sizeof text, 0);
  std::size_t pages[3] = {};  // of the address space, resident, and of these those of files
  const char *at = text, *const end = text + (length > 0 ? length : 0);
  for (std::size_t& count : pages) {
    at = std::from_chars(at, end, count).ptr;
    if (at != end) ++at;
  }
  return {pages[1] * page_, pages[2] * page_};
}

void mapped_pages::settle() noexcept {
  const std::int64_t time = now();
  std::int64_t next = next_look_.load(std::memory_order_relaxed);
  if (time < next || !next_look_.compare_exchange_strong(next, time + look_every)) return;
  look(0);
}

void mapped_pages::settle_far(unsigned reads) noexcept {
  const unsigned before = far_reads_.fetch_add(reads, std::memory_order_relaxed);
  if (before / far_reads_a_look != (before + reads) / far_reads_a_look) look(far_room);
}

void mapped_pages::look(std::size_t room) noexcept {
  const usage taken = measure();
  const std::size_t own = std::max<std::size_t>(taken.resident - taken.of_files, expected_);
  if (own + taken.of_files + room <= ceiling_ || taken.of_files < kept_ + least_gain) return;
  for (const range& r : ranges_) ::madvise(r.begin, r.bytes, MADV_DONTNEED);
  kept_ = measure().of_files;
}

}  // namespace poolwise
