#include "poolwise/learn/detail/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/files/signals.hpp"

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

// The programs that run. A signal handler reads the table.
struct running_program {
  std::atomic<pid_t> group{0};
  std::atomic<pid_t> parent{0};  // a fork's copy of the table names programs that are not the child's
};
static_assert(std::atomic<pid_t>::is_always_lock_free);
constinit std::array<running_program, 1024> programs;

void kill_programs() {
  for (const running_program& program : programs)
    if (const pid_t group = program.group; group > 0 && program.parent == getpid()) kill(-group, SIGKILL);
}
[[maybe_unused]] const bool killed_by_signals = before_death_by_signal(kill_programs);

void remember(pid_t group) {
  for (running_program& program : programs) {
    pid_t none = 0;
    if (!program.group.compare_exchange_strong(none, group)) continue;
    program.parent = getpid();
    return;
  }
}

void forget(pid_t group) {
  for (running_program& program : programs)
    if (pid_t expected = group; program.group.compare_exchange_strong(expected, 0)) return;
}

struct start {
  char* const* arguments;
  char* const* environment;
  int output, null;
  pid_t parent;
  int problem = 0;
};

// The child's side, on the parent's memory: system calls alone, until exec.
[[noreturn]] void run_program(start& how) {
  // Handlers are the parent's business. A host may ignore some (Python ignores SIGPIPE); the program must hear
  // them.
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (sigaction(number, nullptr, &action) != 0) continue;
    const bool heard = number == SIGTERM || number == SIGPIPE || number == SIGCHLD || number == SIGXFSZ;
    if (action.sa_handler == SIG_DFL || (action.sa_handler == SIG_IGN && !heard)) continue;
    signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  // Who is killed outright can kill nobody: the system then kills the program.
  const bool ready = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == how.parent &&
                     dup2(how.output, STDOUT_FILENO) >= 0 && dup2(how.output, STDERR_FILENO) >= 0 &&
                     // Last: where ours is closed, `output` may have its number.
                     dup2(how.null, STDIN_FILENO) >= 0 && sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
  if (ready) execve(how.arguments[0], how.arguments, how.environment);
  how.problem = errno != 0 ? errno : ECHILD;
  _exit(127);
}

struct descriptor {
  int value;
  ~descriptor() { close(value); }
};

// No fork: it copies the page tables of a pool that may fill the memory. No posix_spawn: it cannot ask for a
// signal at our death.
pid_t start_program(start& how) {
  // The analyzer warns of what may go wrong in between: signals are blocked, and the child calls the system
  // alone.
  const pid_t pid = vfork();       // NOLINT(clang-analyzer-security.insecureAPI.vfork)
  if (pid == 0) run_program(how);  // NOLINT(clang-analyzer-unix.Vfork)
  return pid;
}

pid_t spawn(const std::vector<std::string>& words, const std::vector<std::string>& variables, int output) {
  const descriptor null{open("/dev/null", O_RDONLY | O_CLOEXEC)};
  if (null.value < 0) require(errno, "/dev/null");
  std::vector<char*> arguments, environment;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  for (const auto& variable : variables) environment.push_back(const_cast<char*>(variable.c_str()));
  for (char** variable = environ; *variable != nullptr; ++variable) environment.push_back(*variable);
  arguments.push_back(nullptr);
  environment.push_back(nullptr);
  start how{arguments.data(), environment.data(), output, null.value, getpid()};
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // our handlers must not run in the child
  errno = 0;
  const pid_t pid = start_program(how);
  const int problem = pid < 0 ? errno : how.problem;
  if (problem != 0 && pid > 0) waitpid(pid, nullptr, 0);
  if (problem == 0) remember(pid);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  require(problem, words[0].c_str());
  return pid;
}

}  // namespace

child_process::child_process(const std::vector<std::string>& words, const std::vector<std::string>& variables,
                             const std::filesystem::path& log)
    : log_(log.empty() ? -1 : open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) require(errno, "pipe");
  descriptor ours{ends[0]};
  const descriptor theirs{ends[1]};
  fcntl(ours.value, F_SETFL, O_NONBLOCK);
  pid_ = spawn(words, variables, theirs.value);
  output_ = std::exchange(ours.value, -1);
}

child_process::~child_process() {
  if (pid_ > 0) {
    kill(-pid_, SIGKILL);
    status();
  }
  if (output_ >= 0) close(output_);
  if (log_ >= 0) close(log_);
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
    // A copy for people: nothing depends on it.
    if (log_ >= 0 && write(log_, buffer.data(), std::size_t(size)) < 0) close(std::exchange(log_, -1));
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
  forget(pid_);  // before its number may be given to another
  int value = 0;
  pid_t reaped;
  while ((reaped = waitpid(pid_, &value, 0)) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return reaped < 0 ? std::nullopt : std::optional(value);
}

}  // namespace poolwise
