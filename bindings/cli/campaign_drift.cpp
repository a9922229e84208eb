// poolwise campaign drift: whether rounds are like those before, and how picks and labels divide.
#include <cstdio>

#include "campaign.hpp"
#include "poolwise/campaign/audit.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise::cli {
namespace {

using ordered = nlohmann::ordered_json;

struct drift_options : campaign_options {
  double alpha = 0.05;
};

ordered as_json(const drift_line& line) {
  return {{"name", line.name},
          {"test", line.test},
          {"statistic", line.statistic},
          {"p", line.p},
          {"stability", line.stability ? ordered(*line.stability) : ordered()},
          {"adjusted", line.adjusted},
          {"drifted", line.drifted}};
}

ordered as_json(const report_distribution& one) {
  ordered groups = ordered::array();
  for (const auto& group : one.groups)
    groups.push_back({{"name", group.name},
                      {"pool", group.pool ? ordered(*group.pool) : ordered()},
                      {"picked", group.picked},
                      {"labelled", group.labelled}});
  return {{"name", one.name},
          {"test", one.test},
          {"picked_p", one.picked_p ? ordered(*one.picked_p) : ordered()},
          {"labelled_p", one.labelled_p ? ordered(*one.labelled_p) : ordered()},
          {"groups", groups}};
}

std::string number_text(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", x);
  return text;
}

std::string drift_text(const round_drift& round) {
  std::string text = "round " + std::to_string(round.round) + ": ";
  if (!round.missing.empty()) return text + round.missing + "\n";
  text += round.report.drifted() ? "is not like the rounds before" : "is like the rounds before";
  text += " (drift is a p of at most " + number_text(round.report.alpha) + ")\n";
  for (const drift_line& line : round.report.lines)
    text += "  " + line.name + " (" + line.test + "): " + number_text(line.statistic) + ", p " +
            number_text(line.adjusted) + (line.stability ? ", PSI " + number_text(*line.stability) : "") +
            (line.drifted ? ", drift\n" : "\n");
  if (!round.remark.empty()) text += "  features were left out: " + round.remark + "\n";
  if (round.scores)
    text += "  confidence of the model (ks): " + number_text(round.scores->statistic) + ", PSI " +
            number_text(round.scores->stability.value_or(0)) + ", p " + number_text(round.scores->p) +
            "; it moves with the model\n";
  return text;
}

void run_drift(const drift_options& options) {
  campaign of = options.open(access::read);
  const auto [rounds, distributions] = as_input([&] {
    return of.log().read([&](const tables& seen) {
      return std::pair(drift_by_round(of, seen, options.alpha), distributions_of(of, seen));
    });
  });
  if (options.common.json) {
    ordered body{{"alpha", options.alpha}, {"rounds", ordered::array()}, {"distributions", ordered::array()}};
    for (const round_drift& one : rounds) {
      ordered round{{"round", one.round},
                    {"draws", one.draws},
                    {"before", one.before},
                    {"missing", one.missing},
                    {"remark", one.remark},
                    {"alpha", one.report.alpha},
                    {"drifted", one.report.drifted()},
                    {"lines", ordered::array()}};
      for (const drift_line& line : one.report.lines) round["lines"].push_back(as_json(line));
      if (one.scores) round["scores"] = as_json(*one.scores);
      body["rounds"].push_back(std::move(round));
    }
    for (const report_distribution& one : distributions) body["distributions"].push_back(as_json(one));
    return print_json("campaign.drift", body);
  }
  std::string text;
  for (const round_drift& one : rounds) text += drift_text(one);
  if (rounds.empty()) text += "drift is looked for from the second round on\n";
  for (const report_distribution& one : distributions) {
    if (!one.picked_p && !one.labelled_p) continue;
    text += "by " + one.name + ": ";
    if (one.picked_p) text += "picked like the pool, p " + number_text(*one.picked_p) + "; ";
    text += one.picked_p ? "labelled like the pool, p "
                         : "labels of the strategy's picks like those drawn at random, p ";
    text += (one.labelled_p ? number_text(*one.labelled_p) : "unknown") + "\n";
  }
  write_text("-", text);
}

}  // namespace

void add_campaign_drift(CLI::App& campaign) {
  add_verb<drift_options>(
      campaign, "drift",
      "Whether rounds are like those before, by the items drawn at random; how picks and labels divide",
      [](CLI::App& verb, drift_options& options) {
        add_number(verb, "--alpha", options.alpha, 1e-6, 0.5, "Chance of a false alarm in any round");
      },
      run_drift, "poolwise campaign drift boots");
}

}  // namespace poolwise::cli
