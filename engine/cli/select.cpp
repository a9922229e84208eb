// poolwise select: the batch to label next.
#include <cstdio>
#include <memory>

#include "cli.hpp"
#include "inputs.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/pool/output.hpp"
#include "poolwise/query/plan.hpp"

namespace poolwise::cli {
namespace {

struct select_options {
  common_options common;
  query_flags flags;
  std::string out;
};

// The shortest text that reads back as the same fp32.
std::string exact(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", double(value));
  return text;
}

std::string as_csv(const batch& chosen, const row_ids& ids) {
  std::string csv = "rank,row,id,score,cost,reason\n";
  for (std::size_t i = 0; i < chosen.picks.size(); ++i) {
    const pick& p = chosen.picks[i];
    csv += std::to_string(i + 1) + "," + std::to_string(p.row) + "," + csv_field(ids[p.row]) + "," +
           exact(p.score) + "," + std::to_string(p.cost) + "," + csv_field(p.reason) + "\n";
  }
  return csv;
}

nlohmann::ordered_json as_json(const batch& chosen, const query& q) {
  nlohmann::ordered_json picks = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < chosen.picks.size(); ++i) {
    const pick& p = chosen.picks[i];
    picks.push_back({{"rank", i + 1},
                     {"row", p.row},
                     {"id", q.ids[p.row]},
                     {"score", p.score},
                     {"cost", p.cost},
                     {"reason", p.reason}});
  }
  return {{"strategy", q.request.what.name},
          {"seed", q.request.seed},
          {"rows", q.pool().rows},
          {"cost", chosen.cost()},
          {"skipped_rows", chosen.skipped_rows},
          {"rank_seconds", chosen.rank_seconds},
          {"diversify_seconds", chosen.diversify_seconds},
          {"picks", std::move(picks)}};
}

void check_ceiling(std::uint64_t ceiling, const query_plan& needed) {
  if (ceiling > 0 && needed.bytes > ceiling)
    throw value_error("select: needs " + human_bytes(double(needed.bytes)) +
                      " beside the mapped inputs but --memory "
                      "allows " +
                      human_bytes(double(ceiling)) +
                      "; raise it, or keep fewer candidates "
                      "(--strategy margin/10x/kcenter)");
}

void run(const select_options& options) {
  const where on = options.common.on();
  const query q(options.flags, options.common.seed);
  const query_plan needed = plan_memory(on, q.pool(), q.request);
  check_ceiling(options.common.memory, needed);
  if (options.common.dry_run) {
    say("would pick up to " + std::to_string(q.request.limit.picks) + " of " + std::to_string(q.pool().rows) +
        " rows by " + q.request.what.name + ", with up to " + human_bytes(double(needed.bytes)) + " of memory");
    return;
  }
  const batch chosen = select(on, q.pool(), q.request);
  if (chosen.skipped_rows > 0)
    say("warning: left out " + std::to_string(chosen.skipped_rows) +
        " rows that cannot be scored, the first of them row " + std::to_string(chosen.first_skipped));
  if (!options.out.empty()) write_text(options.out, as_csv(chosen, q.ids));
  if (options.common.json)
    print_json("select", as_json(chosen, q));
  else if (options.out.empty())
    write_text("-", as_csv(chosen, q.ids));
}

}  // namespace

void add_select(CLI::App& app) {
  auto options = std::make_shared<select_options>();
  CLI::App* command = app.add_subcommand("select", "Pick the batch to label next, within a budget");
  options->flags.add_to(*command);
  command
      ->add_option("--out", options->out,
                   "The picks as CSV: rank,row,id,score,cost,reason (default: standard output)")
      ->type_name("FILE.csv");
  add_common(*command, options->common);
  command->footer(
      "Example:\n"
      "  poolwise select --logits logits.npy --embeddings embeddings.npy --labelled labelled.npy \\\n"
      "      --strategy margin/10x/kcenter --batch 100 --out picks.csv");
  command->callback([options] { run(*options); });
}

}  // namespace poolwise::cli
