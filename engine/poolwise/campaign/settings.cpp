#include "poolwise/campaign/settings.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>
#include <set>
#include <sstream>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/metrics/stopping.hpp"

namespace poolwise {
namespace {

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

/// One table of the file, whose keys must all be taken.
class section {
 public:
  section(const toml::table* table, std::string name, const std::string& file)
      : table_(table), name_(std::move(name)), file_(file) {}

  section table(const std::string& key) {
    const toml::node* node = take(key);
    if (node != nullptr && !node->is_table()) refuse(key, *node, "is a table: write [" + full(key) + "]");
    return {node != nullptr ? node->as_table() : nullptr, full(key), file_};
  }

  std::vector<std::string> keys() const {
    std::vector<std::string> all;
    if (table_ != nullptr)
      for (const auto& [key, value] : *table_) all.emplace_back(key.str());
    return all;
  }

  void read(const std::string& key, std::string& value) {
    if (const toml::node* node = take(key)) value = text(key, *node);
  }
  void read(const std::string& key, std::vector<std::string>& values) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    if (!node->is_array()) refuse(key, *node, "is a list of texts");
    values.clear();
    for (const toml::node& one : *node->as_array()) values.push_back(text(key, one));
  }
  void read(const std::string& key, bool& value) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto is = node->value_exact<bool>();
    if (!is) refuse(key, *node, "is true or false");
    value = *is;
  }
  template <class Number>
  void read(const std::string& key, Number& value, double least, double largest) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    if constexpr (std::is_integral_v<Number>) {
      const auto whole = node->value_exact<std::int64_t>();
      if (!whole || double(*whole) < least || double(*whole) > largest)
        refuse(key, *node, "is a whole number" + range(least, largest));
      value = Number(*whole);
    } else {
      const auto real = node->is_number() ? node->value<double>() : std::nullopt;
      if (!real || !(*real >= least && *real <= largest))
        refuse(key, *node, "is a number" + range(least, largest));
      value = Number(*real);
    }
  }
  template <class Number>
  void read(const std::string& key, std::optional<Number>& value, double least, double largest) {
    if (table_ == nullptr || table_->find(key) == table_->end()) return;
    read(key, value.emplace(), least, largest);
  }
  /// The end of a day: what happens on it is in time.
  void read_day(const std::string& key, std::optional<std::int64_t>& ms) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    const auto day = node->value_exact<toml::date>();
    if (!day) refuse(key, *node, "is a day, such as 2026-12-31");
    std::tm fields{};
    fields.tm_year = day->year - 1900;
    fields.tm_mon = day->month - 1;
    fields.tm_mday = day->day + 1;
    ms = std::int64_t(timegm(&fields)) * 1000 - 1;
  }

  /// What `parse` makes of a text, whose refusal is passed on with the place.
  template <class Parse>
  void read_by(const std::string& key, Parse parse) {
    const toml::node* node = take(key);
    if (node == nullptr) return;
    try {
      parse(text(key, *node));
    } catch (const value_error& problem) {
      refuse(key, *node, std::string("cannot be read: ") + problem.what());
    }
  }

  /// throws format_error for a key that nothing has taken.
  void finish() const {
    if (table_ == nullptr) return;
    const std::vector<std::string> known(taken_.begin(), taken_.end());
    for (const auto& [key, value] : *table_)
      if (const std::string own(key.str()); taken_.count(own) == 0)
        throw format_error(place(value) + ": there is no key " + printable(full(own)) + "; the nearest is " +
                           full(nearest_word(own, known)));
  }

  [[noreturn]] void refuse(const std::string& key, const toml::node& node, const std::string& needs) const {
    std::ostringstream got;
    node.visit([&](const auto& value) { got << value; });
    throw format_error(place(node) + ": " + printable(full(key)) + " " + needs + ", and is " +
                       printable(got.str(), 80));
  }
  const toml::node* node(const std::string& key) const {
    return table_ != nullptr ? table_->get(key) : nullptr;
  }

 private:
  const toml::node* take(const std::string& key) {
    taken_.insert(key);
    return node(key);
  }
  std::string text(const std::string& key, const toml::node& node) const {
    const auto value = node.value_exact<std::string>();
    if (!value || value->find('\0') != std::string::npos) refuse(key, node, "is a text in quotes");
    return *value;
  }
  std::string place(const toml::node& node) const {
    return printable(file_) + " line " + std::to_string(node.source().begin.line);
  }
  std::string full(const std::string& key) const { return name_.empty() ? key : name_ + "." + key; }
  static std::string range(double least, double largest) {
    std::ostringstream text;
    text << " from " << least;
    if (largest < double(most)) text << " to " << largest;
    return text.str();
  }

  const toml::table* table_;  // null: all that it could hold stays as it is
  std::string name_;
  const std::string& file_;
  std::set<std::string> taken_;
};

void read_tariff(section& file, const char* name, tariff& what) {
  section table = file.table(name);
  table.read("each", what.each, 0, 1e15);
  table.read("column", what.column);
  table.read("fitted", what.fitted, 1, 1e9);
  section types = table.table("type");
  for (const std::string& type : types.keys()) types.read(type, what.by_type[type], 0, 1e15);
  table.finish();
  if (int(what.each.has_value()) + int(!what.column.empty()) + int(!what.by_type.empty()) > 1)
    file.refuse(name, *file.node(name), "has more than one of each, column and type; leave one of them");
  if (what.fitted > 0 && !what.given())
    file.refuse(name, *file.node(name),
                "is fitted, and has no each, column or type for the time before; add it");
}

void read_allotment(section& file, const char* name, allotment& what) {
  section table = file.table(name);
  table.read("money", what.money, 0, double(most));
  std::optional<double> hours;
  table.read("hours", hours, 0, 1e9);
  if (hours) what.seconds = std::int64_t(std::floor(*hours * 3600));
  table.read("labels", what.labels, 0, double(most));
  table.finish();
}

void read_query(section& file, campaign_settings& settings) {
  section table = file.table("query");
  query_spec& query = settings.query;
  query.strategy = "margin";
  query.batch = 100;
  table.read_by("strategy", [&](const std::string& text) {
    parse_strategy(text);
    query.strategy = text;
  });
  table.read("batch", query.batch, 1, double(most));
  table.read("seed", query.seed, 0, double(most));
  table.read("apart", query.apart, 0, double(std::numeric_limits<float>::max()));
  table.read_by("metric", [&](const std::string& text) { query.distance = parse_metric(text); });
  table.read_by("neighbours", [&](const std::string& text) { query.neighbours = parse_knn_method(text); });
  table.read_by("on_nan", [&](const std::string& text) {
    if (text != "refuse" && text != "skip") throw usage_error("choose refuse or skip");
    query.invalid = text == "skip" ? on_invalid::skip : on_invalid::refuse;
  });
  table.read("audit", settings.audit, 0, 1);
  table.read("priority", settings.priority, 0, 1);
  table.finish();
}

void read_slices(section& file, campaign_settings& settings) {
  section all = file.table("slices");
  for (const std::string& name : all.keys()) {
    section table = all.table(name);
    slice_settings& slice = settings.slices.emplace_back();
    slice.name = name;
    table.read("target", slice.target, 0, 1);
    table.read("floor", slice.floor, 0, double(most));
    table.read("quota", slice.quota, 0, double(most));
    table.read("priority", slice.priority, 0, 1e6);
    table.finish();
    if (slice.quota && *slice.quota < slice.floor)
      table.refuse("floor", *table.node("floor"), "is at most the slice's quota");
  }
  all.finish();
}

void read_accuracies(section& of, const char* name, std::map<std::string, double>& what) {
  section table = of.table(name);
  for (const std::string& key : table.keys()) table.read(key, what[key], 0, 1);
  table.finish();
}

void read_annotators(section& file, campaign_settings& settings) {
  section all = file.table("annotators");
  for (const std::string& name : all.keys()) {
    section table = all.table(name);
    annotator& one = settings.annotators.emplace_back();
    one.name = name;
    table.read_by("kind", [&](const std::string& text) { one.kind = parse_annotator_kind(text); });
    table.read("price", one.price, 0, 1e12);
    table.read("seconds", one.seconds, 0, 1e9);
    table.read("accuracy", one.skill.accuracy, 0, 1);
    table.read("weight", one.skill.weight, 1e-3, 1e6);
    read_accuracies(table, "by_class", one.skill.by_class);
    read_accuracies(table, "by_slice", one.skill.by_slice);
    table.read("languages", one.languages);
    table.read_by("hours", [&](const std::string& text) { one.hours = parse_working_hours(text); });
    table.read("most_open", one.most_open, 1, 1e9);
    table.read("roles", one.roles);
    table.finish();
    const auto& roles = annotator_roles();
    for (const std::string& role : one.roles)
      if (std::find(roles.begin(), roles.end(), role) == roles.end())
        table.refuse("roles", *table.node("roles"),
                     "has \"" + printable(role) + "\"; the nearest is \"" + nearest_word(role, roles) + "\"");
  }
  all.finish();
}

void read_targets(section& file, campaign_settings& settings) {
  section all = file.table("targets");
  for (const std::string& name : all.keys()) {
    section table = all.table(name);
    measure_target& target = settings.targets.emplace_back();
    target.name = name;
    std::optional<double> precision, recall, cut;
    table.read("label", target.label);
    table.read("precision", precision, 0, 1);
    table.read("recall", recall, 1e-6, 1);
    table.read("cost_cut", cut, 0, 1);
    table.read("review_cost", target.review_cost, 1e-9, 1e15);
    table.read("error_cost", target.error_cost, 0, 1e15);
    table.finish();
    const bool is_precision = precision && recall && !target.label.empty() && !cut && target.review_cost == 0;
    const bool is_cut = cut && target.review_cost > 0 && !precision && !recall && target.label.empty();
    if (!is_precision && !is_cut)
      all.refuse(name, *all.node(name),
                 "is label, recall and precision, or cost_cut, review_cost and error_cost");
    target.at_least = precision ? *precision : *cut;
    target.recall = recall.value_or(0);
    const auto& labels = settings.labels;
    if (is_precision && !labels.empty() &&
        std::find(labels.begin(), labels.end(), target.label) == labels.end())
      table.refuse("label", *table.node("label"), "is one of campaign.labels");
    for (std::size_t k = 0; k + 1 < settings.targets.size(); ++k)
      if (settings.targets[k].measure() == target.measure())
        all.refuse(name, *all.node(name),
                   "is of the same measure as " + settings.targets[k].name + "; keep one");
  }
  all.finish();
}

void read_labelling(section& file, campaign_settings& settings) {
  section table = file.table("labelling");
  labelling_settings& how = settings.labelling;
  table.read("overlap", how.overlap, 1, 100);
  table.read("lease_minutes", how.lease_minutes, 1, 60 * 24 * 7);
  table.read("regulated", how.regulated);
  table.read("text", how.text);
  table.read("image", how.image);
  table.read("audio", how.audio);
  table.read("fields", how.fields);
  table.finish();
}

void read_stop(section& file, campaign_settings& settings) {
  section table = file.table("stop");
  table.read_by("rule", [&](const std::string& text) {
    parse_stop_rule(text);
    settings.stop = text;
  });
  table.read("error_cost", settings.error_cost, 0, double(most));
  table.read("predictions", settings.predictions, 0, double(most));
  table.finish();
}

}  // namespace

std::string measure_target::measure() const {
  if (label.empty()) return "cost cut";
  std::ostringstream text;
  text << "precision of " << label << " at a recall of " << 100 * recall << " %";
  return text.str();
}

annotator annotator_named(const campaign_settings& settings, const std::string& name) {
  const auto& all = settings.annotators;
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const annotator& one) { return one.name == name; });
  if (found != all.end()) return *found;
  annotator unknown;
  unknown.name = name;
  return unknown;
}

std::string class_name(const campaign_settings& settings, std::int32_t number) {
  const auto place = std::size_t(number);
  return place < settings.labels.size() ? settings.labels[place] : std::to_string(number);
}

campaign_settings read_settings(const std::string& text, const std::string& file) {
  toml::table parsed;
  try {
    parsed = toml::parse(text, file);
  } catch (const toml::parse_error& problem) {
    throw format_error(printable(file) + " line " + std::to_string(problem.source().begin.line) + ": " +
                       printable(problem.description()));
  }
  campaign_settings settings;
  section whole(&parsed, "", file);
  section campaign = whole.table("campaign");
  campaign.read("name", settings.name);
  campaign.read("hypothesis", settings.hypothesis);
  campaign.read("unit", settings.unit);
  campaign.read("labels", settings.labels);
  campaign.read("target", settings.target, 0, 1);
  campaign.read_day("until", settings.until_ms);
  campaign.finish();
  section items = whole.table("items");
  items.read("id", settings.id_column);
  items.read("slice", settings.slice_column);
  items.read("type", settings.type_column);
  items.read("length", settings.length_column);
  items.finish();
  read_tariff(whole, "price", settings.price);
  read_tariff(whole, "seconds", settings.seconds);
  read_query(whole, settings);
  read_allotment(whole, "budget", settings.total);
  read_allotment(whole, "round", settings.round);
  read_slices(whole, settings);
  read_annotators(whole, settings);
  read_targets(whole, settings);
  read_labelling(whole, settings);
  read_stop(whole, settings);
  whole.finish();
  for (const auto& [name, what] : {std::pair{"price", &settings.price}, {"seconds", &settings.seconds}})
    if (!what->by_type.empty() && settings.type_column.empty())
      whole.refuse(name, *whole.node(name), "is by type, and items.type names no column");
  if (!settings.slices.empty() && settings.slice_column.empty())
    whole.refuse("slices", *whole.node("slices"), "are given, and items.slice names no column");
  if ((settings.total.money || settings.round.money) && !settings.price.given())
    whole.refuse("budget", *whole.node(settings.total.money ? "budget" : "round"),
                 "says what may be spent, and nothing what a label costs: give [price]");
  if ((settings.total.seconds || settings.round.seconds) && !settings.seconds.given())
    whole.refuse("budget", *whole.node(settings.total.seconds ? "budget" : "round"),
                 "says how many hours there are, and nothing how long a label takes: give [seconds]");
  return settings;
}

std::string example_settings(const std::string& name) {
  return "# What the campaign is to reach and may spend. Lines that begin with # are left out.\n"
         "[campaign]\n"
         "name = \"" +
         name +
         "\"\n"
         "hypothesis = \"Picking by margin reaches the target with half the labels of random picks.\"\n"
         "unit = \"cents\"              # whole numbers of it are counted\n"
         "target = 0.85                # accuracy on held-out items\n"
         "# until = 2027-03-31         # no round begins after that day\n"
         "# labels = [\"cat\", \"dog\"]    # those there are; without this line any text is one\n"
         "\n"
         "[items]                      # columns of the file of items (CSV or JSONL)\n"
         "id = \"id\"\n"
         "# slice = \"region\"           # items that are looked at on their own\n"
         "# type = \"type\"              # what a price depends on\n"
         "# length = \"pages\"           # and by how much\n"
         "\n"
         "# [price]\n"
         "# each = 5                   # or by a column of the items: column = \"cents\", or by type:\n"
         "# [price.type]\n"
         "# photo = 5\n"
         "# \"*\" = 3\n"
         "# [seconds.type]             # how long a label takes, for a budget in hours\n"
         "# photo = 12\n"
         "# \"*\" = 8\n"
         "# [seconds]\n"
         "# fitted = 30                # from so many labels of a type on: base + per_length x length, from "
         "the "
         "log\n"
         "\n"
         "[query]\n"
         "strategy = \"margin\"          # see `poolwise strategies`\n"
         "batch = 100                  # picks a round\n"
         "seed = 0\n"
         "audit = 0.1                  # share of each round drawn at random: what a strategy saves is "
         "measured by it\n"
         "# priority = 0.3             # share of each round kept for slices that miss their targets\n"
         "\n"
         "[budget]                     # in all; [round] takes the same keys, for each round\n"
         "labels = 2000\n"
         "# money = 50000\n"
         "# hours = 40\n"
         "\n"
         "# [slices.north]             # by the names in the column of slices\n"
         "# target = 0.8\n"
         "# floor = 10                 # picks of each round at least\n"
         "# quota = 60                 # and at most\n"
         "\n"
         "# [annotators.ann]            # who labels, and what is known of them before the first answer\n"
         "# kind = \"person\"            # or model, or classifier\n"
         "# price = 5                  # of one answer\n"
         "# seconds = 8                # that one takes\n"
         "# accuracy = 0.9             # expected; [annotators.ann.by_class] and by_slice where it is known "
         "apart\n"
         "# weight = 4                 # as many known answers is that worth\n"
         "# languages = [\"en\"]\n"
         "# hours = \"mon-fri 09:00-17:00 +01:00\"\n"
         "# roles = [\"annotator\"]      # of annotator, senior, reviewer, manager, auditor\n"
         "\n"
         "# [targets.cats]              # other targets than accuracy\n"
         "# label = \"cat\"\n"
         "# recall = 0.8\n"
         "# precision = 0.9\n"
         "# [targets.work]              # the model answers where it is sure, and people answer the rest\n"
         "# cost_cut = 0.4             # less than if people answered all\n"
         "# review_cost = 5            # of an answer by people\n"
         "# error_cost = 60            # of a wrong answer of the model\n"
         "\n"
         "# [labelling]                 # the page of `poolwise serve`\n"
         "# text = \"text\"               # columns of the items: a text, an image, a sound, and fields\n"
         "# image = \"file\"              # files lie in this folder\n"
         "# fields = [\"pages\", \"site\"]\n"
         "# overlap = 2                 # people who answer each item\n"
         "# lease_minutes = 15          # then an item goes to somebody else\n"
         "# regulated = true            # a label is changed by a proposal that somebody else approves\n"
         "\n"
         "[stop]\n"
         "rule = \"any(target, budget)\"\n";
}

}  // namespace poolwise
