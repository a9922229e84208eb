#include "poolwise/files/detail/temporary.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/files/signals.hpp"

namespace poolwise {

// A signal handler reads these: the memory is fixed and there are no locks. Whoever moves a slot out of `live`
// unlinks its file, or has renamed it.
struct temporary_slot {
  enum use { empty, claimed, live, taken };
  std::atomic<int> state{empty};
  pid_t process = 0;  // a fork's copy of the table names files that are not the child's
  char path[PATH_MAX] = {};
};
static_assert(std::atomic<int>::is_always_lock_free);

namespace {

constexpr std::size_t most_unfinished = 128;
constinit std::array<temporary_slot, most_unfinished> temporaries;

bool take(temporary_slot& slot) {
  int live = temporary_slot::live;
  return slot.state.compare_exchange_strong(live, temporary_slot::taken) && slot.process == ::getpid();
}

void unlink_all() {
  for (temporary_slot& slot : temporaries)
    if (take(slot)) ::unlink(slot.path);
}
[[maybe_unused]] const bool unlinked_by_signals = before_death_by_signal(unlink_all);

}  // namespace

temporary_file::temporary_file(const std::string& name) : slot_(nullptr) {
  for (temporary_slot& slot : temporaries) {
    int empty = temporary_slot::empty;
    if (!slot.state.compare_exchange_strong(empty, temporary_slot::claimed)) continue;
    slot_ = &slot;
    return;
  }
  throw io_error("output_file: cannot write " + name + ": " + std::to_string(most_unfinished) +
                 " outputs are unfinished; commit or drop one first");
}

temporary_file::~temporary_file() {
  if (slot_ == nullptr) return;
  if (take(*slot_)) ::unlink(slot_->path);
  slot_->state = temporary_slot::empty;
}

int temporary_file::create(const std::string& path, mode_t mode) {
  if (path.size() >= sizeof slot_->path) return ENAMETOOLONG;
  const int number = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  return number < 0 ? errno : adopt(path, descriptor(number));
}

int temporary_file::adopt(const std::string& path, descriptor opened) {
  if (path.size() >= sizeof slot_->path) return ENAMETOOLONG;
  slot_->process = ::getpid();
  std::memcpy(slot_->path, path.c_str(), path.size() + 1);
  slot_->state = temporary_slot::live;
  file = std::move(opened);
  return 0;
}

int temporary_file::rename_to(const char* target) {
  if (std::rename(slot_->path, target) != 0) return errno;
  if (take(*slot_)) slot_->state = temporary_slot::empty;
  slot_ = nullptr;  // which may be another file's by now
  return 0;
}

const char* temporary_file::path() const { return slot_->path; }

}  // namespace poolwise
