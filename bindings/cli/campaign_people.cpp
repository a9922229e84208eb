// poolwise campaign annotators, aggregate, route: who answers how well, labels out of answers, whom to ask
// next.
#include <algorithm>

#include "campaign.hpp"
#include "poolwise/campaign/people_tables.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise::cli {
namespace {

using ordered = nlohmann::ordered_json;

ordered as_json(const inference::rate& one) {
  return {{"value", one.value}, {"low", one.bounds.low}, {"high", one.bounds.high}};
}

ordered as_json(const std::optional<agreement_estimate>& one) {
  if (!one) return {};
  return {{"value", one->value}, {"low", one->bounds.low}, {"high", one->bounds.high}, {"items", one->items}};
}

ordered as_json(const annotator_record& one, const crowd& all, index_t place) {
  ordered record{{"name", one.who.name},
                 {"kind", to_text(one.who.kind)},
                 {"answers", one.answers},
                 {"accuracy", as_json(one.accuracy)},
                 {"gold", one.gold},
                 {"gold_right", one.gold_right},
                 {"cost", one.cost},
                 {"doubtful", one.doubtful},
                 {"confusions", ordered::array()}};
  if (one.took)
    record["seconds"] = {
        {"mean", one.took->mean}, {"median", one.took->median}, {"answers", one.took->answers}};
  if (one.drift)
    record["drift"] = {{"before", one.drift->before}, {"now", one.drift->now}, {"drifted", one.drift->drifted}};
  const auto classes = std::int32_t(all.columns.labels.size());
  for (std::int32_t is = 0; is < classes; ++is) {
    ordered row = ordered::array();
    for (std::int32_t said = 0; said < classes; ++said)
      row.push_back(as_json(all.found.confusion_rate(place, is, said)));
    record["confusions"].push_back(std::move(row));
  }
  return record;
}

/// Columns as wide as their widest cell, and two spaces between.
std::string text_of(const report_table& table) {
  std::vector<std::size_t> widths(table.header.size(), 0);
  const auto measure = [&](const std::vector<std::string>& row) {
    for (std::size_t c = 0; c < widths.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  };
  measure(table.header);
  for (const auto& row : table.rows) measure(row);
  std::string text = table.heading + "\n";
  const auto add = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      line += "  " + printable(row[c]);
      if (c + 1 < widths.size()) line += std::string(widths[c] - std::min(widths[c], row[c].size()), ' ');
    }
    text += line + "\n";
  };
  add(table.header);
  for (const auto& row : table.rows) add(row);
  return text;
}

void run_annotators(const campaign_options& options) {
  const campaign of = options.open(access::read);
  const people_record people =
      of.log().read([&](const tables& seen) { return people_of(seen, of.settings()); });
  if (!options.common.json) {
    std::string text;
    for (const report_table& table : tables_of(people, of.settings())) text += text_of(table);
    return write_text("-", text);
  }
  ordered body{{"labels", people.of.columns.labels}, {"annotators", ordered::array()}};
  for (std::size_t k = 0; k < people.annotators.size(); ++k)
    body["annotators"].push_back(as_json(people.annotators[k], people.of, index_t(k)));
  body["agreement"] = {{"percent", as_json(people.percent)},
                       {"fleiss_kappa", as_json(people.fleiss)},
                       {"krippendorff_alpha", as_json(people.alpha)},
                       {"gwet_ac1", as_json(people.ac1)}};
  print_json("campaign.annotators", body);
}

struct aggregate_options : campaign_options {
  aggregate_request request;
  std::string method = "dawid_skene";
  index_t replay = 0;
};

void run_aggregate(const aggregate_options& options) {
  if (options.replay > 0) {
    const campaign of = options.open(access::read);
    const std::vector<std::string> differ = replay_aggregate(of, options.replay);
    if (options.common.json)
      print_json("campaign.aggregate", {{"aggregate", options.replay}, {"differ", differ}});
    else if (differ.empty())
      write_text("-", "aggregate " + std::to_string(options.replay) + " is what its answers make\n");
    if (!differ.empty())
      throw format_error("campaign: of aggregate " + std::to_string(options.replay) + ", " +
                         std::to_string(differ.size()) +
                         " labels are not what their answers make; the first is of " + printable(differ[0]));
    return;
  }
  campaign of = options.open();
  aggregate_request request = options.request;
  request.how = parse_aggregation(options.method);
  const aggregated made = aggregate(of, request, options.now_ms());
  if (options.common.json)
    return print_json("campaign.aggregate", {{"aggregate", made.number},
                                             {"added", made.added},
                                             {"changed", made.changed},
                                             {"same", made.same},
                                             {"unsure", made.unsure},
                                             {"kept", made.kept}});
  write_text("-", std::to_string(made.added) + " labels made, " + std::to_string(made.changed) + " changed, " +
                      std::to_string(made.same) + " as before, " + std::to_string(made.unsure) +
                      " items are not sure yet, " + std::to_string(made.kept) +
                      " keep another label from elsewhere\n");
}

struct route_options : campaign_options {
  routing_options how;
  std::string out = "-";
  index_t answers = 0;
  std::int64_t money = 0;
};

void run_route(const route_options& options) {
  const campaign of = options.open(access::read);
  routing_options how = options.how;
  how.now_ms = options.now_ms();
  if (options.answers > 0) how.answers = options.answers;
  if (options.money > 0) how.money = options.money;
  const std::vector<routed> all =
      of.log().read([&](const tables& seen) { return route_items(seen, of.settings(), how); });
  if (!options.common.json) return write_text(options.out, routed_csv(all));
  ordered list = ordered::array();
  for (const routed& one : all)
    list.push_back({{"item", one.item},
                    {"annotator", one.annotator},
                    {"price", one.price},
                    {"information", one.information},
                    {"reason", one.reason}});
  print_json("campaign.route", {{"answers", list}});
}

void add_route(CLI::App& campaign) {
  add_verb<route_options>(
      campaign, "route", "Whom to ask about which item next, by what an answer tells for its price",
      [](CLI::App& verb, route_options& options) {
        add_number(verb, "--sure", options.how.sure, 0.5, 1.0,
                   "Probability of a class that needs no more answers");
        add_number(verb, "--least", options.how.least_answers, index_t{1}, index_t{100},
                   "Answers that every item gets");
        add_number(verb, "--most", options.how.most_answers, index_t{1}, index_t{100},
                   "Answers an item gets at most");
        add_number(verb, "--senior-after", options.how.senior_after, index_t{1}, index_t{100},
                   "Answers, after which an item that is not sure goes to people with the role senior");
        add_number(verb, "--money", options.money, std::int64_t{1}, std::int64_t{1'000'000'000'000},
                   "Spend at most so much now (default: any amount)");
        add_number(verb, "--answers", options.answers, index_t{1}, index_t{1'000'000'000},
                   "Ask for at most so many answers now (default: one of each item that needs it)");
        verb.add_option("--out", options.out, "The list, as CSV (default: printed)")->type_name("FILE.csv");
        add_time(verb, options);
      },
      run_route, "poolwise campaign route boots --money 500 --out route.csv");
}

}  // namespace

void add_campaign_people(CLI::App& campaign) {
  add_verb<campaign_options>(
      campaign, "annotators",
      "How often each annotator is right, how fast, at what cost; and how far they agree",
      [](CLI::App&, campaign_options&) {}, run_annotators, "poolwise campaign annotators boots");
  add_verb<aggregate_options>(
      campaign, "aggregate", "Make labels of answers, with their probability and the answers behind them",
      [](CLI::App& verb, aggregate_options& options) {
        verb.add_option("--method", options.method,
                        "dawid_skene, one_coin (one accuracy an annotator) or majority")
            ->check(read_by(parse_aggregation))
            ->type_name("METHOD");
        add_number(verb, "--sure", options.request.sure, 0.0, 1.0, "Probability from which a class is a label");
        verb.add_flag("--overrule", options.request.overrule, "Take the place of labels from elsewhere");
        add_number(verb, "--replay", options.replay, index_t{1}, std::numeric_limits<index_t>::max(),
                   "Record nothing, and make this aggregate again from the answers that it was made of");
        add_time(verb, options);
      },
      run_aggregate, "poolwise campaign aggregate boots --sure 0.9");
  add_route(campaign);
}

}  // namespace poolwise::cli
