#include "poolwise/files/output.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/descriptor.hpp"
#include "poolwise/files/detail/temporary.hpp"

namespace poolwise {
namespace {

namespace fs = std::filesystem;

const char* remedy(int code) {
  const auto is = [code](auto... codes) { return ((code == codes) || ...); };
  if (is(ENOSPC, EDQUOT)) return "free some space there or name a file elsewhere";
  if (is(ENOENT, ENOTDIR)) return "make its folder first, or check the path";
  if (is(EACCES, EPERM, EROFS)) return "name a file in a folder that you may write to";
  if (is(EISDIR)) return "name a file in it";
  if (is(EFBIG)) return "raise the limit on the size of files (ulimit -f)";
  if (is(EPIPE)) return "its reader has gone";
  return "check the path and the device it lies on";
}

[[noreturn]] void throw_unwritable(const std::string& name, int code) {
  throw io_error("output_file: cannot write " + name + ": " + std::strerror(code) + "; " + remedy(code));
}

std::atomic<void (*)(const std::string&)> listener{nullptr};

/// Whether this process asks for `key` for the first time.
bool first_time(const std::string& key) {
  static std::mutex guard;
  static std::set<std::string> seen;
  const std::lock_guard lock(guard);
  return seen.insert(key).second;
}

// A checkpoint is written again and again.
void note_once(const std::string& line) {
  if (void (*const tell)(const std::string&) = listener; tell != nullptr && first_time(line)) tell(line);
}

// The process in "PID-COUNTER.tmp"; 0 where that is not what `rest` is.
pid_t process_in(std::string_view rest) {
  constexpr std::string_view ending = ".tmp";
  if (!rest.ends_with(ending)) return 0;
  const char* const end = rest.data() + rest.size() - ending.size();
  pid_t process = 0;
  unsigned counter = 0;
  const auto [dash, no_process] = std::from_chars(rest.data(), end, process);
  if (no_process != std::errc{} || dash == end || *dash != '-') return 0;
  const auto [last, no_counter] = std::from_chars(dash + 1, end, counter);
  return no_counter == std::errc{} && last == end ? process : 0;
}

// Removes what killed processes left of earlier outputs. A process that lives holds a lock on its file, which
// counts where the number says nothing: in another container.
void remove_stale(const fs::path& folder, const std::string& begin) {
  std::error_code problem;
  for (fs::directory_iterator entry(folder, problem), end; !problem && entry != end; entry.increment(problem)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(begin)) continue;
    const pid_t process = process_in(std::string_view(name).substr(begin.size()));
    if (process <= 0 || ::kill(process, 0) == 0 || errno != ESRCH) continue;
    const descriptor left(::open(entry->path().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (left.number() >= 0 && ::flock(left.number(), LOCK_EX | LOCK_NB) == 0) ::unlink(entry->path().c_str());
  }
}

// Makes `temporary` a new file in `folder`, named after `target`. Returns 0 or errno.
int create_in(const fs::path& folder, const fs::path& target, mode_t mode, temporary_file& temporary) {
  static std::atomic<unsigned> counter{0};
  constexpr std::size_t most_of_name = 200;  // a file name has at most 255 bytes
  if (target.empty()) return EINVAL;
  std::error_code problem;
  const fs::path place = fs::absolute(folder, problem);
  if (problem) return problem.value();
  std::string begin = ".";
  begin += target.filename().string().substr(0, most_of_name) + ".";
  const std::string path = place / begin;
  if (first_time(path)) remove_stale(place, begin);
  const std::string process = path + std::to_string(::getpid()) + "-";
  int code = EEXIST;
  // A name that is taken belongs to a process in another container.
  while (code == EEXIST) code = temporary.create(process + std::to_string(counter++) + ".tmp", mode);
  if (code == 0) ::flock(temporary.file.number(), LOCK_EX | LOCK_NB);
  return code;
}

// Whoever may not replace a file may still be allowed to write into it.
bool replacing_is_denied(int code) {
  return code == EACCES || code == EPERM || code == EROFS || code == EBUSY || code == EXDEV;
}

// As the old file was. Without its group, nothing is left to the group.
void keep_owner_and_mode(int number, const struct stat& old) {
  mode_t mode = old.st_mode & 0777;
  if (::fchown(number, old.st_uid, old.st_gid) != 0 && ::fchown(number, uid_t(-1), old.st_gid) != 0)
    mode &= ~mode_t(S_IRWXG);
  ::fchmod(number, mode);
}

descriptor duplicate(int number, const std::string& name) {
  flush_standard_output();  // the caller's earlier prints come first
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
  if (opened.number() < 0 || ::fsync(opened.number()) == 0 || errno == EINVAL || errno == ENOTSUP) return;
  note_once(name + " is written, but may not outlast a power cut: its folder could not be synced (" +
            std::strerror(errno) + ")");
}

void copy_all(int from, int to, const std::string& name) {
  std::string piece(std::size_t{1} << 20, '\0');
  for (;;) {
    const ssize_t got = ::read(from, piece.data(), piece.size());
    if (got == 0) return;
    if (got > 0)
      write_all(to, {piece.data(), std::size_t(got)}, name);
    else if (errno != EINTR)
      throw_unwritable(name, errno);
  }
}

// Writes what `source` holds into `target`, which stays the same file. The room is asked for first.
void write_over(const fs::path& target, const char* source, const std::string& name) {
  const descriptor from(::open(source, O_RDONLY | O_CLOEXEC)),
      to(::open(target.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (from.number() < 0 || to.number() < 0 || ::fstat(from.number(), &status) != 0)
    throw_unwritable(name, errno);
  if (::fallocate(to.number(), FALLOC_FL_KEEP_SIZE, 0, std::max<off_t>(status.st_size, 1)) != 0 &&
      (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
    throw_unwritable(name, errno);
  try {
    copy_all(from.number(), to.number(), name);
    if (::ftruncate(to.number(), status.st_size) != 0 || ::fsync(to.number()) != 0)
      throw_unwritable(name, errno);
  } catch (const io_error& problem) {
    throw io_error(problem.what() + std::string("; it was being written over in place and is not whole"));
  }
}

}  // namespace

void on_output_note(void (*tell)(const std::string& note)) { listener = tell; }

// /dev/stdout may lead to a regular file, which the shell has
// open and may have written to: it must be neither replaced nor opened anew at its beginning.
std::optional<int> open_descriptor(const fs::path& target) {
  if (target == "-" || target == "/dev/stdout") return STDOUT_FILENO;
  if (target == "/dev/stderr") return STDERR_FILENO;
  const fs::path folder = target.parent_path();
  if (folder != "/dev/fd" && folder != "/proc/self/fd") return std::nullopt;
  return number_in<int>(target.filename().string());
}

fs::path written_file(const fs::path& target) {
  constexpr int most_links = 40;  // as many as the kernel follows
  fs::path file = target;
  for (int links = 0; links < most_links; ++links) {
    std::error_code not_a_link;
    const fs::path next = fs::read_symlink(file, not_a_link);
    if (not_a_link) break;
    file = file.parent_path() / next;
  }
  return file;
}

void flush_standard_output() {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) throw_unwritable("-", errno != 0 ? errno : EIO);
}

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
    target = written_file(given);
    temporary.emplace(name);
    const mode_t mode = exists ? 0600 : 0666;
    int code = create_in(target.parent_path() / ".", target, mode, *temporary);
    if (exists && replacing_is_denied(code)) {
      denied = code;
      std::error_code none;
      code = create_in(fs::temp_directory_path(none), target, mode, *temporary);
    }
    if (code != 0) throw_unwritable(name, code);
    if (exists) keep_owner_and_mode(temporary->file.number(), status);
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
    if (temporary) replace_target();
  }

  void replace_target() {
    const int code = denied != 0 ? denied : temporary->rename_to(target.c_str());
    if (code == 0) return sync_folder(target.parent_path(), name);
    std::error_code none;
    if (!replacing_is_denied(code) || !fs::exists(target, none)) throw_unwritable(name, code);
    write_over(target, temporary->path(), name);
    note_once(name + " was written over in place, because it cannot be replaced (" + std::strerror(code) + ")");
  }

  static constexpr std::size_t buffer_bytes = std::size_t{1} << 18;

  std::string name;
  fs::path target;
  int denied = 0;  // why nothing can be made beside the target
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

void write_text(const fs::path& target, std::string_view text) {
  output_file out(target);
  out.write(text);
  out.commit();
}

}  // namespace poolwise
