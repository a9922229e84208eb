// Runs the built command as a person would, and says what came of it.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "poolwise/files/output.hpp"
#include "reference/sanitized.hpp"

namespace poolwise::test {

inline constexpr bool measured = !sanitized;  // the books of a sanitizer would be measured, too

struct outcome {
  int code = -1;  ///< exit status; 128 + signal when a signal ended it
  std::string out, err;
  std::int64_t peak_bytes = 0;  ///< resident, mapped files included

  nlohmann::json json() const { return nlohmann::json::parse(out); }
};

inline std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// A folder of the test's own, gone with it.
class scratch {
 public:
  scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "poolwise-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~scratch() { std::filesystem::remove_all(path_); }
  scratch(const scratch&) = delete;
  scratch& operator=(const scratch&) = delete;

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  const std::filesystem::path& path() const { return path_; }

  /// The files there are, temporaries included.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      names.push_back(entry.path().filename());
    return names;
  }

 private:
  std::filesystem::path path_;
};

/// Starts the command with standard output and error going to files in `folder`.
inline pid_t start(const scratch& folder, const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment = {}) {
  const pid_t child = fork();
  if (child != 0) return child;
  for (const auto& [descriptor, name] : {std::pair{1, ".stdout"}, std::pair{2, ".stderr"}}) {
    const int file = open((folder / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(file, descriptor);
    close(file);
  }
  for (const auto& setting : environment) putenv(const_cast<char*>(setting.c_str()));
  std::vector<char*> argv = {const_cast<char*>(POOLWISE_COMMAND)};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(POOLWISE_COMMAND, argv.data());
  _exit(127);
}

inline outcome finish(const scratch& folder, pid_t child) {
  int status = 0;
  rusage used{};
  if (wait4(child, &status, 0, &used) != child) throw std::runtime_error("wait4");
  outcome result;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = contents(folder / ".stdout");
  result.err = contents(folder / ".stderr");
  result.peak_bytes = std::int64_t(used.ru_maxrss) * 1024;
  std::filesystem::remove(folder / ".stdout");
  std::filesystem::remove(folder / ".stderr");
  return result;
}

inline outcome run(const std::vector<std::string>& arguments,
                   const std::vector<std::string>& environment = {}) {
  const scratch folder;
  return finish(folder, start(folder, arguments, environment));
}

/// Writes rows of numbers as .npy and returns the file's name.
inline std::string save(const std::string& file, const std::vector<float>& values, index_t cols) {
  write_npy(file, matrix_view<const float>{values.data(), index_t(values.size()) / cols, cols});
  return file;
}
inline std::string save(const std::string& file, const std::vector<std::int64_t>& values) {
  write_npy(file, vector_view<const std::int64_t>{values.data(), index_t(values.size())});
  return file;
}

}  // namespace poolwise::test
