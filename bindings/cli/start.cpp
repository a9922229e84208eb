#include "start.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>
#include <thread>

namespace poolwise::cli {
namespace {

// Both hold what OMP_NUM_THREADS was.
constexpr char threads_name[] = "OMP_NUM_THREADS=", marker_name[] = "OMP_NUM_THREADS_OF_POOLWISE=";

// What the libraries take with one thread, in kB: they were seen to spin below 195,000 and 135,000.
constexpr rlim_t least_addresses = 200'000, least_data = 140'000;

// 0: without limit.
rlim_t kilobytes_of(__rlimit_resource resource) {
  rlimit limit{};
  const bool limited = ::getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return limited ? limit.rlim_cur / 1024 + 1 : 0;
}

[[noreturn]] void refuse(const char* message) {
  const ssize_t written = ::write(STDERR_FILENO, message, std::strlen(message));
  ::_exit(written < 0 ? 2 : 1);
}

bool is_called(const char* setting, const char* name) {
  return std::strncmp(setting, name, std::strlen(name)) == 0;
}

// No library has been initialised yet: system calls and memory of our own.
[[maybe_unused]] void start_anew_under_a_limit(int, char** arguments, char** environment) {
  const rlim_t addresses = kilobytes_of(RLIMIT_AS), data = kilobytes_of(RLIMIT_DATA);
  if (addresses == 0 && data == 0) return;
  if (addresses > 0 && addresses < least_addresses)
    refuse(
        "poolwise: an address space below 200000 kB is too small to start in; raise the limit (ulimit -v)\n");
  if (data > 0 && data < least_data)
    refuse("poolwise: data below 140000 kB are too little to start with; raise the limit (ulimit -d)\n");
  static char one[] = "OMP_NUM_THREADS=1", marker[128] = "OMP_NUM_THREADS_OF_POOLWISE=";
  static char* settings[4096] = {one, marker};
  std::size_t count = 2;
  for (char** setting = environment; *setting != nullptr; ++setting) {
    if (is_called(*setting, marker_name) || std::strcmp(*setting, one) == 0) return;
    if (is_called(*setting, threads_name))
      std::strncat(marker, *setting + std::strlen(threads_name), sizeof marker - sizeof marker_name);
    else if (count + 1 < std::size(settings))
      settings[count++] = *setting;
    else
      return;
  }
  ::execve("/proc/self/exe", arguments, settings);  // if it fails, things are as they were
}

#ifdef POOLWISE_STARTS_ANEW
// The functions of this section are called before those of the libraries.
[[gnu::section(".preinit_array"), gnu::used]] void (*const before_libraries)(int, char**,
                                                                             char**) = start_anew_under_a_limit;
#endif

std::optional<int> read_back() {
  const std::string marker(marker_name, std::strlen(marker_name) - 1),
      threads(threads_name, std::strlen(threads_name) - 1);
  const char* const found = std::getenv(marker.c_str());
  if (found == nullptr) return std::nullopt;
  const std::string before = found;
  ::unsetenv(marker.c_str());
  if (before.empty())
    ::unsetenv(threads.c_str());
  else
    ::setenv(threads.c_str(), before.c_str(), 1);
  const int asked = std::atoi(before.c_str());
  return asked > 0 ? asked : int(std::thread::hardware_concurrency());
}

}  // namespace

std::optional<int> threads_before_restart() {
  static const std::optional<int> threads = read_back();
  return threads;
}

}  // namespace poolwise::cli
