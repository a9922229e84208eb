// poolwise completion: words that a shell offers, read off the commands and the table of strategies.
#include <cstdio>
#include <memory>
#include <string>

#include "cli.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise::cli {
namespace {

std::string options_of(const CLI::App& command) {
  std::string words;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) words += (words.empty() ? "--" : " --") + name;
  return words;
}

/// The options of a command, and the verbs within it with theirs.
std::string words_of(const CLI::App& command) {
  std::string words = options_of(command);
  for (const CLI::App* verb : command.get_subcommands([](const CLI::App*) { return true; }))
    words += " " + verb->get_name() + " " + words_of(*verb);
  return words;
}

std::string strategy_words(bool scores_alone) {
  std::string words;
  for (const strategy_entry& entry : strategies())
    if (entry.scores() || !scores_alone) words += (words.empty() ? "" : " ") + std::string(entry.name);
  return words;
}

// A strategy is completed stage by stage: what stands before the last slash stays.
std::string bash_script(const CLI::App& app) {
  std::string commands, cases;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands += (commands.empty() ? "" : " ") + command->get_name();
    cases += "    " + command->get_name() + ") words='" + words_of(*command) + "' ;;\n";
  }
  return "# For bash: source <(poolwise completion bash)\n"
         "_poolwise() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
         "  case $before in\n"
         "    --strategy) COMPREPLY=($(compgen -P \"${word%\"${word##*/}\"}\" -W '" +
         strategy_words(false) +
         "' -- \"${word##*/}\")); return ;;\n"
         "    --acquisition) COMPREPLY=($(compgen -W '" +
         strategy_words(true) +
         "' -- \"$word\")); return ;;\n"
         "  esac\n"
         "  case ${COMP_WORDS[1]} in\n" +
         cases +
         "  esac\n"
         "  if [ $COMP_CWORD -eq 1 ]; then COMPREPLY=($(compgen -W '" +
         commands +
         "' -- \"$word\"))\n"
         "  elif [[ $word == -* || ($COMP_CWORD -eq 2 && ${COMP_WORDS[1]} == campaign) ]]\n"
         "  then COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "  else COMPREPLY=($(compgen -f -- \"$word\")); fi\n"
         "}\n"
         "complete -o filenames -F _poolwise poolwise\n";
}

}  // namespace

void add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print what makes a shell complete commands and strategies");
  command->add_option("shell", *shell, "The shell that is to read it")
      ->required()
      ->check(CLI::IsMember({"bash"}))
      ->type_name("bash");
  command->footer("Example:\n  source <(poolwise completion bash)");
  command->callback([&app, shell] { write_text("-", bash_script(app)); });
}

}  // namespace poolwise::cli
