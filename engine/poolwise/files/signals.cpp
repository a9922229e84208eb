#include "poolwise/files/signals.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>

#include "poolwise/files/detail/bytes.hpp"

namespace poolwise {
namespace {

constinit std::array<std::atomic<void (*)()>, 8> cleaners;
constinit std::atomic<int> code_of_changed_file{1};
constinit std::atomic<bool> dying{false};
static_assert(std::atomic<void (*)()>::is_always_lock_free);

[[noreturn]] void exit_for(const char* changed) {
  if (::isatty(STDERR_FILENO) == 1 && ::write(STDERR_FILENO, "\r\033[K", 4) < 0) ::_exit(1);  // a progress line
  const ssize_t written = ::write(STDERR_FILENO, changed, std::strlen(changed));
  ::_exit(written < 0 ? 1 : code_of_changed_file.load());
}

// Everything called here is async-signal-safe.
void clean_up_and_die(int number, siginfo_t* info, void*) {
  // Several threads may read a file that was cut short: the first of them ends the process.
  while (dying.exchange(true)) ::pause();
  for (const auto& clean : cleaners)
    if (void (*const run)() = clean) run();
  // An address comes with a fault alone, not with a signal that someone sent.
  const char* const changed =
      number == SIGBUS && info->si_code > 0 ? about_mapped_file(info->si_addr) : nullptr;
  if (changed != nullptr) exit_for(changed);
  ::signal(number, SIG_DFL);
  ::raise(number);  // delivered when the handler returns, which unblocks it
}

}  // namespace

bool before_death_by_signal(void (*clean)()) noexcept {
  for (auto& place : cleaners) {
    void (*empty)() = nullptr;
    if (place.compare_exchange_strong(empty, clean)) return true;
  }
  return false;
}

void clean_up_on_signals(int changed_file_code) {
  code_of_changed_file = changed_file_code;
  struct sigaction action {};
  action.sa_sigaction = clean_up_and_die;
  action.sa_flags = SA_SIGINFO;
  sigfillset(&action.sa_mask);
  struct sigaction before {};
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM,
                           SIGXCPU, SIGVTALRM, SIGPROF, SIGIO, SIGPWR}) {
    ::sigaction(number, nullptr, &before);
    // A shell has its background jobs ignore SIGINT, nohup SIGHUP; they go on doing so.
    if (before.sa_handler == SIG_DFL) ::sigaction(number, &action, nullptr);
  }
  ::sigaction(SIGBUS, &action, nullptr);
  ::sigaction(SIGXFSZ, nullptr, &before);
  if (before.sa_handler == SIG_DFL) ::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace poolwise
