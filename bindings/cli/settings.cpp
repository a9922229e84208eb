#include "settings.hpp"

#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>

#include "own_files.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise::cli {
namespace {

// The first words name the command, and the verb within it. CLI11 alone would only say that one is needed.
void check_first_words(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* in = &app;
  for (const std::string& word : arguments) {
    const auto commands = in->get_subcommands({});
    if (commands.empty()) return;
    if (word.rfind('-', 0) == 0) continue;
    const auto named = std::find_if(commands.begin(), commands.end(),
                                    [&](const CLI::App* one) { return one->check_name(word); });
    if (named == commands.end()) {
      std::vector<std::string> known;
      for (const CLI::App* command : commands) known.push_back(command->get_name());
      throw CLI::ExtrasError("there is no command \"" + word + "\"" +
                                 (in == &app ? "" : " of `poolwise " + in->get_name() + "`") +
                                 "; the nearest is \"" + nearest_word(word, known) + "\"",
                             CLI::ExitCodes::ExtrasError);
    }
    in = *named;
  }
}

// A shell variable that is not set gives an empty argument: its option would be left out in silence.
void refuse_empty(const std::vector<std::string>& arguments) {
  const auto empty = std::find(arguments.begin(), arguments.end(), "");
  if (empty == arguments.end()) return;
  throw CLI::ValidationError(empty == arguments.begin() ? "The command" : *(empty - 1),
                             "is followed by an empty argument; give a value, or leave the option out");
}

/// The command that is called: {"campaign", "pool", "add"}, the outermost first. Options may stand between.
std::vector<const CLI::App*> commands_called(const CLI::App& app, const std::vector<std::string>& arguments) {
  std::vector<const CLI::App*> called;
  const CLI::App* in = &app;
  for (const auto& argument : arguments)
    for (const CLI::App* command : in->get_subcommands({}))
      if (command->check_name(argument)) {
        called.push_back(in = command);
        break;
      }
  return called;
}

/// The command and all within it.
std::vector<const CLI::App*> with_inner(const std::vector<const CLI::App*>& commands) {
  std::vector<const CLI::App*> all;
  for (const CLI::App* command : commands) {
    all.push_back(command);
    const auto inner = command->get_subcommands({});
    for (const CLI::App* one : with_inner({inner.begin(), inner.end()})) all.push_back(one);
  }
  return all;
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

// The long names of the options of these commands, and of those within them.
std::vector<std::string> options_of(const std::vector<const CLI::App*>& commands) {
  std::vector<std::string> names;
  for (const CLI::App* command : with_inner(commands))
    for (const CLI::Option* option : command->get_options({}))
      if (!option->get_lnames().empty() && option->get_lnames().front() != "help")
        names.push_back(option->get_lnames().front());
  return names;
}

bool among(const std::string& word, const std::vector<std::string>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// A misspelt variable would be left out in silence.
void check_environment(const std::vector<std::string>& options) {
  const std::string prefix = "POOLWISE_";
  // Variables that are no options: where the page's script lies, and what the tests run.
  std::vector<std::string> known = {"POOLWISE_PLOTLY", "POOLWISE_PYTHON", "POOLWISE_GPUSIM"};
  for (const std::string& option : options) known.push_back(variable_of(option));
  for (char** setting = environ; *setting != nullptr; ++setting) {
    const std::string text = *setting, name = text.substr(0, text.find('='));
    if (name.starts_with(prefix) && !among(name, known))
      throw CLI::ValidationError(printable(name),
                                 "is in the environment, and no command has such an option; the nearest is \"" +
                                     nearest_word(name, known) + "\"");
  }
}

// The files of an option, as they lie from the folder of the file of settings.
std::string from_folder(const std::filesystem::path& folder, const CLI::Option& option,
                        const std::string& files) {
  std::string moved;
  for (std::size_t begin = 0; begin <= files.size();) {
    const std::size_t end =
        option.get_delimiter() == ',' ? std::min(files.find(',', begin), files.size()) : files.size();
    const std::string file = files.substr(begin, end - begin);
    moved += (begin > 0 ? "," : "") + (file == "-" || file.empty() ? file : (folder / file).string());
    begin = end + 1;
  }
  return moved;
}

class toml_settings {
 public:
  toml_settings(const CLI::App& app, const std::string& file) : file_(file) {
    if (file.empty()) return;
    folder_ = std::filesystem::path(file).parent_path();
    try {
      table_ = toml::parse(read_file("settings", file), file);
    } catch (const toml::parse_error& problem) {
      std::ostringstream where;
      where << problem.source().begin;
      refuse(std::string(problem.description()) + " (" + where.str() + ")");
    } catch (const io_error& problem) {
      throw CLI::ValidationError("--config", problem.what());
    }
    const auto commands = app.get_subcommands({});
    std::vector<std::string> names;
    for (const CLI::App* command : commands) names.push_back(command->get_name());
    const std::vector<std::string> options = options_of({commands.begin(), commands.end()});
    for (const auto& [key, value] : table_) {
      const std::string name(key.str());
      if (!value.is_table()) {
        check(name, value, options, "no command has an option");
        continue;
      }
      if (!among(name, names))
        refuse("there is no command \"" + printable(name) + "\" that a table could be for; the nearest is \"" +
               nearest_word(name, names) + "\"");
      for (const auto& [own, given] : *value.as_table())
        check(std::string(own.str()), given, options_of({app.get_subcommand(name)}), name + " has no option");
    }
  }

  std::optional<std::string> find(const std::string& command, const CLI::Option& option) const {
    const std::string& name = option.get_lnames().front();
    const toml::node* value = nullptr;
    if (const auto* own = table_[command].as_table()) value = named(*own, name);
    if (!value) value = named(table_, name);
    if (!value) return std::nullopt;
    const std::string text = as_argument(name, *value);
    return names_files(option) && !folder_.empty() ? from_folder(folder_, option, text) : text;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw CLI::ValidationError("--config", printable(file_) + ": " + what);
  }

  // "on_nan" is "on-nan", as POOLWISE_ON_NAN is.
  static std::string option_of(std::string key) {
    std::replace(key.begin(), key.end(), '_', '-');
    return key;
  }

  static const toml::node* named(const toml::table& table, const std::string& option) {
    for (const auto& [key, value] : table)
      if (!value.is_table() && option_of(std::string(key.str())) == option) return &value;
    return nullptr;
  }

  void check(const std::string& key, const toml::node& value, const std::vector<std::string>& options,
             const std::string& complaint) const {
    const std::string name = option_of(key);
    if (!among(name, options))
      refuse(complaint + " \"" + printable(key) + "\"; the nearest is \"" + nearest_word(name, options) + "\"");
    if (name == "config") refuse("a file of settings names no other; give --config once");
    as_argument(key, value);
  }

  std::string as_argument(const std::string& key, const toml::node& value) const {
    std::ostringstream out;
    if (value.is_table())
      refuse("the value of \"" + printable(key) + "\" is a table; write one value, or a list");
    if (const auto* list = value.as_array()) {
      for (std::size_t i = 0; i < list->size(); ++i) out << (i ? "," : "") << as_argument(key, (*list)[i]);
    } else if (const auto* text = value.as_string()) {
      out << text->get();
    } else {
      value.visit([&](const auto& scalar) { out << scalar; });
    }
    // The rest of it would be left out.
    if (out.str().find('\0') != std::string::npos)
      refuse("the value of \"" + printable(key) + "\" holds a zero byte; leave it out");
    return out.str();
  }

  std::string file_;
  std::filesystem::path folder_;
  toml::table table_;
};

}  // namespace

std::vector<std::string> with_settings(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  refuse_empty(arguments);
  check_first_words(app, arguments);
  if (const auto called = commands_called(app, arguments); !called.empty()) {
    const CLI::App* command = called.back();
    const auto commands = app.get_subcommands({});
    check_environment(options_of({commands.begin(), commands.end()}));
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
      if (!value) value = file.find(called.front()->get_name(), *option);
      if (value) arguments.push_back("--" + name + "=" + *value);
    }
  }
  std::reverse(arguments.begin(), arguments.end());
  return arguments;
}

}  // namespace poolwise::cli
