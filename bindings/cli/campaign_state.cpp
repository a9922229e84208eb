// poolwise campaign status, evaluate, forecast, stop, verify, proof: where it stands, and whether that is true.
#include <cmath>

#include "campaign.hpp"
#include "poolwise/campaign/audit.hpp"
#include "poolwise/campaign/holdout.hpp"
#include "poolwise/campaign/outlook.hpp"
#include "poolwise/campaign/page.hpp"
#include "poolwise/campaign/rounds.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise::cli {
namespace {

using ordered = nlohmann::ordered_json;

std::string share_text(const share_estimate& share) {
  return share.value ? percent(*share.value) + " (" + percent(share.bounds.low) + " to " +
                           percent(share.bounds.high) + ", " + std::to_string(share.items) + " items)"
                     : "no items";
}

ordered as_json(const share_estimate& share) {
  return {{"value", share.value ? ordered(*share.value) : ordered()},
          {"low", share.bounds.low},
          {"high", share.bounds.high},
          {"items", share.items}};
}

ordered as_json(const std::optional<pool_estimate>& one) {
  if (!one) return {};
  return {{"value", one->value},
          {"low", one->bounds.low},
          {"high", one->bounds.high},
          {"standard_error", one->standard_error},
          {"effective_labels", one->effective_labels},
          {"uniform_labels", one->uniform_labels}};
}

ordered as_json(const model_audit& audit) {
  return {{"round", audit.round},
          {"model", audit.model},
          {"available", audit.available},
          {"draws", audit.draws},
          {"labelled", audit.labelled},
          {"accuracy", as_json(audit.accuracy)},
          {"assisted", as_json(audit.assisted)},
          {"missing", audit.missing}};
}

std::string estimate_text(const pool_estimate& one) {
  return percent(one.value) + " (" + percent(one.bounds.low) + " to " + percent(one.bounds.high) + ")";
}

// "round 3: 75.0 % (41.0 % to 92.6 %) by 8 draws, 8.0 effective labels; 78.1 % (...) with the model's
// confidence"
std::string audit_text(const model_audit& audit) {
  std::string text = "round " + std::to_string(audit.round) + ": ";
  if (!audit.accuracy) return text + audit.missing;
  char labels[24];
  std::snprintf(labels, sizeof labels, "%.1f", audit.accuracy->effective_labels);
  text += estimate_text(*audit.accuracy) + " by " + std::to_string(audit.draws) + " draws, " + labels +
          " effective labels";
  if (audit.assisted) text += "; " + estimate_text(*audit.assisted) + " with the model's confidence";
  return text;
}

// "1,200 of 5,000 cents"
std::string of_limit(std::int64_t used, const std::optional<std::int64_t>& limit, const std::string& unit) {
  return std::to_string(used) + (limit ? " of " + std::to_string(*limit) : "") + " " + unit;
}

void run_status(const campaign_options& options) {
  const campaign of = options.open(access::read);
  const campaign_settings& settings = of.settings();
  const auto [counts, last, head, verdict, audit] = of.log().read([&](const tables& seen) {
    return std::tuple(seen.counts(), latest_holdout(seen), seen.head(), judge(seen, settings),
                      latest_model_audit(seen, settings));
  });
  const tally& all = counts.total;
  if (options.common.json) {
    ordered body{{"name", settings.name},
                 {"rounds", counts.rounds},
                 {"picked", all.picked},
                 {"labelled", all.labelled},
                 {"outstanding", all.outstanding},
                 {"excluded", all.excluded},
                 {"cost", all.cost},
                 {"cost_outstanding", all.cost_outstanding},
                 {"stop", verdict.holds},
                 {"events", counts.events},
                 {"head", to_text(head)}};
    if (last) {
      body["evaluation"] = {
          {"round", last->round}, {"labels", last->labels}, {"on", last->on}, {"accuracy", as_json(last->all)}};
      for (const auto& [name, share] : last->slices) body["evaluation"]["slices"][name] = as_json(share);
      for (const auto& [name, share] : last->measures) body["evaluation"]["measures"][name] = as_json(share);
    }
    if (audit) body["on_the_pool"] = as_json(*audit);
    return print_json("campaign.status", body);
  }
  std::string text = (settings.name.empty() ? options.folder : settings.name) + ": " +
                     std::to_string(counts.rounds) + (counts.rounds == 1 ? " round, " : " rounds, ") +
                     std::to_string(all.labelled) + " items labelled, " + std::to_string(all.outstanding) +
                     " handed out and not yet labelled\n";
  text += "spent   " + of_limit(all.cost, settings.total.money, settings.unit) + ", " +
          of_limit(all.picked, settings.total.labels, "labels") + "\n";
  if (last) {
    const auto line = [&](const std::string& name, const share_estimate& share,
                          const std::optional<double>& target) {
      text += name + "  " + share_text(share) +
              (target ? share.value && *share.value >= *target ? ", target " + percent(*target) + " is met"
                                                               : ", target " + percent(*target)
                      : "") +
              "\n";
    };
    text += "after " + std::to_string(last->labels) + " labels, on " + printable(last->on) + ":\n";
    line("  accuracy", last->all, settings.target);
    for (const slice_settings& one : settings.slices)
      if (const auto found = last->slices.find(one.name); found != last->slices.end())
        line("  " + one.name, found->second, one.target);
    for (const measure_target& one : settings.targets)
      if (const auto found = last->measures.find(one.measure()); found != last->measures.end())
        line("  " + one.measure(), found->second, one.at_least);
  }
  if (audit) text += "accuracy on the pool, " + audit_text(*audit) + "\n";
  text += "ledger  " + std::to_string(counts.events) + " events, head " + to_text(head) + "\n";
  text += verdict.holds         ? "stop: " + verdict.sentence + "\n"
          : counts.rounds == 0  ? std::string("next: `poolwise campaign query`\n")
          : all.outstanding > 0 ? "next: `poolwise campaign ingest` the labels of what was handed out\n"
          : last && last->labels == all.labelled ? "next: `poolwise campaign query`\n"
                                                 : "next: fit the model, then `poolwise campaign evaluate`\n";
  write_text("-", text);
}

struct evaluate_options : campaign_options {
  std::string logits, probs, holdout, name;
  index_t window = 0;
  bool active = false;
};

/// What the random picks of each round say of the model that was asked then.
void run_active_evaluation(const evaluate_options& options) {
  const campaign of = options.open(access::read);
  const auto audits = of.log().read([&](const tables& seen) { return audit_models(seen, of.settings()); });
  if (options.common.json) {
    ordered rounds = ordered::array();
    for (const model_audit& one : audits) rounds.push_back(as_json(one));
    return print_json("campaign.evaluate", {{"rounds", rounds}});
  }
  std::string text =
      audits.empty() ? "there is no round yet\n" : "accuracy on the pool, by the items drawn at random\n";
  for (const model_audit& one : audits) text += "  " + audit_text(one) + "\n";
  write_text("-", text);
}

void run_evaluate(const evaluate_options& options) {
  if (options.active) return run_active_evaluation(options);
  if (options.holdout.empty())
    throw usage_error("campaign evaluate: give the held-out items (--holdout), or ask for --active");
  if (options.logits.empty() == options.probs.empty())
    throw usage_error(
        "campaign evaluate: give the model's outputs on the held-out items (--logits or --probs)");
  campaign of = options.open();
  holdout_request request;
  request.outputs.part = options.logits.empty() ? "probs" : "logits";
  request.outputs.file = options.logits.empty() ? options.probs : options.logits;
  request.items = options.holdout;
  request.name = options.name;
  request.window = options.window;
  const holdout_result result = as_input([&] { return evaluate(of, request, options.now_ms()); });
  if (options.common.json) {
    ordered body{{"round", result.round},
                 {"labels", result.labels},
                 {"on", result.on},
                 {"accuracy", as_json(result.all)},
                 {"log_loss", result.log_loss},
                 {"brier", result.brier},
                 {"calibration_error", result.calibration_error},
                 {"temperature", result.temperature ? ordered(*result.temperature) : ordered()}};
    for (const auto& [name, share] : result.slices) body["slices"][name] = as_json(share);
    for (const auto& [name, share] : result.measures) body["measures"][name] = as_json(share);
    for (const window_estimate& one : result.windows) {
      body["windows"].push_back(as_json(one));
      body["windows"].back()["first"] = one.first;
    }
    return print_json("campaign.evaluate", body);
  }
  std::string text =
      "accuracy " + share_text(result.all) + " after " + std::to_string(result.labels) + " labels\n";
  for (const auto* figures : {&result.slices, &result.measures})
    for (const auto& [name, share] : *figures) text += "  " + name + " " + share_text(share) + "\n";
  for (const window_estimate& one : result.windows)
    text += "  from item " + std::to_string(one.first) + " on " + share_text(one) + "\n";
  write_text("-", text);
}

/// What `forecast` says.
struct prospect {
  outlook ahead;
  std::string saved;
  std::vector<type_effort> efforts;
  fitted_tariffs fitted;
};

ordered as_json(const prospect& found) {
  const auto& [ahead, saved, efforts, fitted] = found;
  const auto range = [](const forecast_value& one) {
    return ordered{{"value", one.value}, {"low", one.low}, {"high", one.high}};
  };
  ordered body{
      {"labels", ahead.labels}, {"missing", ahead.missing}, {"saved", saved}, {"targets", ordered::array()}};
  for (const target_outlook& one : ahead.targets) {
    ordered target{{"name", one.name}, {"at_least", one.at_least}, {"met", one.met()}};
    if (one.labels) {
      target["within_reach"] = one.labels->within_reach();
      target["chance"] = one.labels->chance;
      if (one.labels->labels) target["labels"] = *one.labels->labels;
      if (one.labels->low) target["low"] = *one.labels->low;
      if (one.labels->high) target["high"] = *one.labels->high;
    }
    if (one.effort.money) target["money"] = range(*one.effort.money);
    if (one.effort.days) target["days"] = range(*one.effort.days);
    body["targets"].push_back(std::move(target));
  }
  for (const type_effort& one : efforts) {
    ordered effort{{"type", one.type}, {"labels", one.labels}};
    if (one.cost) effort["cost"] = range(*one.cost);
    if (one.time) effort["seconds"] = range(one.time->mean);
    body["efforts"].push_back(std::move(effort));
  }
  for (const auto& [key, types] : {std::pair{"price", &fitted.price}, {"took", &fitted.seconds}})
    for (const fitted_cost& one : *types)
      body["fitted"][key].push_back({{"type", one.type},
                                     {"labels", one.labels},
                                     {"base", one.base},
                                     {"per_length", one.per_length},
                                     {"spread", one.spread}});
  body["fitted"]["sentences"] = fitted.sentences;
  body["falls"] = ahead.falls;
  for (const outlook::past_forecast& one : ahead.past)
    body["past"].push_back({{"labels", one.labels}, {"said", range(one.said)}, {"came", one.came}});
  return body;
}

void run_forecast(const campaign_options& options) {
  const campaign of = options.open(access::read);
  const auto found = of.log().read([&](const tables& seen) {
    return prospect{look_ahead(seen, of.settings()), saving_text(saving_so_far(seen, of.settings())),
                    efforts_by_type(label_records(seen)), fit_tariffs(seen, of.settings())};
  });
  if (options.common.json) return print_json("campaign.forecast", as_json(found));
  const auto& [ahead, saved, efforts, fitted] = found;
  std::string text;
  const auto whole = [](double x) {
    return std::isfinite(x) ? std::to_string(index_t(std::llround(x))) : std::string("no end");
  };
  for (const target_outlook& one : ahead.targets) {
    text += one.name + " of " + percent(one.at_least) + ": ";
    if (one.met()) {
      text += "met\n";
    } else if (!one.labels) {
      text += ahead.missing.empty() ? "too few evaluations\n" : ahead.missing + "\n";
    } else if (!one.labels->within_reach()) {
      text += "out of reach: the curve flattens below it\n";
    } else {
      text += "at " +
              (one.labels->labels ? whole(*one.labels->labels) : std::string("more than the pool has")) +
              " labels (" + whole(one.labels->low.value_or(0)) + " to " +
              whole(one.labels->high.value_or(INFINITY)) + ")";
      if (one.effort.money)
        text += ", " + whole(one.effort.money->value) + " " + of.settings().unit + " from now on (" +
                whole(one.effort.money->low) + " to " + whole(one.effort.money->high) + ")";
      if (one.effort.days) text += ", " + whole(one.effort.days->value) + " days";
      text += "\n";
    }
  }
  if (ahead.targets.empty()) text += "campaign.toml names no target\n";
  text += saved + "\n";
  for (const type_effort& one : efforts) {
    text += "a label" + (one.type.empty() ? "" : " of " + printable(one.type)) + ": " +
            std::to_string(one.labels) + " so far";
    char figures[96];
    if (one.cost && of.settings().price.given()) {
      std::snprintf(figures, sizeof figures, ", %.2f %s", one.cost->value, of.settings().unit.c_str());
      text += figures;
    }
    if (one.time) {
      std::snprintf(figures, sizeof figures, ", %.1f s (%.1f to %.1f)", one.time->mean.value,
                    one.time->mean.low, one.time->mean.high);
      text += figures;
    }
    text += "\n";
  }
  for (const std::string& sentence : fitted.sentences) text += sentence + "\n";
  if (!ahead.falls.empty()) text += ahead.falls + "\n";
  for (const outlook::past_forecast& one : ahead.past)
    text += "  for " + std::to_string(one.labels) + " labels " + percent(one.said.low) + " to " +
            percent(one.said.high) + " was to be forecast, " + percent(one.came) + " came\n";
  write_text("-", text);
}

struct stop_options : campaign_options {
  bool record = false;
};

void run_stop(const stop_options& options) {
  campaign of = options.open(options.record ? access::read_write : access::read);
  const stop_verdict verdict = judge(of, options.record, options.now_ms());
  if (options.common.json) {
    print_json("campaign.stop", {{"stop", verdict.holds}, {"verdict", ordered::parse(to_json(verdict))}});
  } else {
    std::string text = (verdict.holds ? "stop: " : "go on: ") + verdict.sentence + "\n";
    for (const stop_verdict& part : verdict.parts) text += "  " + part.rule + ": " + part.sentence + "\n";
    write_text("-", text);
  }
  if (verdict.holds) throw ended_with{stop_rule_met};
}

struct verify_options : campaign_options {
  std::string head;
};

void run_verify(const verify_options& options) {
  const campaign of = options.open(access::read);
  const auto known = options.head.empty() ? std::nullopt : std::optional(parse_tree_head(options.head));
  const verification found = of.log().verify(known);
  if (options.common.json)
    print_json("campaign.verify", {{"sound", found.sound},
                                   {"event", found.event ? ordered(*found.event) : ordered()},
                                   {"why", found.why},
                                   {"head", to_text(found.head)}});
  else if (found.sound)
    write_text("-",
               "sound: " + std::to_string(found.head.size) + " events, head " + to_text(found.head) + "\n");
  if (!found.sound)
    throw format_error("campaign: the ledger is not what it was" +
                       (found.event ? " from event " + std::to_string(*found.event) + " on" : std::string()) +
                       ": " + found.why);
}

struct proof_options : campaign_options {
  std::string item;
};

void run_proof(const proof_options& options) {
  const campaign of = options.open(access::read);
  const item_record known = of.log().read([&](const tables& seen) { return seen.item(options.item); });
  std::vector<index_t> events = known.labels;
  if (known.decision) events.insert(events.begin(), *known.decision);
  if (known.excluded) events.push_back(*known.excluded);
  if (events.empty())
    throw value_error("campaign: the ledger knows nothing of the item " + printable(options.item));
  ordered proofs = ordered::array();
  std::string text;
  for (const index_t number : events) {
    const inclusion_proof proof = of.log().prove(number);
    proofs.push_back(ordered::parse(to_json(proof)));
    text += proof.line + "\n";
    for (const digest& one : proof.path) text += "  " + to_text(one) + "\n";
    text += "  head " + to_text(proof.head) + "\n";
  }
  if (options.common.json) return print_json("campaign.proof", {{"item", options.item}, {"proofs", proofs}});
  write_text("-", text);
}

struct report_options : campaign_options {
  std::string out;
};

void run_report(const report_options& options) {
  campaign of = options.open(access::read);
  const std::string file = options.out.empty() ? (of.folder() / "report.html").string() : options.out;
  const campaign_report page = report_of(of);
  write_text(file, render_html(page, find_plotly()));
  if (options.common.json)
    return print_json("campaign.report", {{"file", file}, {"status", status_sentence(page)}});
  if (options.out != "-") write_text("-", status_sentence(page) + "\n" + file + "\n");
}

}  // namespace

void add_campaign_state(CLI::App& campaign) {
  std::string rules = "\nRules that campaign.toml may join by any(...) and all(...):";
  for (const std::string& one : stop_rule_words()) rules += "\n  " + one;
  add_verb<campaign_options>(
      campaign, "status", "Where the campaign stands, what it cost, what is next",
      [](CLI::App&, campaign_options&) {}, run_status, "poolwise campaign status boots");
  add_verb<evaluate_options>(
      campaign, "evaluate", "Measure a model on held-out items, by slice, and record it",
      [](CLI::App& verb, evaluate_options& options) {
        verb.add_option("--logits", options.logits, "Its outputs before softmax, [held-out items, classes]")
            ->type_name("ARRAY");
        verb.add_option("--probs", options.probs, "Or class probabilities")->type_name("ARRAY");
        verb.add_option("--holdout", options.holdout,
                        "CSV or JSONL with a column `label`, a line for each row of the outputs; and the "
                        "slices' column")
            ->type_name("FILE");
        verb.add_flag("--active", options.active,
                      "Instead, the accuracy on the pool of each round's model, from the items drawn at random "
                      "and their stored probabilities (LURE, AIPW); nothing is recorded");
        add_number(verb, "--window", options.window, index_t{1}, std::numeric_limits<index_t>::max(),
                   "Also the accuracy of so many items at a time, in the order of the file");
        verb.add_option("--name", options.name, "Of the held-out set (default: the file's)")->type_name("NAME");
        add_time(verb, options);
      },
      run_evaluate, "poolwise campaign evaluate boots --logits holdout.npy --holdout holdout.csv");
  add_verb<campaign_options>(
      campaign, "forecast", "Labels, money and days to each target, from the learning curve",
      [](CLI::App&, campaign_options&) {}, run_forecast, "poolwise campaign forecast boots");
  add_campaign_drift(campaign);
  add_verb<stop_options>(
      campaign, "stop", "Whether campaign.toml's rule says to stop, and why; exit code 4 if it does",
      [](CLI::App& verb, stop_options& options) {
        verb.add_flag("--record", options.record, "Record the verdict");
        add_time(verb, options);
      },
      run_stop, "poolwise campaign stop boots" + rules)
      ->alias("stop?");
  add_verb<report_options>(
      campaign, "report", "Write a page for a browser: where it stands, what it cost, when it stops, and why",
      [](CLI::App& verb, report_options& options) {
        verb.add_option("--out", options.out, "The file (default: FOLDER/report.html)")->type_name("FILE.html");
      },
      run_report, "poolwise campaign report boots");
  add_verb<verify_options>(
      campaign, "verify", "Check every event of the ledger against its hash tree",
      [](CLI::App& verb, verify_options& options) {
        verb.add_option("--head", options.head, "A head that was kept elsewhere, as status prints it")
            ->check(read_by(parse_tree_head))
            ->type_name("SIZE:HEX");
      },
      run_verify, "poolwise campaign verify boots --head 17:b2a8...");
  add_verb<proof_options>(
      campaign, "proof", "All that was decided about an item, and the proof that it stands in the ledger",
      [](CLI::App& verb, proof_options& options) {
        verb.add_option("ITEM", options.item, "Its id")->required()->type_name("ITEM");
      },
      run_proof, "poolwise campaign proof boots img_0017 --json");
}

}  // namespace poolwise::cli
