#include "poolwise/files/output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/descriptor.hpp"

namespace poolwise {
namespace {

namespace fs = std::filesystem;

const char* remedy(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return "free some space there or name a file elsewhere";
    case ENOENT:
    case ENOTDIR:
      return "make its folder first, or check the path";
    case EACCES:
    case EPERM:
    case EROFS:
      return "name a file in a folder that you may write to";
    case EISDIR:
      return "name a file in it";
    case EPIPE:
      return "its reader has gone";
    default:
      return "check the path and the device it lies on";
  }
}

[[noreturn]] void throw_unwritable(const std::string& name, int code) {
  throw io_error("output_file: cannot write " + name + ": " + std::strerror(code) + "; " + remedy(code));
}

// Unfinished temporary files. A signal handler reads them: the memory is fixed and there are no locks. Whoever
// moves a slot out of `live` unlinks its file, or has renamed it.
struct temporary_slot {
  enum use { empty, claimed, live, taken };
  std::atomic<int> state{empty};
  pid_t process = 0;  // a fork's copy of the table names files that are not the child's
  char path[PATH_MAX] = {};
};
static_assert(std::atomic<int>::is_always_lock_free);

constexpr std::size_t most_unfinished = 128;
constinit std::array<temporary_slot, most_unfinished> temporaries;

bool take(temporary_slot& slot) {
  int live = temporary_slot::live;
  return slot.state.compare_exchange_strong(live, temporary_slot::taken) && slot.process == ::getpid();
}

// Everything called here is async-signal-safe.
void unlink_and_die(int signal_number) {
  for (temporary_slot& slot : temporaries)
    if (take(slot)) ::unlink(slot.path);
  ::signal(signal_number, SIG_DFL);
  ::raise(signal_number);  // delivered when the handler returns, which unblocks it
}

// A temporary file under its name: unlinked at the end unless it was renamed.
class temporary_file {
 public:
  // Beside `target`, so that renaming it is one step within one file system.
  temporary_file(const fs::path& target, const std::string& name) : slot_(&claim(name)) {
    static std::atomic<unsigned> counter{0};
    std::error_code problem;
    const std::string begin = first_part(fs::absolute(target, problem));
    int code = problem ? problem.value() : EEXIST;
    // A name that is taken was left by a process that was killed, or belongs to one in another container.
    while (code == EEXIST) code = create(begin + std::to_string(counter++) + ".tmp");
    if (code == 0) return;
    slot_->state = temporary_slot::empty;
    throw_unwritable(name, code);
  }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;

  ~temporary_file() {
    if (slot_ == nullptr || !take(*slot_)) return;
    ::unlink(slot_->path);
    slot_->state = temporary_slot::empty;
  }

  int rename_to(const fs::path& target) {
    if (::rename(slot_->path, target.c_str()) != 0) return errno;
    if (take(*slot_)) slot_->state = temporary_slot::empty;
    slot_ = nullptr;  // which may be another file's by now
    return 0;
  }

  descriptor file;

 private:
  static temporary_slot& claim(const std::string& name) {
    for (temporary_slot& slot : temporaries) {
      int empty = temporary_slot::empty;
      if (slot.state.compare_exchange_strong(empty, temporary_slot::claimed)) return slot;
    }
    throw io_error("output_file: cannot write " + name + ": " + std::to_string(most_unfinished) +
                   " outputs are unfinished; commit or drop one first");
  }

  static std::string first_part(const fs::path& target) {
    constexpr std::size_t most_of_name = 200;  // a file name has at most 255 bytes
    std::string part = target.parent_path() / ".";
    part += target.filename().string().substr(0, most_of_name);
    return part + "." + std::to_string(::getpid()) + "-";
  }

  int create(const std::string& path) {
    if (path.size() >= sizeof slot_->path) return ENAMETOOLONG;
    std::memcpy(slot_->path, path.c_str(), path.size() + 1);
    slot_->process = ::getpid();
    const int number = ::open(slot_->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (number < 0) return errno;
    slot_->state = temporary_slot::live;
    file = descriptor(number);
    return 0;
  }

  temporary_slot* slot_;
};

// The open descriptor that a name stands for. /dev/stdout may lead to a regular file, which the shell has
// open and may have written to: it must be neither replaced nor opened anew at its beginning.
std::optional<int> open_descriptor(const fs::path& target) {
  if (target == "-" || target == "/dev/stdout") return STDOUT_FILENO;
  if (target == "/dev/stderr") return STDERR_FILENO;
  const fs::path folder = target.parent_path();
  if (folder != "/dev/fd" && folder != "/proc/self/fd") return std::nullopt;
  const std::string digits = target.filename().string();
  int number = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (problem != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

// Where symbolic links lead, to a file that need not exist: a link is written through, not replaced.
fs::path followed(fs::path target) {
  constexpr int most_links = 40;  // as many as the kernel follows
  for (int links = 0; links < most_links; ++links) {
    std::error_code not_a_link;
    const fs::path next = fs::read_symlink(target, not_a_link);
    if (not_a_link) break;
    target = target.parent_path() / next;
  }
  return target;
}

descriptor duplicate(int number, const std::string& name) {
  // The caller's earlier prints come first.
  std::fflush(stdout);
  const int copy = ::fcntl(number, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw_unwritable(name, errno);
  return descriptor(copy);
}

void wait_until_writable(int number) {
  pollfd waiting{number, POLLOUT, 0};
  ::poll(&waiting, 1, -1);
}

void write_all(int number, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(number, bytes.data(), bytes.size());
    if (written >= 0)
      bytes.remove_prefix(std::size_t(written));
    else if (errno == EAGAIN)  // a pipe that someone else made non-blocking
      wait_until_writable(number);
    else if (errno != EINTR)
      throw_unwritable(name, errno);
  }
}

// Makes a rename in `folder` last. Not every file system can, nor may every user open a folder they can
// write to: the file itself is whole either way.
void sync_folder(const fs::path& folder, const std::string& name) {
  const descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.number() < 0) return;
  if (::fsync(opened.number()) != 0 && errno != EINVAL && errno != ENOTSUP) throw_unwritable(name, errno);
}

}  // namespace

struct output_file::state {
  explicit state(const fs::path& given) : name(printable(given.string())) {
    if (const auto number = open_descriptor(given)) {
      file = duplicate(*number, name);
      return;
    }
    struct stat status {};
    const bool exists = ::stat(given.c_str(), &status) == 0;
    if (!exists && errno != ENOENT) throw_unwritable(name, errno);
    if (exists && S_ISDIR(status.st_mode)) throw_unwritable(name, EISDIR);
    if (exists && !S_ISREG(status.st_mode)) {
      file = open_special(given);
      return;
    }
    // Renaming would replace a file that is marked read-only.
    if (exists && ::access(given.c_str(), W_OK) != 0) throw_unwritable(name, errno);
    target = followed(given);
    temporary.emplace(target, name);
  }

  descriptor open_special(const fs::path& given) const {
    const int number = ::open(given.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (number < 0) throw_unwritable(name, errno);
    return descriptor(number);
  }

  descriptor& destination() { return temporary ? temporary->file : file; }

  void write(std::string_view bytes) {
    if (buffer.size() + bytes.size() > buffer_bytes) flush();
    if (bytes.size() >= buffer_bytes)
      write_all(destination().number(), bytes, name);
    else
      buffer += bytes;
  }

  void flush() {
    write_all(destination().number(), buffer, name);
    buffer.clear();
  }

  void commit() {
    flush();
    if (temporary && ::fsync(destination().number()) != 0) throw_unwritable(name, errno);
    // Some file systems report only here what they could not write; after EINTR it is closed all the same.
    if (::close(destination().release()) != 0 && errno != EINTR) throw_unwritable(name, errno);
    if (!temporary) return;
    if (const int code = temporary->rename_to(target)) throw_unwritable(name, code);
    sync_folder(target.parent_path(), name);
  }

  static constexpr std::size_t buffer_bytes = std::size_t{1} << 18;

  std::string name;
  fs::path target;
  std::optional<temporary_file> temporary;
  descriptor file;  // of a target that is written directly
  std::string buffer;
};

output_file::output_file(const fs::path& target) : state_(std::make_unique<state>(target)) {}
output_file::~output_file() = default;
output_file::output_file(output_file&&) noexcept = default;

void output_file::write(std::string_view bytes) {
  if (!state_) throw io_error("output_file: written to after commit; open another output_file");
  state_->write(bytes);
}

void output_file::write(const void* bytes, std::size_t size) {
  write(std::string_view(static_cast<const char*>(bytes), size));
}

void output_file::commit() {
  if (!state_) throw io_error("output_file: committed twice; open another output_file");
  const auto finished = std::move(state_);  // removes the temporary file if what follows throws
  finished->commit();
}

void remove_unfinished_outputs_on_signals() {
  struct sigaction action {};
  action.sa_handler = unlink_and_die;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGINT);
  sigaddset(&action.sa_mask, SIGTERM);
  for (const int number : {SIGINT, SIGTERM}) {
    struct sigaction before {};
    ::sigaction(number, nullptr, &before);
    // A shell has its background jobs ignore SIGINT; they go on doing so.
    if (before.sa_handler != SIG_IGN) ::sigaction(number, &action, nullptr);
  }
}

void write_text(const fs::path& target, std::string_view text) {
  output_file out(target);
  out.write(text);
  out.commit();
}

}  // namespace poolwise
