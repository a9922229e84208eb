// A program under a deadline. Not part of the public interface.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace poolwise {

/// A program that leads its own process group: nothing on its standard input, its standard output and error
/// gathered. Whoever drops one that still runs kills the group, and so does a signal that ends this process
/// (clean_up_on_signals). Where this process is killed outright, the system kills the program, not its
/// children.
class child_process {
 public:
  using clock = std::chrono::steady_clock;

  /// Starts words[0], an absolute path, with all of `words` as its arguments, and `variables` ("NAME=value")
  /// before this process's environment. Its output is appended to `log` as well, if that has a name.
  /// throws command_error.
  explicit child_process(const std::vector<std::string>& words, const std::vector<std::string>& variables = {},
                         const std::filesystem::path& log = {});
  ~child_process();
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  /// Gathers output until the program ends (true) or `limit` has passed (false).
  bool wait(std::chrono::duration<double> limit);

  /// SIGTERM to the group and, two seconds later, SIGKILL to whatever is left of it.
  void terminate();

  /// How it ended, as waitpid says, once `wait` returned true. None if this process ignores SIGCHLD: then
  /// the system keeps no status.
  std::optional<int> status();

  /// The last 2000 bytes of its output.
  const std::string& last_words() const { return last_words_; }

 private:
  bool ended() const;
  void gather();

  pid_t pid_ = -1;
  int output_ = -1;  // -1 once every writer has closed it
  int log_ = -1;
  std::string last_words_;
};

}  // namespace poolwise
