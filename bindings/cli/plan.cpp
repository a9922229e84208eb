// poolwise plan: what a select with the same options would take.
#include <algorithm>
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
  std::string out, checkpoint;  // accepted, so that the options of a `select` can be planned as they stand
};

// What the process will have resident, and whether a `select` under the ceiling would run at all.
struct residence {
  std::uint64_t peak_bytes;
  bool fits;
};

residence residence_of(const query_plan& p, const query& asked, std::uint64_t copied, std::uint64_t mapped,
                       std::uint64_t ceiling) {
  std::uint64_t all = p.bytes + copied + mapped;
  // A strategy of diversity sees a copy of the rows that can be judged, where some cannot.
  if (asked.spec().invalid == on_invalid::skip && !asked.what().first().entry->scores()) all += p.input_bytes;
  if (ceiling == 0) return {all, true};
  return {std::min(all, ceiling + process_bytes), p.bytes - process_bytes + copied <= ceiling};
}

nlohmann::ordered_json as_json(const query_plan& p, const residence& r) {
  nlohmann::ordered_json steps = nlohmann::ordered_json::array();
  for (const plan_step& step : p.steps)
    steps.push_back(
        {{"name", step.name}, {"bytes", step.bytes}, {"sweeps", step.sweeps}, {"seconds", step.seconds}});
  return {{"input_bytes", p.input_bytes},
          {"bytes", p.bytes},
          {"peak_bytes", r.peak_bytes},
          {"fits", r.fits},
          {"sweeps", p.sweeps},
          {"seconds", p.seconds},
          {"least_seconds", p.least_seconds},
          {"most_seconds", p.most_seconds},
          {"steps", std::move(steps)}};
}

void print_table(const query_plan& p, const residence& r, std::uint64_t copied, std::uint64_t mapped) {
  std::printf("%-28s %12s %10s %10s\n", "step", "memory", "sweeps", "time");
  for (const plan_step& step : p.steps)
    std::printf("%-28s %12s %10lld %10s\n", step.name.c_str(), human_bytes(double(step.bytes)).c_str(),
                static_cast<long long>(step.sweeps), human_seconds(step.seconds).c_str());
  std::printf("%-28s %12s %10lld %10s\n", "in all, with the process", human_bytes(double(p.bytes)).c_str(),
              static_cast<long long>(p.sweeps), human_seconds(p.seconds).c_str());
  std::printf("It will take between %s and %s, drawn on from short runs of each stage.\n",
              human_seconds(p.least_seconds).c_str(), human_seconds(p.most_seconds).c_str());
  std::printf("Of the inputs, %s are read where they lie and %s are copied.\n",
              human_bytes(double(mapped)).c_str(), human_bytes(double(copied)).c_str());
  if (r.fits)
    std::printf("With their pages the process has no more than %s resident.\n",
                human_bytes(double(r.peak_bytes)).c_str());
  else
    std::printf("--memory allows less: a select would be refused.\n");
}

}  // namespace

void add_plan(CLI::App& app) {
  auto options = std::make_shared<plan_options>();
  CLI::App* command =
      app.add_subcommand("plan", "Say what a select would take in memory and time, without running it");
  options->flags.add_to(*command);
  command->add_option("--out", options->out, "Ignored: a plan writes no picks")->type_name("FILE.csv");
  command->add_option("--checkpoint", options->checkpoint, "Ignored: a plan keeps no picks")->type_name("FILE");
  add_common(*command, options->common);
  command->footer(
      "Example:\n"
      "  poolwise plan --logits logits.npy --embeddings embeddings.npy --strategy badge --batch 1000");
  command->callback([options] {
    input_files files(options->common.memory);
    const where on = options->common.on(files.pages());
    const query_inputs inputs(options->flags, options->common.seed, files);
    const query asked = prepare(inputs.spec(), inputs.pool(), words_of("plan"));
    const query_plan result = plan(on, asked);
    const residence resident =
        residence_of(result, asked, inputs.copied_bytes(), files.mapped(), options->common.memory);
    if (options->common.json)
      print_json("plan", as_json(result, resident));
    else
      print_table(result, resident, inputs.copied_bytes(), files.mapped());
  });
}

}  // namespace poolwise::cli
