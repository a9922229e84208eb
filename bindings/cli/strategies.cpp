// poolwise strategies: what there is to choose from.
#include <cstdio>
#include <memory>
#include <utility>

#include "cli.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise::cli {
namespace {

void print_table() {
  std::printf("%-18s %-13s %-33s %-16s %-46s %s\n", "name", "kind", "needs", "on GPUs", "source",
              "formula, larger = sooner");
  for (const strategy_entry& entry : strategies())
    std::printf("%-18s %-13s %-33s %-16s %-46s %s\n", entry.name, entry.kind, entry.needs_text().c_str(),
                entry.on_devices, entry.source, entry.formula);
  std::printf("\nParameters, as in graph_cut(lambda=4):\n");
  for (const strategy_entry& entry : strategies())
    for (const parameter& p : entry.parameters)
      std::printf("  %-18s %-15s %-8.12g %s\n", entry.name, p.name, p.standard, p.meaning);
  std::printf(
      "\nAn acquisition or disagreement can be followed by a diversity strategy among its best rows:\n"
      "  margin/1000/kcenter   k-center among the 1000 rows of highest margin\n"
      "  bald/10x/badge        BADGE among the best rows by BALD, ten for each pick\n"
      "Any number of stages can follow each other; each keeps a number of rows, some for each pick, or a "
      "share:\n"
      "  margin/50%%/bald/20%%/typiclust/10x/kcenter\n");
}

// As the README has it.
void print_markdown() {
  std::printf("| strategy | kind | needs | parameters | source |\n|---|---|---|---|---|\n");
  for (const strategy_entry& entry : strategies()) {
    std::string parameters;
    for (const parameter& p : entry.parameters) {
      char value[32];
      std::snprintf(value, sizeof value, "%.12g", p.standard);
      parameters += (parameters.empty() ? "`" : ", `") + std::string(p.name) + "=" + value + "`";
    }
    std::printf("| `%s` | %s | %s | %s | %s |\n", entry.example().c_str(), entry.kind,
                entry.needs_text().c_str(), parameters.c_str(), entry.source);
  }
}

nlohmann::ordered_json as_json() {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const strategy_entry& entry : strategies()) {
    nlohmann::ordered_json parameters = nlohmann::ordered_json::array();
    for (const parameter& p : entry.parameters)
      parameters.push_back({{"name", p.name}, {"standard", p.standard}, {"meaning", p.meaning}});
    list.push_back({{"name", entry.name},
                    {"kind", entry.kind},
                    {"formula", entry.formula},
                    {"needs", entry.needs_text()},
                    {"on_devices", entry.on_devices},
                    {"source", entry.source},
                    {"parameters", std::move(parameters)}});
  }
  return {{"strategies", std::move(list)}};
}

}  // namespace

void add_strategies(CLI::App& app) {
  auto common = std::make_shared<common_options>();
  CLI::App* command =
      app.add_subcommand("strategies", "List the strategies, what they need and where they come from");
  auto markdown = std::make_shared<bool>(false);
  command->add_flag("--markdown", *markdown, "Print a table in Markdown");
  add_common(*command, *common);
  command->footer("Example:\n  poolwise strategies --json");
  command->callback([common, markdown] {
    if (common->json)
      print_json("strategies", as_json());
    else if (*markdown)
      print_markdown();
    else
      print_table();
  });
}

}  // namespace poolwise::cli
