// The words of a command line, a line each, and behind an empty line a TOML file of settings.
#include "settings.hpp"

#include <sstream>
#include <vector>

#include "cli.hpp"
#include "harness.hpp"
#include "own_files.hpp"

namespace poolwise::fuzz {
namespace {

/// Every command with its options; none of them runs.
CLI::App& commands() {
  static CLI::App app("", "poolwise");
  static const bool added = [] {
    app.require_subcommand(1);
    for (const cli::command_factory add :
         {cli::add_score, cli::add_select, cli::add_plan, cli::add_strategies, cli::add_devices, cli::add_demo,
          cli::add_reproduce, cli::add_completion})
      add(app);
    app.parse_complete_callback([] {
      for (const CLI::App* command : app.get_subcommands()) cli::require_own_files(*command);
      throw CLI::Success();  // as far as the command itself, which does not run
    });
    return true;
  }();
  require(added, "commands");
  return app;
}

}  // namespace
}  // namespace poolwise::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise::fuzz;
  const std::string_view input = text_of(data, size);
  const std::size_t end = std::min(input.find("\n\n"), input.size());
  std::vector<std::string> words{"poolwise"};
  std::istringstream lines{std::string(input.substr(0, end))};
  for (std::string word; std::getline(lines, word);)
    // Another file would make the run depend on the machine.
    if (!word.starts_with("--config")) words.push_back(word.c_str());
  words.insert(words.end(), {"--config", file_of(input.substr(std::min(end + 2, input.size())), ".toml")});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  CLI::App& app = commands();
  accepted([&] {
    try {
      app.parse(poolwise::cli::with_settings(app, int(arguments.size()), arguments.data()));
    } catch (const CLI::ParseError&) {  // a refusal, or the help that was asked for
    }
  });
  return 0;
}
