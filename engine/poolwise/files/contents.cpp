#include "poolwise/files/detail/contents.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string_view>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/gzip.hpp"

namespace poolwise {
namespace {

constexpr std::string_view gzip_magic = "\x1f\x8b";

// Memory for bytes whose number is not known. Pages that are not written to yet are only addresses.
class growing_bytes {
 public:
  growing_bytes() = default;
  growing_bytes(const growing_bytes&) = delete;
  growing_bytes& operator=(const growing_bytes&) = delete;
  ~growing_bytes() {
    if (data_ != nullptr) ::munmap(data_, room_);
  }

  std::uint8_t* data() const { return static_cast<std::uint8_t*>(data_); }
  std::size_t room() const { return room_; }

  void resize(std::size_t room) {
    void* const moved = data_ == nullptr ? ::mmap(nullptr, room, PROT_READ | PROT_WRITE,
                                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                         : ::mremap(data_, room_, room, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) throw std::bad_alloc();
    data_ = moved;
    room_ = room;
  }

  std::shared_ptr<const void> release() {
    const std::size_t room = room_;
    room_ = 0;
    return {std::exchange(data_, nullptr), [room](void* p) { ::munmap(p, room); }};
  }

 private:
  void* data_ = nullptr;
  std::size_t room_ = 0;
};

// Whether a file gives its bytes once, in order.
bool is_pipe(const std::filesystem::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

}  // namespace

void require_room(const copy_limit& most, const std::string& call, const std::filesystem::path& file,
                  index_t bytes, const char* why) {
  if (std::uint64_t(bytes) <= most.bytes) return;
  throw value_error(call + ": " + printable(file.string()) + " " + why + ", which takes " +
                    human_bytes(double(bytes)) + " or more, but " + most.name + " allows " +
                    human_bytes(double(most.bytes)) + "; give a smaller or a plain file, or raise " +
                    most.name);
}

file_bytes gathered_bytes(const std::function<index_t(std::uint8_t* to, index_t count)>& read,
                          const std::function<void(index_t total)>& check) {
  constexpr std::size_t step = std::size_t{4} << 20;
  growing_bytes bytes;
  index_t size = 0;
  for (;;) {
    if (bytes.room() < std::size_t(size) + step) bytes.resize(std::max(2 * bytes.room(), 2 * step));
    const index_t got = read(bytes.data() + size, index_t(step));
    size += got;
    check(size);
    if (got < index_t(step)) break;
  }
  if (size == 0) return {};
  bytes.resize(std::size_t(size));
  const auto* const data = reinterpret_cast<const std::byte*>(bytes.data());
  return {data, size, bytes.release(), false, size};
}

file_bytes load(const char* call, const std::filesystem::path& file, const copy_limit& most) {
  const bool pipe = is_pipe(file);
  if (!pipe) {
    file_bytes mapped = map_file(call, file);
    if (mapped.size < index_t(gzip_magic.size()) || mapped.text(0, index_t(gzip_magic.size())) != gzip_magic)
      return mapped;
  }
  gzip_reader reader(call, file);
  return gathered_bytes(
      [&](std::uint8_t* to, index_t count) { return reader.read(to, count); },
      [&](index_t total) {
        require_room(most, call, file, total,
                     pipe ? "is a pipe, and is read into memory" : "is compressed, and is unpacked in memory");
      });
}

std::string ending_of(const std::filesystem::path& file) {
  const std::string ending = in_lower_case(file.extension().string());
  return ending == ".gz" ? in_lower_case(file.stem().extension().string()) : ending;
}

}  // namespace poolwise
