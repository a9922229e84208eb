#include "poolwise/campaign/ingest.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <unordered_map>

#include "poolwise/campaign/people.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/columns.hpp"
#include "poolwise/files/detail/csv.hpp"

namespace poolwise {
namespace {

constexpr const char* call = "ingest";
constexpr std::size_t shown = 80;  // bytes of foreign text in a message

/// A line of the file.
struct line_answer {
  index_t line = 0;
  std::string item, label, external = {};
  std::int64_t version = 1;
  index_t guideline = 0;  // that the line names
  std::string body = {};  // of the event
};

/// Reads answers line by line, and says of each line that is none why.
class answer_reader {
 public:
  answer_reader(const ingest_request& request, const campaign_settings& settings, ingested& result)
      : request_(request),
        settings_(settings),
        labels_(settings.labels.begin(), settings.labels.end()),
        result_(result) {
    wanted_.call = call;
    wanted_.what = "a label";
    wanted_.names = {"item", "label"};
    wanted_.otherwise = settings.id_column.c_str();
    wanted_.optional = {"external", "version", "by", "why", "seconds", "confidence", "cost", "guideline"};
    wanted_.remedy = "begin with a line such as item,label";
    wanted_.blank_lines = true;
    wanted_.refused = [&](index_t line, const std::string& why) { refuse(line, why); };
  }

  std::vector<line_answer> read() {
    std::vector<line_answer> answers;
    read_columns(request_.file, copy_limit{}, wanted_, [&](index_t line, std::span<std::string> values) {
      ++result_.lines;
      if (auto one = answer_in(line, values)) answers.push_back(std::move(*one));
    });
    return answers;
  }

  void refuse(index_t line, const std::string& why) { result_.refused.push_back({line, why}); }

 private:
  std::optional<line_answer> answer_in(index_t line, std::span<std::string> values) {
    const auto no = [&](const std::string& why) {
      refuse(line, why);
      return std::nullopt;
    };
    for (const std::string& value : values)
      if (!is_utf8(value)) return no("it is not UTF-8; save the file as UTF-8");
    line_answer one{.line = line, .item = values[0], .label = values[1]};
    if (one.item.empty()) return no("it names no item");
    if (one.label.empty()) return no("item " + printable(one.item, shown) + " has no label");
    if (!labels_.empty() && labels_.count(one.label) == 0)
      return no("there is no label \"" + printable(one.label, shown) +
                "\" in campaign.toml; the nearest is \"" +
                nearest_word(one.label, std::vector<std::string>(labels_.begin(), labels_.end())) + "\"");
    if (request_.as == ingested_as::answers && values[4].empty()) values[4] = request_.source;
    one.external = !values[2].empty()                    ? values[2]
                   : request_.as == ingested_as::answers ? one.item + " by " + values[4]
                                                         : one.item;
    if (!values[3].empty()) {
      const auto version = number_in<std::int64_t>(trimmed(values[3]));
      if (!version) return no("the version \"" + printable(values[3], shown) + "\" is no whole number");
      one.version = *version;
    }
    nlohmann::json body;
    body["item"] = one.item;
    body["label"] = one.label;
    if (request_.as == ingested_as::labels) {
      body["source"] = request_.source;
      body["external"] = one.external;
      body["version"] = one.version;
    } else if (request_.as == ingested_as::answers) {
      one.external = request_.source + " " + std::to_string(one.version) + " " + one.external;
      body["key"] = one.external;
      if (const std::int64_t price = annotator_named(settings_, values[4]).price; price > 0)
        body["cost"] = price;
    }
    if (!values[4].empty()) body["by"] = values[4];
    if (!values[5].empty()) body["why"] = values[5];
    for (const auto& [place, key, most] : {std::tuple{6, "seconds", 1e9}, {7, "confidence", 1.0}}) {
      const std::string& text = values[std::size_t(place)];
      if (text.empty()) continue;
      const auto value = number_in<double>(trimmed(text));
      if (!value || !(*value >= 0 && *value <= most))
        return no(std::string(key) + " \"" + printable(text, shown) + "\" is no number from 0 to " +
                  (most == 1.0 ? "1" : "1e9"));
      body[key] = *value;
    }
    if (!values[8].empty()) {
      const auto cost = number_in<std::int64_t>(trimmed(values[8]));
      if (!cost || *cost < 0)
        return no("cost \"" + printable(values[8], shown) + "\" is no whole number from 0 on");
      body["cost"] = *cost;
    }
    if (!values[9].empty()) {
      const auto guideline = number_in<index_t>(trimmed(values[9]));
      if (!guideline || *guideline < 1)
        return no("guideline \"" + printable(values[9], shown) + "\" is no whole number from 1 on");
      body["guideline"] = one.guideline = *guideline;
    }
    one.body = body.dump();
    return one;
  }

  const ingest_request& request_;
  const campaign_settings& settings_;
  std::set<std::string> labels_;
  ingested& result_;
  wanted_columns wanted_;
};

/// The items of the newest pool, looked at when the first item comes that the ledger does not know.
class pool_items {
 public:
  explicit pool_items(campaign& of) : of_(of) {}

  bool has(const std::string& item) {
    if (items_ == nullptr) items_ = &of_.items(of_.pool());
    return items_->row_of(item).has_value();
  }

 private:
  campaign& of_;
  const item_table* items_ = nullptr;
};

/// What the ledger and the answers before say of an item and of a key.
class standing_labels {
 public:
  explicit standing_labels(const tables& seen) : seen_(seen) {}

  struct standing {
    bool known = false;                                  ///< whether the ledger has a row for the item
    std::string label = {}, source = {}, external = {};  ///< of the label that it has now, if it has one
  };

  const standing& of_item(const std::string& item) {
    const auto [place, is_new] = by_item_.try_emplace(item);
    if (is_new) {
      const item_record record = seen_.item_now(item);
      place->second.known = record.decision || record.label || record.excluded;
      if (record.label) {
        const auto body = nlohmann::json::parse(seen_.at(*record.label).body);
        place->second = {true, body.at("label"), body.at("source"), body.at("external")};
      }
    }
    return place->second;
  }

  /// The item and label that were recorded under a key.
  const std::optional<std::pair<std::string, std::string>>& of_key(const line_answer& one,
                                                                   const std::string& source) {
    const auto [place, is_new] = by_key_.try_emplace(key_of(one));
    if (is_new)
      if (const auto event = seen_.label_event(source, one.external, one.version)) {
        const auto body = nlohmann::json::parse(seen_.at(*event).body);
        place->second.emplace(body.at("item"), body.at("label"));
      }
    return place->second;
  }

  void add(const line_answer& one, const std::string& source) {
    by_item_[one.item] = {true, one.label, source, one.external};
    by_key_[key_of(one)] = std::pair{one.item, one.label};
  }

 private:
  static std::string key_of(const line_answer& one) { return std::to_string(one.version) + " " + one.external; }

  const tables& seen_;
  std::unordered_map<std::string, standing> by_item_;
  std::unordered_map<std::string, std::optional<std::pair<std::string, std::string>>> by_key_;
};

/// Answers, and gold, of which an item may have any number.
class loose_answers {
 public:
  loose_answers(const tables& seen, const ingest_request& request) : seen_(seen), as_(request.as) {
    if (as_ == ingested_as::gold) gold_ = gold_in(seen);
  }

  /// Whether it is recorded; or why it cannot be.
  bool is_known(const line_answer& one, std::string& why) {
    if (as_ == ingested_as::gold) {
      const auto found = gold_.find(one.item);
      if (found != gold_.end() && found->second == one.label) return true;
      gold_[one.item] = one.label;
      return false;
    }
    const auto [place, is_new] = keys_.try_emplace(one.external);
    if (is_new)
      if (const auto event = seen_.answer_event(one.external)) {
        const auto body = nlohmann::json::parse(seen_.at(*event).body);
        place->second = {body.at("item"), body.at("label")};
      }
    const std::pair own{one.item, one.label};
    if (place->second == own) return true;
    if (!place->second.first.empty())
      why = "answer " + printable(one.external, shown) + " is recorded as " +
            printable(place->second.first + ": " + place->second.second, 2 * shown) +
            "; give a correction a higher version";
    place->second = own;
    return false;
  }

  const char* kind() const { return as_ == ingested_as::gold ? "gold" : "answer"; }

 private:
  const tables& seen_;
  ingested_as as_;
  std::map<std::string, std::string> gold_;
  std::unordered_map<std::string, std::pair<std::string, std::string>> keys_;
};

/// The version of the guideline that an answer was made under, into its body; or why there is none.
std::string name_guideline(const line_answer& one, index_t newest, std::string& body) {
  const index_t by = one.guideline > 0 ? one.guideline : newest;
  if (by > newest)
    return "there is no guideline " + std::to_string(by) + "; record it (`poolwise campaign guideline`)";
  body = one.body;
  if (one.guideline == 0 && by > 0) {
    auto named = nlohmann::json::parse(body);
    named["guideline"] = by;
    body = named.dump();
  }
  return {};
}

/// What of some lines is recorded, and why the others are not.
class decision_of_lines {
 public:
  decision_of_lines(const ingest_request& request, bool regulated, const tables& seen, pool_items& pool,
                    ingested& part)
      : request_(request),
        regulated_(regulated),
        seen_(seen),
        pool_(pool),
        part_(part),
        guideline_(latest_guideline(seen)) {}

  std::vector<new_event> loose(std::span<const line_answer> lines) {
    standing_labels standing(seen_);
    loose_answers recorded(seen_, request_);
    std::vector<new_event> events;
    for (const line_answer& one : lines) {
      std::string why, body;
      if (!standing.of_item(one.item).known && !pool_.has(one.item))
        why = "there is no item " + printable(one.item, shown) + " in the pool";
      const bool known = why.empty() && recorded.is_known(one, why);
      if (why.empty() && !known) why = name_guideline(one, guideline_, body);
      part_.known += known ? 1 : 0;
      if (!why.empty()) {
        refuse(one, why);
      } else if (!known) {
        ++part_.added;
        events.push_back({recorded.kind(), std::move(body)});
      }
    }
    return events;
  }

  std::vector<new_event> labels(std::span<const line_answer> lines) {
    standing_labels standing(seen_);
    std::vector<new_event> events;
    for (const line_answer& one : lines) {
      if (const auto& same = standing.of_key(one, request_.source)) {
        if (same->first == one.item && same->second == one.label)
          ++part_.known;
        else
          refuse(one, "version " + std::to_string(one.version) + " of " + printable(one.external, shown) +
                          " is recorded as " + printable(same->first + ": " + same->second, 2 * shown) +
                          "; give a correction a higher version");
        continue;
      }
      const standing_labels::standing& other = standing.of_item(one.item);
      if (!other.known && !pool_.has(one.item)) {
        refuse(one, "there is no item " + printable(one.item, shown) + " in the pool");
        continue;
      }
      const bool has_label = !other.label.empty();
      const bool corrects = other.source == request_.source && other.external == one.external;
      if (has_label && !corrects && other.label != one.label && !request_.overrule) {
        refuse(one, "item " + printable(one.item, shown) + " has the label " + printable(other.label, shown) +
                        " from " + printable(other.source, shown) +
                        "; overrule it (--overrule), or correct it there by a higher version");
        continue;
      }
      if (has_label && other.label != one.label && regulated_) {
        refuse(one, "item " + printable(one.item, shown) + " has the label " + printable(other.label, shown) +
                        ", and labels are changed by review alone (labelling.regulated); propose it on the "
                        "page of `poolwise serve`");
        continue;
      }
      std::string body;
      if (const std::string why = name_guideline(one, guideline_, body); !why.empty()) {
        refuse(one, why);
        continue;
      }
      part_.replaced += has_label ? 1 : 0;
      ++part_.added;
      standing.add(one, request_.source);
      events.push_back({"label", std::move(body)});
    }
    return events;
  }

 private:
  void refuse(const line_answer& one, const std::string& why) { part_.refused.push_back({one.line, why}); }

  const ingest_request& request_;
  bool regulated_;
  const tables& seen_;
  pool_items& pool_;
  ingested& part_;
  index_t guideline_;
};

/// Ends a change of the ledger.
struct nothing_recorded {};

}  // namespace

ingested ingest(campaign& of, const ingest_request& request, std::int64_t now_ms) {
  if (request.source.empty()) throw usage_error("ingest: say where the labels come from (--source)");
  ingested result;
  answer_reader reader(request, of.settings(), result);
  const std::vector<line_answer> answers = reader.read();
  pool_items pool(of);
  // Others wait while a change is decided.
  const std::size_t at_a_time = request.strict ? std::max<std::size_t>(1, answers.size()) : 20'000;
  for (std::size_t begin = 0; begin < answers.size(); begin += at_a_time) {
    const std::span<const line_answer> some =
        std::span(answers).subspan(begin, std::min(at_a_time, answers.size() - begin));
    ingested part;
    const auto decide = [&](const tables& seen) {
      decision_of_lines made(request, of.settings().labelling.regulated, seen, pool, part);
      std::vector<new_event> events = request.as == ingested_as::labels ? made.labels(some) : made.loose(some);
      if (request.strict && !part.refused.empty()) throw nothing_recorded{};
      return events;
    };
    try {
      if (request.strict && !result.refused.empty())
        of.log().read(decide);  // for the reasons of all lines
      else
        of.record(now_ms, decide);
    } catch (const nothing_recorded&) {
    }
    result.added += part.added;
    result.replaced += part.replaced;
    result.known += part.known;
    for (refused_label& one : part.refused) result.refused.push_back(std::move(one));
  }
  std::sort(result.refused.begin(), result.refused.end(),
            [](const refused_label& a, const refused_label& b) { return a.line < b.line; });
  if (request.strict && !result.refused.empty())
    throw value_error("ingest: line " + std::to_string(result.refused[0].line) + " of " +
                      printable(request.file.string()) + ": " + result.refused[0].why + "; " +
                      std::to_string(result.refused.size()) +
                      " lines are refused, and nothing is recorded (--strict)");
  return result;
}

std::string refused_csv(const std::vector<refused_label>& refused) {
  std::string csv = "line,reason\n";
  for (const refused_label& one : refused) csv += std::to_string(one.line) + "," + csv_field(one.why) + "\n";
  return csv;
}

}  // namespace poolwise
