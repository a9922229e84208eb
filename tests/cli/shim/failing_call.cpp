// Preloaded into the command, it has one call to the system fail: FAILING_CALL="write 3 28 FILE" is the third
// write, with errno 28, and makes FILE to say that it came to that.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct order {
  char call[16] = {}, mark[4096] = {};
  int index = 0, code = 0;
};

const order& given() {
  static const order read = [] {
    order o;
    const char* const text = std::getenv("FAILING_CALL");
    if (text == nullptr || std::sscanf(text, "%15s %d %d %4095s", o.call, &o.index, &o.code, o.mark) != 4)
      o = {};
    return o;
  }();
  return read;
}

bool fails(const char* call) {
  static std::atomic<int> calls{0};
  const order& o = given();
  if (std::strcmp(call, o.call) != 0 || ++calls != o.index) return false;
  ::syscall(SYS_close, ::syscall(SYS_openat, AT_FDCWD, o.mark, O_CREAT | O_WRONLY, 0600));
  errno = o.code;
  return true;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  std::va_list more;
  va_start(more, flags);
  const unsigned mode = (flags & O_CREAT) != 0 ? va_arg(more, unsigned) : 0;
  va_end(more);
  static auto* const real = next<int(const char*, int, ...)>("open");
  return fails("open") ? -1 : real(path, flags, mode);
}

int close(int file) {
  static auto* const real = next<int(int)>("close");
  const bool failed = fails("close");
  const int code = errno, result = real(file);  // it is closed either way
  if (failed) errno = code;
  return failed ? -1 : result;
}

ssize_t read(int file, void* to, std::size_t size) {
  static auto* const real = next<ssize_t(int, void*, std::size_t)>("read");
  return fails("read") ? -1 : real(file, to, size);
}

ssize_t write(int file, const void* from, std::size_t size) {
  static auto* const real = next<ssize_t(int, const void*, std::size_t)>("write");
  return fails("write") ? -1 : real(file, from, size);
}

int fsync(int file) {
  static auto* const real = next<int(int)>("fsync");
  return fails("fsync") ? -1 : real(file);
}

int rename(const char* from, const char* to) {
  static auto* const real = next<int(const char*, const char*)>("rename");
  return fails("rename") ? -1 : real(from, to);
}

void* mmap(void* at, std::size_t size, int protection, int flags, int file, off_t offset) {
  static auto* const real = next<void*(void*, std::size_t, int, int, int, off_t)>("mmap");
  // Memory that the libraries take is none of ours.
  return file >= 0 && fails("mmap") ? reinterpret_cast<void*>(-1)
                                    : real(at, size, protection, flags, file, offset);
}

int stat(const char* path, struct stat* found) {
  static auto* const real = next<int(const char*, struct stat*)>("stat");
  return fails("stat") ? -1 : real(path, found);
}

int fstat(int file, struct stat* found) {
  static auto* const real = next<int(int, struct stat*)>("fstat");
  return fails("fstat") ? -1 : real(file, found);
}

int ftruncate(int file, off_t size) {
  static auto* const real = next<int(int, off_t)>("ftruncate");
  return fails("ftruncate") ? -1 : real(file, size);
}

int fallocate(int file, int mode, off_t offset, off_t size) {
  static auto* const real = next<int(int, int, off_t, off_t)>("fallocate");
  return fails("fallocate") ? -1 : real(file, mode, offset, size);
}

}  // extern "C"
