#include "poolwise/learn/command_learner.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <sstream>
#include <system_error>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/learn/detail/checks.hpp"
#include "poolwise/learn/detail/child_process.hpp"

namespace poolwise {
namespace {

namespace fs = std::filesystem;

/// What a terminal shows of a line that a progress bar has drawn over again and again.
std::string last_drawn(std::string line) {
  while (!line.empty() && line.back() == '\r') line.pop_back();
  return line.substr(line.rfind('\r') + 1);  // npos + 1 is 0
}

/// The program's last words for the end of a message: on lines of their own, so that a traceback can be read.
std::string quoted(std::string words) {
  // The cut may have left the rest of a UTF-8 character at the start.
  const auto whole = std::find_if(words.begin(), words.end(), [](char c) { return (c & 0xc0) != 0x80; });
  words.erase(words.begin(), whole);
  std::replace(words.begin(), words.end(), '\0', ' ');
  std::replace(words.begin(), words.end(), '\t', ' ');
  while (!words.empty() && (words.back() == '\n' || words.back() == '\r')) words.pop_back();
  if (words.empty()) return "; it said nothing";
  std::string text = "; its last words:";
  std::istringstream lines(words);
  for (std::string line; std::getline(lines, line);) text += "\n" + printable(last_drawn(std::move(line)));
  return text;
}

std::string how_it_ended(std::optional<int> status) {
  if (!status) return "ended, but its status is lost because this process ignores SIGCHLD; restore the default";
  const auto signal = [](int number) {
    return "signal " + std::to_string(number) + " (" + strsignal(number) + ")";
  };
  if (WIFSIGNALED(*status)) return "was ended by " + signal(WTERMSIG(*status));
  const int code = WEXITSTATUS(*status);
  const std::string text = "ended with status " + std::to_string(code);
  return code > 128 && code <= 128 + SIGRTMAX ? text + ", the shell's word for " + signal(code - 128) : text;
}

bool succeeded(std::optional<int> status) { return status && WIFEXITED(*status) && WEXITSTATUS(*status) == 0; }

void require(bool valid, const std::string& what) {
  if (!valid) throw value_error("command_learner: " + what);
}

void require_removed(const fs::path& file) {
  std::error_code problem;
  fs::remove(file, problem);
  if (problem)
    throw io_error("command_learner: cannot remove the old " + file.string() + ": " + problem.message());
}

}  // namespace

command_learner::command_learner(command_options options) : options_(std::move(options)) {
  require(!options_.command.empty(), "the command is empty; pass one such as \"python3 train.py\"");
  require(!options_.folder.empty(), "the folder is empty; pass one for the files");
  require(options_.classes >= 1, "classes is " + std::to_string(options_.classes) + "; pass at least 1");
  require(options_.members >= 1, "members is " + std::to_string(options_.members) + "; pass at least 1");
  require(options_.timeout.count() > 0,
          "timeout is " + std::to_string(options_.timeout.count()) + " s; pass at least 1");
  // A program may change its working folder, and a relative name may begin with a dash.
  options_.folder = fs::absolute(options_.folder);
}

void command_learner::fit(matrix_view<const float> x, vector_view<const std::int32_t> y) {
  require_training_set("command_learner::fit", x, y, options_.classes);
  std::error_code problem;
  fs::create_directories(options_.folder, problem);
  if (problem)
    throw io_error("command_learner: cannot make " + options_.folder.string() + ": " + problem.message());
  write_npy(options_.folder / "features.npy", x);
  write_npy(options_.folder / "labels.npy", y);
  features_ = 0;  // a failed fit leaves no model behind
  run("fit");
  features_ = x.cols;
}

void command_learner::predict(matrix_view<const float> x, cube_view<float> logits) {
  require_query("command_learner::predict", x, features_, logits, options_.members, options_.classes);
  if (x.rows == 0) return;
  write_npy(options_.folder / "query.npy", x);
  require_removed(options_.folder / "logits.npy");
  run("predict");
  read_logits(logits);
}

void command_learner::run(const char* verb) const {
  const std::string name =
      "command_learner: `" + printable(options_.command + " " + verb + " " + options_.folder.string()) + "` ";
  child_process program(
      {"/bin/sh", "-c", options_.command + " \"$@\"", "poolwise", verb, options_.folder.string()},
      {"POOLWISE_SEED=" + std::to_string(options_.seed)}, options_.folder / "output.txt");
  if (!program.wait(options_.timeout)) {
    program.terminate();
    throw command_error(name + "was stopped after " + std::to_string(options_.timeout.count()) +
                        " s; allow a longer timeout or make it faster" + quoted(program.last_words()));
  }
  const auto status = program.status();
  if (!succeeded(status)) throw command_error(name + how_it_ended(status) + quoted(program.last_words()));
}

void command_learner::read_logits(cube_view<float> logits) const {
  const fs::path file = options_.folder / "logits.npy";
  std::error_code problem;
  if (!fs::exists(file, problem))
    throw command_error("command_learner: `" + options_.command + " predict` left no " + file.string() +
                        "; write the logits there");
  try {
    array found = open_npy(file);
    const std::vector<index_t> wanted{logits.members, logits.rows, logits.cols};
    const bool one_member = logits.members == 1 && found.shape.size() == 2;
    if (found.shape != (one_member ? std::vector<index_t>{logits.rows, logits.cols} : wanted))
      throw shape_error("it has shape " + shape_text(found.shape) + "; write " + shape_text(wanted) +
                        ", [members, rows of query.npy, classes]");
    found.shape = {logits.members * logits.rows, logits.cols};
    array keep;
    const auto values = as_float_matrix(found, keep);
    std::copy_n(values.data, values.rows * values.cols, logits.data);
  } catch (const error& found) {
    throw command_error("command_learner: cannot use " + file.string() + " that `" + options_.command +
                        " predict` left: " + found.what());
  }
}

}  // namespace poolwise
