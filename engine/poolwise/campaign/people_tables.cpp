#include "poolwise/campaign/people_tables.hpp"

#include <algorithm>
#include <cstdio>

namespace poolwise {
namespace {

std::string within(double value, const interval& bounds) {
  char text[80];
  std::snprintf(text, sizeof text, "%.1f %% (%.1f to %.1f)", 100 * value, 100 * bounds.low, 100 * bounds.high);
  return text;
}

std::string drift_text(const std::optional<skill_drift>& drift) {
  if (!drift) return "";
  char text[80];
  std::snprintf(text, sizeof text, "%.0f %% before, %.0f %% now%s", 100 * drift->before, 100 * drift->now,
                drift->drifted ? ": drift" : "");
  return text;
}

report_table annotators_of(const people_record& people, const campaign_settings& settings) {
  report_table table{.heading = "Annotators",
                     .caption =
                         "Accuracy by Dawid and Skene's model of all answers, with 95 % intervals; seconds by "
                         "the robust mean of a log-normal; drift of the last 50 answers.",
                     .header = {"annotator", "kind", "answers", "accuracy", "gold", "seconds", settings.unit,
                                "drift", "doubtful"},
                     .rows = {}};
  for (const annotator_record& one : people.annotators) {
    char seconds[48] = "";
    if (one.took) std::snprintf(seconds, sizeof seconds, "%.1f", one.took->mean);
    table.rows.push_back(
        {one.who.name, std::string(to_text(one.who.kind)), std::to_string(one.answers),
         within(one.accuracy.value, one.accuracy.bounds),
         one.gold > 0 ? std::to_string(one.gold_right) + " of " + std::to_string(one.gold) : "", seconds,
         std::to_string(one.cost), drift_text(one.drift), std::to_string(one.doubtful)});
  }
  return table;
}

report_table confusions_of(const people_record& people) {
  constexpr double rare = 0.01;
  constexpr std::size_t most = 10;  // an annotator's
  report_table table{.heading = "Confusions of annotators",
                     .caption =
                         "How often each calls a class by another's name, 95 % intervals; the ten most "
                         "frequent of each, and none below a hundredth.",
                     .header = {"annotator", "class", "called", "how often"},
                     .rows = {}};
  const crowd& all = people.of;
  const auto classes = std::int32_t(all.columns.labels.size());
  for (std::size_t k = 0; k < all.columns.annotators.size(); ++k) {
    struct confusion {
      std::int32_t is, said;
      inference::rate rate;
    };
    std::vector<confusion> own;
    for (std::int32_t is = 0; is < classes; ++is)
      for (std::int32_t said = 0; said < classes; ++said) {
        if (is == said) continue;
        const auto rate = all.found.confusion_rate(index_t(k), is, said);
        if (rate.value >= rare) own.push_back({is, said, rate});
      }
    std::stable_sort(own.begin(), own.end(),
                     [](const confusion& a, const confusion& b) { return a.rate.value > b.rate.value; });
    own.resize(std::min(own.size(), most));
    for (const confusion& one : own)
      table.rows.push_back({all.columns.annotators[k], all.columns.labels[std::size_t(one.is)],
                            all.columns.labels[std::size_t(one.said)],
                            within(one.rate.value, one.rate.bounds)});
  }
  return table;
}

report_table agreement_of(const people_record& people) {
  report_table table{.heading = "Agreement of annotators",
                     .caption = "Over the items that two or more answered; 95 % intervals.",
                     .header = {"measure", "value", "from", "to"},
                     .rows = {}};
  for (const auto& [name, one] : {std::pair{"same answers", &people.percent},
                                  {"Fleiss' kappa", &people.fleiss},
                                  {"Krippendorff's alpha", &people.alpha},
                                  {"Gwet's AC1", &people.ac1}}) {
    if (!*one) continue;
    const auto text = [](double x) {
      char figures[24];
      std::snprintf(figures, sizeof figures, "%.3f", x);
      return std::string(figures);
    };
    table.rows.push_back({name, text((*one)->value), text((*one)->bounds.low), text((*one)->bounds.high)});
  }
  return table;
}

}  // namespace

std::vector<report_table> tables_of(const people_record& people, const campaign_settings& settings) {
  std::vector<report_table> tables = {annotators_of(people, settings), confusions_of(people),
                                      agreement_of(people)};
  std::erase_if(tables, [](const report_table& one) { return one.rows.empty(); });
  return tables;
}

}  // namespace poolwise
