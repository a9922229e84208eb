// poolwise: picks which pool items are worth labelling.
#include "cli.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/files/output.hpp"
#include "settings.hpp"

namespace poolwise::cli {
namespace {

int report(const std::exception& problem, exit_code code) {
  say(problem.what());
  return code;
}

int refuse_usage(const std::exception& problem) {
  say(problem.what() + std::string(" (see `poolwise --help`, or --help after a command)"));
  return usage;
}

int run(int argc, char** argv) {
  CLI::App app("Of millions of unlabelled items, picks the few that are worth labelling.", "poolwise");
  app.set_version_flag("--version", "poolwise " POOLWISE_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Each command has its own --help with an example.\n"
      "Exit codes: 0 done, 1 failure, 2 usage, 3 budget exhausted, 4 stop rule met, 5 conflict, 6 bad input.");
  for (const command_factory add :
       {add_score, add_select, add_plan, add_strategies, add_devices, add_demo, add_reproduce, add_completion})
    add(app);
  try {
    app.parse(with_settings(app, argc, argv));
    return done;
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& problem) {
    return refuse_usage(problem);
  } catch (const usage_error& problem) {
    return refuse_usage(problem);
  } catch (const budget_error& problem) {
    return report(problem, budget_exhausted);
  } catch (const shape_error& problem) {
    return report(problem, bad_input);
  } catch (const value_error& problem) {
    return report(problem, bad_input);
  } catch (const format_error& problem) {
    return report(problem, bad_input);
  } catch (const std::bad_alloc&) {
    say("out of memory; `poolwise plan` with the same options says how much is needed");
    return failure;
  } catch (const std::exception& problem) {
    return report(problem, failure);
  }
}

}  // namespace
}  // namespace poolwise::cli

int main(int argc, char** argv) {
  poolwise::remove_unfinished_outputs_on_signals();
  return poolwise::cli::run(argc, argv);
}
