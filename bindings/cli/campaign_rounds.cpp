// poolwise campaign plan, query, replay: the rounds.
#include <algorithm>
#include <cmath>

#include "campaign.hpp"
#include "inputs.hpp"
#include "poolwise/campaign/outlook.hpp"
#include "poolwise/campaign/rounds.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise::cli {
namespace {

struct query_options : campaign_options {
  model_flags model;
  std::optional<index_t> batch;
  std::string strategy, hypothesis, reference;
  bool dry_run = false;
};

std::vector<part_file> parts_of(const model_flags& model) {
  std::vector<part_file> arrays;
  const auto add = [&](const char* part, const std::string& files) {
    for (const std::string& file : listed(files)) arrays.push_back({.part = part, .file = file});
  };
  add("logits", model.logits);
  add("probs", model.probs);
  add("predictions", model.predictions);
  add("label-logits", model.label_logits);
  add("label-probs", model.label_probs);
  for (const std::string& file : model.committee) add("committee", file);
  for (const std::string& file : model.committee_probs) add("committee-probs", file);
  for (const std::string& file : model.targets) add("targets", file);
  return arrays;
}

void add_query_options(CLI::App& verb, query_options& options) {
  options.model.add_to(verb);
  for (const char* const name : {"--logits", "--probs"}) {
    CLI::Option* const option = verb.get_option(name);
    option->description(option->get_description() +
                        "; or files whose rows follow each other: old.npy,new.npy. Of files that have not "
                        "changed since the last round nothing is read");
  }
  verb.add_option("--strategy", options.strategy,
                  "Of this round, instead of campaign.toml's: kcenter or typiclust where there is no model yet")
      ->check(strategy_name())
      ->type_name("STRATEGY");
  add_number(verb, "--batch", options.batch, index_t{1}, std::numeric_limits<index_t>::max(),
             "Items of this round, instead of campaign.toml's");
  verb.add_option("--hypothesis", options.hypothesis, "Of this round, instead of campaign.toml's")
      ->type_name("TEXT");
  verb.add_option("--reference", options.reference,
                  "What the model is called elsewhere: a commit, an MLflow version")
      ->type_name("TEXT");
  add_device(verb, options.common);
  add_time(verb, options);
}

round_request request_of(const query_options& options) {
  return {.model = parts_of(options.model),
          .reference = options.reference,
          .hypothesis = options.hypothesis,
          .strategy = options.strategy,
          .batch = options.batch,
          .how = {.ceiling = options.common.memory}};
}

nlohmann::ordered_json as_json(const batch_record& round) {
  return {
      {"round", round.round},
      {"pool", round.pool},
      {"model", round.model},
      {"guideline", round.guideline},
      {"strategy", round.spec.strategy},
      {"picks", round.picks},
      {"audit", round.audit},
      {"available", round.available},
      {"cost", round.cost},
      {"seconds", round.seconds},
      {"of_optimum", round.of_optimum ? nlohmann::ordered_json(*round.of_optimum) : nlohmann::ordered_json()},
      {"remarks", round.remarks}};
}

std::string in_words(const batch_record& round, const campaign_settings& settings) {
  std::string text = std::to_string(round.picks) + " items for " + std::to_string(round.cost) + " " +
                     settings.unit + ": " + std::to_string(round.picks - round.audit) + " by " +
                     round.spec.strategy + ", " + std::to_string(round.audit) + " drawn at random";
  if (round.of_optimum && *round.of_optimum < 1)
    text += "; the picks have at least " + percent(std::floor(*round.of_optimum * 1e3) / 1e3) +
            " of the highest total score that the budget buys";
  return text;
}

void run_query(const query_options& options) {
  campaign of = options.open();
  const where on = options.common.on();
  round_request request = request_of(options);
  progress line("picking", double(options.batch.value_or(*of.settings().query.batch)));
  request.how.advanced = [&](const batch_state& state) { line.at(double(state.picks.size())); };
  const handed_out batch = as_input([&] {
    return options.dry_run ? next_round(of, on, request, options.now_ms())
                           : hand_out(of, on, request, options.now_ms());
  });
  for (const std::string& remark : batch.round.remarks) say(remark);
  if (options.common.json) {
    nlohmann::ordered_json body = as_json(batch.round);
    if (options.dry_run) body["dry_run"] = true;
    body["read"] = {{"rows_scored", batch.reading.rows_scored},
                    {"bytes", batch.reading.bytes_read},
                    {"bytes_of_kept_scores", batch.reading.bytes_kept}};
    body["items"] = nlohmann::ordered_json::array();
    for (const picked_item& one : batch.items)
      body["items"].push_back({{"item", one.item},
                               {"row", one.row},
                               {"arm", one.arm},
                               {"cost", one.cost},
                               {"seconds", one.seconds}});
    return print_json("campaign.query", body);
  }
  if (options.dry_run) return say("would hand out " + in_words(batch.round, of.settings()));
  write_text("-", "round " + std::to_string(batch.round.round) + ": " + in_words(batch.round, of.settings()) +
                      "\n" + batch_file(of.folder(), batch.round.round).string() + "\n");
}

std::string range_text(const std::optional<double>& low, const std::optional<double>& high) {
  const auto number = [](const std::optional<double>& x) {
    return x ? std::to_string(index_t(std::llround(*x))) : std::string("no end");
  };
  return number(low) + " to " + number(high);
}

void run_plan(const query_options& options) {
  campaign of = options.open();
  const handed_out next =
      as_input([&] { return next_round(of, options.common.on(), request_of(options), options.now_ms()); });
  const outlook ahead = of.log().read([&](const tables& seen) { return look_ahead(seen, of.settings()); });
  const std::string& unit = of.settings().unit;
  std::map<std::string, index_t> by_slice;
  for (const picked_item& one : next.items)
    if (!one.slice.empty()) ++by_slice[one.slice];
  if (options.common.json) {
    nlohmann::ordered_json body{
        {"next", as_json(next.round)}, {"slices", by_slice}, {"targets", nlohmann::ordered_json::array()}};
    for (const target_outlook& one : ahead.targets) {
      nlohmann::ordered_json target{{"name", one.name}, {"at_least", one.at_least}, {"met", one.met()}};
      if (one.labels && one.labels->labels) target["labels"] = *one.labels->labels;
      if (one.effort.money) target["money"] = one.effort.money->value;
      body["targets"].push_back(std::move(target));
    }
    return print_json("campaign.plan", body);
  }
  std::string text =
      "round " + std::to_string(next.round.round) + " would be " + in_words(next.round, of.settings()) + "\n";
  for (const auto& [slice, picks] : by_slice) text += "  " + slice + ": " + std::to_string(picks) + "\n";
  for (const std::string& remark : next.round.remarks) text += "  " + remark + "\n";
  for (const target_outlook& one : ahead.targets) {
    text += one.name + " of at least " + percent(one.at_least) + ": ";
    if (one.met())
      text += "is met, " + percent(*one.now->value) + "\n";
    else if (!one.labels)
      text += ahead.missing + "\n";
    else if (!one.labels->within_reach())
      text += "is not within reach of this pool\n";
    else
      text += "at " + range_text(one.labels->low, one.labels->high) + " labels" +
              (one.effort.money
                   ? ", for " + range_text(one.effort.money->low, one.effort.money->high) + " " + unit + " more"
                   : "") +
              "\n";
  }
  write_text("-", text);
}

struct replay_options : campaign_options {
  index_t round = 1;
};

void run_replay(const replay_options& options) {
  campaign of = options.open(access::read);
  const replayed result = as_input([&] { return replay(of, options.common.on(), options.round); });
  if (options.common.json)
    print_json("campaign.replay", {{"round", options.round},
                                   {"identical", result.difference.empty()},
                                   {"difference", result.difference},
                                   {"picks", result.again.items.size()}});
  else if (result.difference.empty())
    write_text("-", "round " + std::to_string(options.round) +
                        " is the same again: " + std::to_string(result.again.items.size()) + " items\n");
  if (!result.difference.empty())
    throw conflict_error("round " + std::to_string(options.round) +
                         " is not the same again: " + result.difference);
}

}  // namespace

void add_campaign_rounds(CLI::App& campaign) {
  add_verb<query_options>(campaign, "plan", "What the next round would be, and what the targets will take",
                          add_query_options, run_plan, "poolwise campaign plan boots --logits logits.npy");
  add_verb<query_options>(
      campaign, "query", "Hand out the next batch",
      [](CLI::App& verb, query_options& options) {
        add_query_options(verb, options);
        verb.add_flag("--dry-run", options.dry_run, "Say what would be handed out, and record nothing");
      },
      run_query, "poolwise campaign query boots --logits logits.npy");
  add_verb<replay_options>(
      campaign, "replay", "Make the batch of a round again, and compare",
      [](CLI::App& verb, replay_options& options) {
        add_number(verb, "ROUND", options.round, index_t{1}, std::numeric_limits<index_t>::max(), "Its number")
            ->required();
        add_device(verb, options.common);
      },
      run_replay, "poolwise campaign replay boots 3");
}

}  // namespace poolwise::cli
