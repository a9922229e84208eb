// poolwise: picks which pool items are worth labelling.
#include <fcntl.h>
#include <unistd.h>

#include "cli.hpp"
#include "own_files.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/signals.hpp"
#include "settings.hpp"
#include "shards.hpp"
#include "stream.hpp"

namespace poolwise::cli {
namespace {

template <class... Errors>
bool is_one_of(const std::exception& problem) {
  return ((dynamic_cast<const Errors*>(&problem) != nullptr) || ...);
}

exit_code code_of(const std::exception& problem) {
  if (const auto* end = dynamic_cast<const cluster_error*>(&problem)) return code_of_ranks(end->why);
  if (is_one_of<CLI::ParseError, usage_error>(problem)) return usage;
  if (is_one_of<budget_error>(problem)) return budget_exhausted;
  if (is_one_of<shape_error, value_error, format_error>(problem)) return bad_input;
  return is_one_of<conflict_error>(problem) ? conflict : failure;
}

void parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(with_settings(app, argc, argv));
  } catch (const CLI::Success& help_or_version) {
    std::ostringstream text;
    app.exit(help_or_version, text);
    write_text("-", text.str());
  }
}

// Where the caller has closed one of these, the first file opened would take its place, and be read or written
// as if it were. What stands in for it fails as a closed one does.
void fill_standard_descriptors() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(number, F_GETFD) < 0) ::open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int run(int argc, char** argv) {
  CLI::App app("Of millions of unlabelled items, picks the few that are worth labelling.", "poolwise");
  app.set_version_flag("--version", "poolwise " POOLWISE_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Each command has its own --help with an example.\n"
      "Exit codes: 0 done, 1 failure, 2 usage, 3 budget exhausted, 4 stop rule met, 5 conflict, 6 bad input.");
  for (const command_factory add : {add_score, add_select, add_plan, add_stream, add_strategies, add_devices,
                                    add_demo, add_reproduce, add_campaign, add_serve, add_completion})
    add(app);
  // Once all options are read, and before the command runs.
  app.parse_complete_callback([&app] {
    const CLI::App* called = &app;
    while (!called->get_subcommands().empty()) called = called->get_subcommands().front();
    require_own_files(*called);
  });
  try {
    parse(app, argc, argv);
    flush_standard_output();
    return done;
  } catch (const ended_with& end) {
    flush_standard_output();
    return end.code;
  } catch (const command_error& problem) {
    say_lines(problem.what());
    return failure;
  } catch (const std::bad_alloc&) {
    say("out of memory; `poolwise plan` with the same options says how much is needed");
    return failure;
  } catch (const std::exception& problem) {
    const exit_code code = code_of(problem);
    say(problem.what() +
        std::string(code == usage ? " (see `poolwise --help`, or --help after a command)" : ""));
    return code;
  }
}

}  // namespace
}  // namespace poolwise::cli

int main(int argc, char** argv) {
  poolwise::cli::fill_standard_descriptors();
  poolwise::clean_up_on_signals(poolwise::cli::bad_input);
  poolwise::on_output_note(poolwise::cli::say);
  return poolwise::cli::run(argc, argv);
}
