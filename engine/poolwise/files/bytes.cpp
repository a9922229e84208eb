#include "poolwise/files/detail/bytes.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <new>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/descriptor.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

const char* remedy(int code) {
  if (code == ENOENT || code == ENOTDIR) return "check the path";
  if (code == EACCES || code == EPERM) return "ask for permission to read it";
  if (code == EISDIR) return "name a file in it";
  if (code == ESPIPE) return "pass a regular file, or a pipe";
  return "check the file and the device it lies on";
}

descriptor open_readable(const char* call, const std::filesystem::path& file, int flags) {
  const int number = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | flags);
  if (number < 0) throw_unreadable(call, file, errno);
  return descriptor(number);
}

std::string changed(const std::filesystem::path& file) {
  return printable(file.string()) + " changed while it was read; run again once it is whole";
}

// The mapped files. A signal handler reads the list: nodes are used again, and never freed.
struct mapped_range {
  std::atomic<const std::byte*> begin{nullptr};  // null: not in use
  std::size_t bytes = 0;
  std::filesystem::path file;
  struct stat status {};
  std::string message;
  mapped_range* next = nullptr;
};
std::atomic<mapped_range*> mapped{nullptr};
std::mutex mapping;

mapped_range& free_range() {
  for (mapped_range* range = mapped; range != nullptr; range = range->next)
    if (range->begin == nullptr) return *range;
  auto* const range = new mapped_range;
  range->next = mapped;
  mapped = range;
  return *range;
}

/// Keeps a mapping in the list; unmaps it at the end.
std::shared_ptr<const void> kept_mapping(void* address, std::size_t bytes, const char* call,
                                         const std::filesystem::path& file, const struct stat& status) {
  const std::lock_guard lock(mapping);
  mapped_range& range = free_range();
  range.bytes = bytes;
  range.file = file;
  range.status = status;
  range.message = "poolwise: " + std::string(call) + ": " + changed(file) + "\n";
  range.begin = static_cast<const std::byte*>(address);
  return {address, [&range, bytes](void* p) {
            const std::lock_guard unlist(mapping);
            range.begin = nullptr;
            ::munmap(p, bytes);
          }};
}

bool is_as_it_was(const mapped_range& range) {
  struct stat now {};
  // One that was replaced or removed is still there for who has mapped it.
  if (::stat(range.file.c_str(), &now) != 0 || now.st_dev != range.status.st_dev ||
      now.st_ino != range.status.st_ino)
    return true;
  return now.st_size == range.status.st_size && now.st_mtim.tv_sec == range.status.st_mtim.tv_sec &&
         now.st_mtim.tv_nsec == range.status.st_mtim.tv_nsec;
}

struct stat status_of(const char* call, const std::filesystem::path& file, const descriptor& from) {
  struct stat status {};
  if (::fstat(from.number(), &status) != 0) throw_unreadable(call, file, errno);
  if (S_ISDIR(status.st_mode)) throw_unreadable(call, file, EISDIR);
  return status;
}

}  // namespace

void throw_unreadable(const char* call, const std::filesystem::path& file, int code) {
  throw io_error(std::string(call) + ": cannot read " + printable(file.string()) + ": " + std::strerror(code) +
                 "; " + remedy(code));
}

void require_end(const char* call, const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) throw_unreadable(call, file, errno);
  if (!S_ISBLK(status.st_mode) && !S_ISCHR(status.st_mode)) return;
  const descriptor opened(::open(file.c_str(), O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (::isatty(opened.number()) != 1)
    throw io_error(std::string(call) + ": cannot read " + printable(file.string()) +
                   ": it is a device, which may have no end; give a file or a pipe");
}

file_bytes map_file(const char* call, const std::filesystem::path& file) {
  require_end(call, file);
  // Opening a FIFO would otherwise wait for a writer.
  const descriptor from = open_readable(call, file, O_NONBLOCK);
  const struct stat status = status_of(call, file, from);
  if (!S_ISREG(status.st_mode)) throw_unreadable(call, file, ESPIPE);
  if (status.st_size == 0) return {};

  const auto size = std::size_t(status.st_size);
  void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, from.number(), 0);
  if (address == MAP_FAILED) throw_unreadable(call, file, errno);
  // Hints, which a file system is free to refuse: rows are read front to back, and by whole sweeps.
  ::madvise(address, size, MADV_SEQUENTIAL);
  ::madvise(address, size, MADV_HUGEPAGE);
  return {static_cast<const std::byte*>(address), index_t(size),
          kept_mapping(address, size, call, file, status), true};
}

const char* about_mapped_file(const void* address) noexcept {
  const auto* const at = static_cast<const std::byte*>(address);
  for (const mapped_range* range = mapped; range != nullptr; range = range->next)
    if (const std::byte* begin = range->begin; begin != nullptr && at >= begin && at < begin + range->bytes)
      return range->message.c_str();
  return nullptr;
}

void require_unchanged_files(const char* call) {
  const std::lock_guard lock(mapping);
  for (const mapped_range* range = mapped; range != nullptr; range = range->next)
    if (range->begin != nullptr && !is_as_it_was(*range))
      throw value_error(std::string(call) + ": " + changed(range->file));
}

std::shared_ptr<std::byte> allocate_buffer(std::size_t bytes) {
  const auto alignment = std::align_val_t(bytes >= huge_page ? huge_page : 64);
  auto* const data = static_cast<std::byte*>(::operator new(bytes, alignment));
  if (bytes >= huge_page) ::madvise(data, bytes / huge_page * huge_page, MADV_HUGEPAGE);
  return {data, [alignment](std::byte* p) { ::operator delete(p, alignment); }};
}

std::optional<index_t> bytes_of(const std::vector<index_t>& shape, std::size_t element_bytes) {
  auto bytes = index_t(element_bytes);
  bool empty = false;
  for (const index_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (extent == 0)
      empty = true;
    else if (__builtin_mul_overflow(bytes, extent, &bytes))
      return std::nullopt;
  }
  return empty ? 0 : bytes;
}

std::string read_file(const char* call, const std::filesystem::path& file) {
  require_end(call, file);
  const descriptor from = open_readable(call, file, 0);
  const struct stat status = status_of(call, file, from);
  // One byte more than expected: the read that finds the end then needs no larger buffer.
  std::string text(std::max(std::size_t(status.st_size) + 1, std::size_t{1} << 16), '\0');
  std::size_t size = 0;
  for (;;) {
    const ssize_t got = ::read(from.number(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_unreadable(call, file, errno);
    if (got == 0) break;
    size += std::size_t(got);
    if (size == text.size()) text.resize(2 * size);
  }
  text.resize(size);
  return text;
}

}  // namespace poolwise
