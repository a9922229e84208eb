// poolwise plan: what a select with the same options would take.
#include <cstdio>
#include <iostream>
#include <memory>

#include "cli.hpp"
#include "inputs.hpp"
#include "poolwise/query/plan.hpp"

namespace poolwise::cli {
namespace {

struct plan_options {
  common_options common;
  query_flags flags;
  std::string out;  // accepted, so that the options of a `select` can be planned as they stand
};

nlohmann::ordered_json as_json(const query_plan& p) {
  nlohmann::ordered_json steps = nlohmann::ordered_json::array();
  for (const plan_step& step : p.steps)
    steps.push_back(
        {{"name", step.name}, {"bytes", step.bytes}, {"sweeps", step.sweeps}, {"seconds", step.seconds}});
  return {{"input_bytes", p.input_bytes},
          {"bytes", p.bytes},
          {"sweeps", p.sweeps},
          {"seconds", p.seconds},
          {"steps", std::move(steps)}};
}

void print_table(const query_plan& p) {
  std::printf("%-28s %12s %10s %10s\n", "step", "memory", "sweeps", "time");
  for (const plan_step& step : p.steps)
    std::printf("%-28s %12s %10lld %10s\n", step.name.c_str(), human_bytes(double(step.bytes)).c_str(),
                static_cast<long long>(step.sweeps), human_seconds(step.seconds).c_str());
  std::printf("%-28s %12s %10lld %10s\n", "in all, with the process", human_bytes(double(p.bytes)).c_str(),
              static_cast<long long>(p.sweeps), human_seconds(p.seconds).c_str());
  std::printf("The inputs are %s, read where they lie; times are extrapolated from a probe.\n",
              human_bytes(double(p.input_bytes)).c_str());
}

}  // namespace

void add_plan(CLI::App& app) {
  auto options = std::make_shared<plan_options>();
  CLI::App* command =
      app.add_subcommand("plan", "Say what a select would take in memory and time, without running it");
  options->flags.add_to(*command);
  command->add_option("--out", options->out, "Ignored: a plan writes no picks")->type_name("FILE.csv");
  add_common(*command, options->common);
  command->footer(
      "Example:\n"
      "  poolwise plan --logits logits.npy --embeddings embeddings.npy --strategy badge --batch 1000");
  command->callback([options] {
    const where on = options->common.on();
    const query q(options->flags, options->common.seed);
    const query_plan result = plan(on, q.pool(), q.request);
    if (options->common.json)
      print_json("plan", as_json(result));
    else
      print_table(result);
  });
}

}  // namespace poolwise::cli
