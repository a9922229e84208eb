#include "poolwise/learn/detail/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "poolwise/core/error.hpp"

extern char** environ;

namespace poolwise {
namespace {

using seconds = std::chrono::duration<double>;

// The end of a program that says nothing is noticed this late at most. (A pidfd would save the wait, and needs
// Linux 5.3.)
constexpr auto tick = std::chrono::milliseconds(5);
constexpr seconds grace{2};
constexpr std::size_t kept_output = 2000;

void require(int problem, const char* what) {
  if (problem != 0)
    throw command_error(std::string("command_learner: cannot start the program: ") + what + ": " +
                        std::strerror(problem));
}

struct spawn_actions {
  posix_spawn_file_actions_t value;
  spawn_actions() { require(posix_spawn_file_actions_init(&value), "posix_spawn_file_actions_init"); }
  ~spawn_actions() { posix_spawn_file_actions_destroy(&value); }
  spawn_actions(const spawn_actions&) = delete;
};

struct spawn_attributes {
  posix_spawnattr_t value;
  spawn_attributes() { require(posix_spawnattr_init(&value), "posix_spawnattr_init"); }
  ~spawn_attributes() { posix_spawnattr_destroy(&value); }
  spawn_attributes(const spawn_attributes&) = delete;
};

struct descriptor {
  int value;
  ~descriptor() { close(value); }
};

// posix_spawn and not fork: a fork copies the page tables of a pool that may fill the memory.
pid_t spawn(const std::vector<std::string>& words, int output) {
  spawn_actions actions;
  // Standard input last: where ours is closed, `output` may have its number.
  require(posix_spawn_file_actions_adddup2(&actions.value, output, STDOUT_FILENO), "stdout");
  require(posix_spawn_file_actions_adddup2(&actions.value, output, STDERR_FILENO), "stderr");
  require(posix_spawn_file_actions_addopen(&actions.value, STDIN_FILENO, "/dev/null", O_RDONLY, 0), "stdin");

  // A host may ignore or block these (Python ignores SIGPIPE); the program must hear them.
  spawn_attributes attributes;
  sigset_t blocked, heard;
  sigemptyset(&blocked);
  sigemptyset(&heard);
  for (const int number : {SIGTERM, SIGPIPE, SIGCHLD}) sigaddset(&heard, number);
  posix_spawnattr_setsigmask(&attributes.value, &blocked);
  posix_spawnattr_setsigdefault(&attributes.value, &heard);
  posix_spawnattr_setpgroup(&attributes.value, 0);
  require(posix_spawnattr_setflags(&attributes.value,
                                   POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF),
          "posix_spawnattr_setflags");

  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = -1;
  require(posix_spawn(&pid, arguments[0], &actions.value, &attributes.value, arguments.data(), environ),
          words[0].c_str());
  return pid;
}

}  // namespace

child_process::child_process(const std::vector<std::string>& words) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) require(errno, "pipe");
  descriptor ours{ends[0]};
  const descriptor theirs{ends[1]};
  fcntl(ours.value, F_SETFL, O_NONBLOCK);
  pid_ = spawn(words, theirs.value);
  output_ = std::exchange(ours.value, -1);
}

child_process::~child_process() {
  if (pid_ > 0) {
    kill(-pid_, SIGKILL);
    status();
  }
  if (output_ >= 0) close(output_);
}

// Leaves the process unreaped: its number, which is the group's too, must not be given to another.
bool child_process::ended() const {
  siginfo_t info{};
  const int failed = waitid(P_PID, id_t(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
  return failed ? errno == ECHILD : info.si_pid == pid_;
}

// Waits a tick for output and takes one buffer of it at most, so that a program that never stops talking
// cannot hold us past its deadline.
void child_process::gather() {
  pollfd output{output_, POLLIN, 0};  // poll passes over a descriptor of -1
  if (poll(&output, 1, int(tick.count())) <= 0) return;
  std::array<char, 1 << 16> buffer;
  const ssize_t size = read(output_, buffer.data(), buffer.size());
  if (size > 0) {
    last_words_.append(buffer.data(), std::size_t(size));
    if (last_words_.size() > kept_output) last_words_.erase(0, last_words_.size() - kept_output);
  } else if (size == 0) {
    close(output_);
    output_ = -1;
  }
}

bool child_process::wait(seconds limit) {
  const auto start = clock::now();
  while (!ended()) {
    if (clock::now() - start >= limit) return false;
    gather();
  }
  // Its last words may still lie in the pipe, which by default holds one buffer.
  gather();
  return true;
}

void child_process::terminate() {
  const auto start = clock::now();
  kill(-pid_, SIGTERM);
  while (clock::now() - start < grace) gather();
  kill(-pid_, SIGKILL);
  status();
}

std::optional<int> child_process::status() {
  int value = 0;
  pid_t reaped;
  while ((reaped = waitpid(pid_, &value, 0)) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return reaped < 0 ? std::nullopt : std::optional(value);
}

}  // namespace poolwise
