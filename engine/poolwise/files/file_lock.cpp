#include "poolwise/files/detail/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

// Whoever held the lock may have removed its file between our opening it and our locking it.
bool is_at(const std::string& path, const descriptor& opened) {
  struct stat named {
  }, ours{};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(opened.number(), &ours) == 0 &&
         named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

}  // namespace

file_lock::file_lock(const char* call, const std::filesystem::path& file) : lock_(printable(file.string())) {
  std::error_code problem;
  std::string path = std::filesystem::absolute(file.parent_path() / ".", problem);
  path += file.filename().string() + ".lock";
  const std::string about = std::string(call) + ": " + printable(file.string());
  for (;;) {
    descriptor opened(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (opened.number() < 0)
      throw io_error(about + " cannot be locked by a file beside it: " + std::strerror(errno) +
                     "; name a file in a folder that you may write to");
    if (::flock(opened.number(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      throw conflict_error(about + " is in use by another run; wait for it, or name another file");
    if (!is_at(path, opened)) continue;
    if (const int code = lock_.adopt(path, std::move(opened)))
      throw io_error(about + " cannot be locked: " + std::strerror(code));
    return;
  }
}

}  // namespace poolwise
