// poolwise select: the batch to label next.
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>

#include "cli.hpp"
#include "inputs.hpp"
#include "poolwise/cluster/mpi.hpp"
#include "poolwise/cluster/sharded_select.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"
#include "poolwise/query/checkpoint.hpp"
#include "poolwise/query/plan.hpp"
#include "poolwise/query/select.hpp"
#include "shards.hpp"

namespace poolwise::cli {
namespace {

struct select_options {
  common_options common;
  query_flags flags;
  std::string out, checkpoint, shard;
  double deadline = 600;
};

// The shortest text that reads back as the same fp32.
std::string exact(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", double(value));
  return text;
}

void write_csv(const std::string& target, const batch& chosen) {
  output_file out(target);
  std::string line = "rank,row,id,score,cost,reason";
  for (const std::string& stage : chosen.kept_by) (line += ',') += csv_field(stage);
  for (const std::string& name : chosen.also_cost) (line += ',') += csv_field(name);
  out.write(line + "\n");
  for (std::size_t i = 0; i < chosen.picks.size(); ++i) {
    const pick& p = chosen.picks[i];
    line = std::to_string(i + 1) + "," + std::to_string(p.row) + "," + csv_field(p.id) + "," + exact(p.score) +
           "," + std::to_string(p.cost) + "," + csv_field(p.reason);
    for (const float score : p.kept_by) (line += ',') += exact(score);
    for (const std::int64_t cost : p.also_cost) (line += ',') += std::to_string(cost);
    out.write(line + "\n");
  }
  out.commit();
}

nlohmann::ordered_json as_json(const std::optional<knn_report>& made) {
  if (!made) return {};
  return {{"method", name_of(made->method)},
          {"recall", made->recall},
          {"sampled_rows", made->sampled},
          {"cells", made->cells},
          {"probes", made->probes},
          {"train_rows", made->train_rows},
          {"links", made->links},
          {"breadth", made->breadth},
          {"beyond", made->beyond}};
}

// Nothing of exact lists, which are what one expects.
void say_approximation(const knn_report& made) {
  if (made.method == knn_method::exact) return;
  char recall[16];
  std::snprintf(recall, sizeof recall, "%.3f", made.recall);
  const std::string how = made.method == knn_method::ivf
                              ? std::to_string(made.probes) + " of " + std::to_string(made.cells) +
                                    " cells, made from " + std::to_string(made.train_rows) + " rows"
                              : "walks of breadth " + std::to_string(made.breadth) + " along " +
                                    std::to_string(made.links) + " links a row";
  say("neighbours are approximate: " + std::string(name_of(made.method)) + ", " + how + "; recall " + recall +
      " over " + std::to_string(made.sampled) + " sampled rows (--neighbours exact finds all)");
}

void say_optimality(double share, const char* of) {
  char percent[16];
  std::snprintf(percent, sizeof percent, "%.2f", std::floor(share * 1e4) / 100);
  say("the picks have at least " + std::string(percent) + " % of the highest total " + of +
      " that the limits allow");
}

/// Pick `i`.
nlohmann::ordered_json as_json(const batch& chosen, std::size_t i) {
  const pick& p = chosen.picks[i];
  nlohmann::ordered_json object = {{"rank", i + 1},    {"row", p.row},   {"id", p.id},
                                   {"score", p.score}, {"cost", p.cost}, {"reason", p.reason}};
  for (std::size_t k = 0; k < p.kept_by.size(); ++k) object["kept_by"][chosen.kept_by[k]] = p.kept_by[k];
  for (std::size_t k = 0; k < p.also_cost.size(); ++k)
    object["also_cost"][chosen.also_cost[k]] = p.also_cost[k];
  return object;
}

/// All but the picks.
nlohmann::ordered_json as_json(const batch& chosen, const query_spec& spec, index_t rows) {
  nlohmann::ordered_json also_cost = nlohmann::ordered_json::object();
  for (std::size_t k = 0; k < chosen.also_cost.size(); ++k) also_cost[chosen.also_cost[k]] = chosen.cost(k);
  return {
      {"strategy", chosen.strategy},
      {"seed", spec.seed},
      {"round", spec.round},
      {"metric", name_of(spec.distance)},
      {"apart", spec.apart ? nlohmann::ordered_json(*spec.apart) : nlohmann::ordered_json()},
      {"rows", rows},
      {"neighbours", as_json(chosen.neighbours)},
      {"cost", chosen.cost()},
      {"also_cost", also_cost},
      {"of_optimum", chosen.of_optimum ? nlohmann::ordered_json(*chosen.of_optimum) : nlohmann::ordered_json()},
      {"remarks", chosen.remarks},
      {"skipped_rows", chosen.skipped_rows},
      {"rank_seconds", chosen.rank_seconds},
      {"diversify_seconds", chosen.diversify_seconds}};
}

void show(const select_options& options, const batch& chosen, nlohmann::ordered_json about) {
  if (chosen.skipped_rows > 0)
    say("warning: left out " + std::to_string(chosen.skipped_rows) +
        " rows that cannot be scored, the first of them row " + std::to_string(chosen.first_skipped));
  if (chosen.neighbours) say_approximation(*chosen.neighbours);
  if (chosen.of_optimum)
    say_optimality(*chosen.of_optimum,
                   parse_strategy(options.flags.spec.strategy).last().entry->scores() ? "score" : "worth");
  for (const std::string& sentence : chosen.remarks) say(sentence);
  if (!options.out.empty()) write_csv(options.out, chosen);
  if (options.common.json)
    print_json("select", std::move(about), "picks", chosen.picks.size(),
               [&](std::size_t i) { return as_json(chosen, i); });
  else if (options.out.empty())
    write_csv("-", chosen);
  if (!options.checkpoint.empty()) remove_checkpoint(options.checkpoint);
}

/// The rows of this rank, numbered as they are in all shards.
batch pick_over_ranks(select_options& options, communicator& all, nlohmann::ordered_json& about) {
  input_files files(options.common.memory);
  if (options.common.threads == 0) options.common.threads = threads_of_rank();
  const where on = options.common.on(files.pages());
  shard_files shards(options.shard, all);
  require_patterns(options.flags);
  files.lie_in(shards);
  const query_inputs inputs(options.flags, options.common.seed, files);
  std::vector<index_t> numbers(std::size_t(inputs.pool().rows));
  std::iota(numbers.begin(), numbers.end(), shards.first_row());
  progress line("picking", double(options.flags.spec.batch.value_or(0)));
  const query_run how{.ceiling = options.common.memory,
                      .held = inputs.copied_bytes() + numbers.size() * sizeof(index_t),
                      .checkpoint = options.checkpoint,
                      .resumed =
                          [&](const batch_state& s) {
                            if (all.rank() == 0)
                              say("going on from " + std::to_string(s.picks.size()) + " picks");
                          },
                      .advanced =
                          [&](const batch_state& s) {
                            if (all.rank() == 0) line.at(double(s.picks.size()));
                          }};
  batch chosen = poolwise::run(on, {inputs.pool(), numbers}, inputs.spec(), all, how, words_of("select"));
  require_unchanged_files("select");
  about = as_json(chosen, inputs.spec(), shards.all_rows());
  const cluster_traffic& went = all.traffic();
  about["cluster"] = {{"ranks", all.size()},
                      {"shards", shards.count()},
                      {"rounds", went.rounds},
                      {"bytes", went.bytes_sent + went.bytes_received}};
  return chosen;
}

void run_over_ranks(select_options& options) {
  if (options.flags.embeddings.empty() && options.flags.model.logits.empty() &&
      options.flags.model.probs.empty() && options.flags.model.committee.empty() &&
      options.flags.model.committee_probs.empty() && options.flags.model.predictions.empty() &&
      options.flags.model.label_logits.empty() && options.flags.model.label_probs.empty())
    options.flags.embeddings = options.shard;
  if (options.common.dry_run)
    throw usage_error(
        "--dry-run and --shard: what a rank would take is not known here; call `poolwise plan` with "
        "the files of one shard");
  const auto all = launched_communicator();
  all->set_deadline(std::chrono::milliseconds(std::int64_t(options.deadline * 1e3)));
  try {
    nlohmann::ordered_json about;
    const batch chosen = together(*all, [&] { return pick_over_ranks(options, *all, about); });
    if (all->rank() != 0) return;
    if (all->size() > 1)
      say(std::to_string(all->size()) + " ranks, " + std::to_string(all->traffic().rounds) + " rounds, " +
          human_bytes(double(all->traffic().bytes_sent + all->traffic().bytes_received)) + " through rank 0");
    show(options, chosen, std::move(about));
  } catch (const cluster_error& end) {
    // All ranks have the sentence: one says it, or all that are left.
    if (all->rank() != 0 && end.why != cluster_failure::lost) throw ended_with{code_of_ranks(end.why)};
    throw;
  }
}

void run(select_options& options) {
  if (!options.shard.empty()) return run_over_ranks(options);
  if (!options.checkpoint.empty()) checkpoint::check_place(options.checkpoint);
  input_files files(options.common.memory);
  const where on = options.common.on(files.pages());
  const query_inputs inputs(options.flags, options.common.seed, files);
  const query asked = prepare(inputs.spec(), inputs.pool(), words_of("select"));
  const index_t picks = asked.limit().picks;
  progress line("picking", double(picks));
  const query_run how{
      .ceiling = options.common.memory,
      .held = inputs.copied_bytes(),
      .checkpoint = options.checkpoint,
      .resumed =
          [](const batch_state& s) { say("going on from " + std::to_string(s.picks.size()) + " picks"); },
      .advanced = [&](const batch_state& s) { line.at(double(s.picks.size())); }};
  if (options.common.dry_run) {
    const query_plan needed = plan_within(on, asked, how);
    return print_dry_run(options.common, "select",
                         "pick up to " + std::to_string(picks) + " of " + std::to_string(inputs.pool().rows) +
                             " rows by " + asked.what().name + ", with up to " +
                             human_bytes(double(needed.bytes)) + " of memory",
                         {{"strategy", asked.what().name},
                          {"rows", inputs.pool().rows},
                          {"most_picks", picks},
                          {"bytes", needed.bytes}});
  }
  const batch chosen = poolwise::run(on, asked, how);
  require_unchanged_files("select");
  show(options, chosen, as_json(chosen, asked.spec(), asked.pool().rows));
}

}  // namespace

void add_select(CLI::App& app) {
  auto options = std::make_shared<select_options>();
  CLI::App* command = app.add_subcommand("select", "Pick the batch to label next, within a budget");
  options->flags.add_to(*command);
  command
      ->add_option("--out", options->out,
                   "The picks as CSV: rank,row,id,score,cost,reason, and a column for each score by which an "
                   "earlier stage kept them and for each further cost (default: standard output)")
      ->type_name("FILE.csv");
  command
      ->add_option("--checkpoint", options->checkpoint,
                   "Keep the picks so far in this file; a run that was ended goes on from it. Gone at the end. "
                   "Scores alone and typiclust pick at once, and keep nothing")
      ->type_name("FILE");
  command
      ->add_option(
          "--shard", options->shard,
          "The pool lies in many files, such as 'part-*.npy' (quoted): shard after shard, in the order of "
          "their names. Options with something for each row name their files with the same *; without any, "
          "these are the embeddings. Under mpirun each rank reads some of them, and rank 0 prints the batch")
      ->type_name("FILES");
  add_number(*command, "--deadline", options->deadline, 0.1, 1e6,
             "Seconds that ranks wait for one that does not answer, before all end")
      ->capture_default_str();
  add_common(*command, options->common);
  command->footer(
      "Example:\n"
      "  poolwise select --logits logits.npy --embeddings embeddings.npy --labelled labelled.npy \\\n"
      "      --strategy margin/10x/kcenter --batch 100 --out picks.csv\n"
      "  mpirun -np 8 poolwise select --shard 'part-*.npy' --strategy kcenter --batch 1000 --out picks.csv");
  command->callback([options] { run(*options); });
}

}  // namespace poolwise::cli
