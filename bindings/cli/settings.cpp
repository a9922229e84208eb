#include "settings.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <sstream>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise::cli {
namespace {

std::string as_argument(const toml::node& value) {
  if (const auto* text = value.as_string()) return text->get();
  std::ostringstream out;
  if (const auto* list = value.as_array()) {
    for (std::size_t i = 0; i < list->size(); ++i) out << (i ? "," : "") << as_argument((*list)[i]);
    return out.str();
  }
  value.visit([&](const auto& scalar) { out << scalar; });
  return out.str();
}

// The first word names the sub-command. CLI11 alone would only say that one is needed.
void check_first_word(const CLI::App& app, const std::vector<std::string>& arguments) {
  const auto word = std::find_if(arguments.begin(), arguments.end(),
                                 [](const std::string& argument) { return argument.rfind('-', 0) != 0; });
  if (word == arguments.end()) return;
  std::vector<std::string> known;
  for (const CLI::App* command : app.get_subcommands({})) known.push_back(command->get_name());
  if (std::find(known.begin(), known.end(), *word) == known.end())
    throw CLI::ExtrasError(
        "there is no command \"" + *word + "\"; the nearest is \"" + nearest_word(*word, known) + "\"",
        CLI::ExitCodes::ExtrasError);
}

// A shell variable that is not set gives an empty argument: its option would be left out in silence.
void refuse_empty(const std::vector<std::string>& arguments) {
  const auto empty = std::find(arguments.begin(), arguments.end(), "");
  if (empty == arguments.end()) return;
  throw CLI::ValidationError(empty == arguments.begin() ? "The command" : *(empty - 1),
                             "is followed by an empty argument; give a value, or leave the option out");
}

const CLI::App* subcommand_of(const CLI::App& app, const std::vector<std::string>& arguments) {
  for (const auto& argument : arguments)
    for (const CLI::App* command : app.get_subcommands({}))
      if (command->get_name() == argument) return command;
  return nullptr;
}

bool given(const CLI::Option& option, const std::vector<std::string>& arguments) {
  return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
    const std::string name = argument.substr(0, argument.find('='));
    return name.rfind("--", 0) == 0 && option.check_lname(name.substr(2));
  });
}

// "on-nan" -> POOLWISE_ON_NAN
std::string variable_of(std::string option) {
  for (char& c : option) c = c == '-' ? '_' : char(std::toupper(c));
  return "POOLWISE_" + option;
}

std::optional<std::string> from_environment(const std::string& option) {
  const char* value = std::getenv(variable_of(option).c_str());
  return value && *value ? std::optional<std::string>(value) : std::nullopt;
}

std::string config_file(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--config" && i + 1 < arguments.size()) return arguments[i + 1];
    if (arguments[i].rfind("--config=", 0) == 0) return arguments[i].substr(9);
  }
  return from_environment("config").value_or("");
}

bool known_anywhere(const CLI::App& app, const std::string& option) {
  const auto commands = app.get_subcommands({});
  return std::any_of(commands.begin(), commands.end(), [&](const CLI::App* command) {
    return command->get_option_no_throw("--" + option) != nullptr || command->get_name() == option;
  });
}

class toml_settings {
 public:
  toml_settings(const CLI::App& app, const std::string& file) {
    if (file.empty()) return;
    try {
      table_ = toml::parse(read_file("--config", file), file);
    } catch (const io_error& problem) {
      throw CLI::ValidationError("--config", problem.what());
    } catch (const toml::parse_error& problem) {
      std::ostringstream where;
      where << problem.source().begin;
      throw CLI::ValidationError("--config",
                                 file + ": " + std::string(problem.description()) + " (" + where.str() + ")");
    }
    for (const auto& [name, value] : table_)
      if (!known_anywhere(app, std::string(name.str())))
        throw CLI::ValidationError("--config",
                                   file + ": no command has an option \"" + std::string(name.str()) + "\"");
  }

  std::optional<std::string> find(const std::string& command, const std::string& option) const {
    const toml::node* value = nullptr;
    if (const auto* own = table_[command].as_table()) value = own->get(option);
    if (!value) value = table_.get(option);
    return value && !value->is_table() ? std::optional<std::string>(as_argument(*value)) : std::nullopt;
  }

 private:
  toml::table table_;
};

}  // namespace

std::vector<std::string> with_settings(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  refuse_empty(arguments);
  check_first_word(app, arguments);
  if (const CLI::App* command = subcommand_of(app, arguments)) {
    const toml_settings file(app, config_file(arguments));
    const auto typed = arguments;
    for (const CLI::Option* option : command->get_options({})) {
      const std::string name = option->get_lnames().empty() ? "" : option->get_lnames().front();
      if (name.empty() || name == "help" || name == "config" || given(*option, typed)) continue;
      // An option that excludes one which was typed would turn a setting into a contradiction.
      const auto excluded = option->get_excludes();
      if (std::any_of(excluded.begin(), excluded.end(), [&](const CLI::Option* o) { return given(*o, typed); }))
        continue;
      auto value = from_environment(name);
      if (!value) value = file.find(command->get_name(), name);
      if (value && value->find('\0') != std::string::npos)
        throw CLI::ValidationError("--config", "\"" + name + "\" holds a zero byte; write text without it");
      if (value) arguments.push_back("--" + name + "=" + *value);
    }
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

}  // namespace poolwise::cli
