#include "own_files.hpp"

#include <sys/stat.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include "poolwise/files/array.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise::cli {
namespace {

namespace fs = std::filesystem;

bool is_output(const CLI::Option& option) {
  return option.check_lname("out") || option.check_lname("checkpoint") || option.check_lname("refused");
}

std::optional<std::pair<dev_t, ino_t>> regular_file(const fs::path& file) {
  struct stat status {};
  if (::stat(file == "-" ? "/dev/stdout" : file.c_str(), &status) != 0 || !S_ISREG(status.st_mode))
    return std::nullopt;
  return std::pair(status.st_dev, status.st_ino);
}

// Files that are not there yet are told apart by their places.
bool same_file(const fs::path& a, const fs::path& b) {
  const auto one = regular_file(a), other = regular_file(b);
  if (one || other) return one == other;
  std::error_code none;
  const auto place = [&](const fs::path& file) {
    return fs::weakly_canonical(fs::absolute(written_file(file), none), none);
  };
  return !fs::exists(a, none) && !fs::exists(b, none) && place(a) == place(b);
}

std::vector<output_name> inputs_of(const CLI::App& command) {
  std::vector<output_name> inputs;
  for (const CLI::Option* option : command.get_options())
    if (names_files(*option) && !is_output(*option))
      for (const std::string& text : option->results())
        inputs.push_back({option->get_name(), file_of_array(text)});
  if (const char* config = std::getenv("POOLWISE_CONFIG")) inputs.push_back({"POOLWISE_CONFIG", config});
  return inputs;
}

[[noreturn]] void refuse(const std::string& output, const std::string& other) {
  throw CLI::ValidationError(output, "and " + other + " name the same file; give each its own");
}

}  // namespace

bool names_files(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type.starts_with("FILE") || type.starts_with("ARRAY") || type == "FOLDER" || type == "PATH";
}

void require_own_files(const CLI::App& command, const std::vector<output_name>& outputs) {
  const auto inputs = inputs_of(command);
  for (auto output = outputs.begin(); output != outputs.end(); ++output) {
    for (const output_name& input : inputs)
      if (regular_file(input.file) && same_file(output->file, input.file)) refuse(output->option, input.option);
    for (auto before = outputs.begin(); before != output; ++before)
      if (same_file(output->file, before->file)) refuse(output->option, before->option);
  }
}

void require_own_files(const CLI::App& command) {
  std::vector<output_name> outputs;
  for (const CLI::Option* option : command.get_options())
    if (is_output(*option) && names_files(*option) && !option->empty())
      outputs.push_back({option->get_name(), option->results().front()});
  require_own_files(command, outputs);
  // By itself: --out may be standard output.
  require_own_files(command, {{"standard output", "/dev/stdout"}});
}

}  // namespace poolwise::cli
