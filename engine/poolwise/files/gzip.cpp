#include "poolwise/files/detail/gzip.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/bytes.hpp"

namespace poolwise {

gzip_reader::gzip_reader(const char* call, std::filesystem::path file) : call_(call), path_(std::move(file)) {
  require_end(call, path_);
  errno = 0;
  file_.reset(::gzopen(path_.c_str(), "rb"));
  if (!file_) throw_unreadable(call, path_, errno != 0 ? errno : ENOMEM);
  constexpr unsigned buffer_bytes = 1u << 17;
  ::gzbuffer(file_.get(), buffer_bytes);
}

index_t gzip_reader::read(std::uint8_t* to, index_t count) {
  constexpr index_t most = index_t{1} << 30;  // gzread counts in int
  index_t total = 0;
  while (total < count) {
    const int got = ::gzread(file_.get(), to + total, unsigned(std::min(count - total, most)));
    require_sound(got);
    if (got == 0) break;
    total += got;
  }
  return total;
}

std::string gzip_reader::rest(index_t longest_line) {
  std::string text(std::size_t{1} << 16, '\0');
  index_t line_begin = 0, line = 1;
  for (std::size_t size = 0;;) {
    const std::size_t room = text.size() - size;
    const auto got = std::size_t(read(reinterpret_cast<std::uint8_t*>(text.data()) + size, index_t(room)));
    const std::string_view fresh = std::string_view(text).substr(size, got);
    size += got;
    if (const std::size_t last = fresh.rfind('\n'); last != std::string_view::npos) {
      line += std::count(fresh.begin(), fresh.end(), '\n');
      line_begin = index_t(size - fresh.size() + last) + 1;
    }
    if (index_t(size) - line_begin > longest_line)
      throw format_error(std::string(call_) + ": " + printable(path_.string()) + " line " +
                         std::to_string(line) + " is longer than " + human_bytes(double(longest_line)) +
                         "; write a line for each row");
    if (got < room) {
      text.resize(size);
      return text;
    }
    text.resize(2 * size);
  }
}

// Only the error state tells that a gzip stream ended too soon.
void gzip_reader::require_sound(int got) {
  int code = Z_OK;
  const char* const reason = ::gzerror(file_.get(), &code);
  if (code == Z_ERRNO) throw_unreadable(call_, path_, errno);
  if (got < 0 || (code != Z_OK && code != Z_STREAM_END))
    throw format_error(std::string(call_) + ": " + printable(path_.string()) + " is corrupt gzip (" +
                       printable(reason) + "); fetch it again");
}

}  // namespace poolwise
