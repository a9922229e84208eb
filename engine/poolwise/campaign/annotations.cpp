#include "poolwise/campaign/annotations.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "poolwise/campaign/detail/label_studio_json.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

constexpr std::size_t shown = 80;  // bytes of foreign text in a message

/// The answers of one source, as the ledger and the events to come have them.
class answer_book {
 public:
  struct entry {
    std::int64_t version = 0;
    std::string item, label, by;
    std::optional<double> seconds;
    bool stands = false;
  };

  answer_book(const tables& seen, const std::string& source) : source_(source) {
    for (const char* const kind : {"answer", "withdrawn"})
      seen.each_of(kind, [&](const event& one) {
        const json body = json::parse(one.body);
        if (member_text(body, "source") == source_) add(kind, body);
      });
  }

  void add(const std::string& kind, const json& body) {
    const std::string external = member_text(body, "external");
    const std::int64_t version = body.value("version", std::int64_t(0));
    const std::string item = member_text(body, "item"), label = member_text(body, "label");
    labels_[{external, version}] = label;
    entry& latest = latest_[external];
    if (latest.version > version && !latest.item.empty()) return;
    latest = {version, item, label, member_text(body, "by"), std::nullopt, kind == "answer"};
    if (const auto seconds = body.find("seconds"); seconds != body.end() && seconds->is_number())
      latest.seconds = seconds->get<double>();
    of_item_[item].insert(external);
  }

  const entry* latest(const std::string& external) const {
    const auto found = latest_.find(external);
    return found == latest_.end() ? nullptr : &found->second;
  }
  /// The label that a version was recorded with; empty of one that was withdrawn.
  const std::string* recorded(const std::string& external, std::int64_t version) const {
    const auto found = labels_.find({external, version});
    return found == labels_.end() ? nullptr : &found->second;
  }
  const std::map<std::string, entry>& all() const { return latest_; }

  /// Those that stand, the newest last.
  std::vector<const entry*> standing(const std::string& item) const {
    std::vector<const entry*> found;
    const auto externals = of_item_.find(item);
    if (externals == of_item_.end()) return found;
    for (const std::string& one : externals->second)
      if (const entry& it = latest_.at(one); it.stands && it.item == item) found.push_back(&it);
    std::stable_sort(found.begin(), found.end(),
                     [](const entry* a, const entry* b) { return a->version < b->version; });
    return found;
  }

 private:
  std::string source_;
  std::map<std::string, entry> latest_;
  std::map<std::pair<std::string, std::int64_t>, std::string> labels_;
  std::map<std::string, std::set<std::string>> of_item_;
};

/// Ends a change of the ledger.
struct nothing_recorded {};

/// One change of the ledger: what a batch adds to it.
class recorder {
 public:
  recorder(campaign& of, const annotation_batch& batch, const tables& seen)
      : of_(of), batch_(batch), seen_(seen), book_(seen, batch.source), guideline_(latest_guideline(seen)) {}

  std::vector<new_event> events() {
    result_.read = index_t(batch_.all.size());
    std::set<std::string> there;
    for (const annotation& one : batch_.all) {
      there.insert(one.external);
      if (const std::string why = refusal(one); !why.empty())
        result_.refused.push_back({one.line, why});
      else
        take(one);
    }
    if (batch_.whole) withdraw_missing(there);
    for (const auto& [item, line] : items_) settle(item, line);
    if (batch_.strict && !result_.refused.empty()) throw nothing_recorded{};
    return std::move(events_);
  }

  recorded_annotations result_;

 private:
  std::string refusal(const annotation& one) {
    if (!one.refused.empty()) return one.refused;
    for (const std::string* text : {&one.item, &one.label, &one.external, &one.by, &one.why})
      if (!is_utf8(*text)) return "it is not UTF-8; save the file as UTF-8";
    if (one.item.empty()) return "it names no item";
    if (one.external.empty())
      return "the answer to item " + printable(one.item, shown) + " has no id of its own";
    const auto& labels = of_.settings().labels;
    if (!one.label.empty() && !labels.empty() &&
        std::find(labels.begin(), labels.end(), one.label) == labels.end())
      return "there is no label \"" + printable(one.label, shown) + "\" in campaign.toml; the nearest is \"" +
             nearest_word(one.label, labels) + "\"";
    const auto* before = book_.latest(one.external);
    if (before != nullptr && before->item != one.item)
      return "annotation " + printable(one.external, shown) + " is recorded for item " +
             printable(before->item, shown) + "; take another --source for another project";
    if (!seen_.unavailable(one.item) && !pool_has(one.item))
      return "there is no item " + printable(one.item, shown) + " in the pool";
    if (one.version)
      if (const std::string* label = book_.recorded(one.external, *one.version); label && *label != one.label)
        return "version " + std::to_string(*one.version) + " of " + printable(one.external, shown) +
               " is recorded as \"" + printable(*label, shown) + "\"; give a correction a higher version";
    return {};
  }

  bool pool_has(const std::string& item) {
    if (pool_ == nullptr) pool_ = &of_.items(of_.pool());
    return pool_->row_of(item).has_value();
  }

  void take(const annotation& one) {
    const auto* before = book_.latest(one.external);
    items_.emplace(one.item, one.line);
    const bool is_known = one.version ? book_.recorded(one.external, *one.version) != nullptr
                                      : before != nullptr && before->label == one.label;
    if (is_known) {
      ++result_.known;
      return;
    }
    json body{{"item", one.item},
              {"source", batch_.source},
              {"external", one.external},
              {"version", one.version         ? *one.version
                          : before != nullptr ? before->version + 1
                                              : 1},
              {"by", one.by.empty() ? batch_.source : one.by}};
    if (one.seconds && *one.seconds >= 0 && *one.seconds <= 1e9) body["seconds"] = *one.seconds;
    if (one.label.empty()) {
      ++result_.withdrawn;
      if (!one.why.empty()) body["why"] = one.why;
      add_withdrawn(std::move(body));
      return;
    }
    body["label"] = one.label;
    if (guideline_ > 0) body["guideline"] = guideline_;
    body["key"] =
        batch_.source + "/" + one.external + "@" + std::to_string(body["version"].get<std::int64_t>());
    ++result_.added;
    result_.changed += before != nullptr ? 1 : 0;
    new_.insert(one.item);
    book_.add("answer", body);
    events_.push_back({"answer", body.dump()});
  }

  void add_withdrawn(json body) {
    body.erase("seconds");
    new_.insert(body["item"].get<std::string>());
    book_.add("withdrawn", body);
    last_withdrawn_[body["item"].get<std::string>()] = events_.size();
    events_.push_back({"withdrawn", body.dump()});
  }

  void withdraw_missing(const std::set<std::string>& there) {
    std::vector<std::pair<std::string, answer_book::entry>> gone;
    for (const auto& [external, one] : book_.all())
      if (one.stands && external.starts_with(batch_.within) && there.count(external) == 0)
        gone.emplace_back(external, one);
    for (const auto& [external, one] : gone) {
      ++result_.withdrawn;
      items_.emplace(one.item, 0);
      add_withdrawn(json{{"item", one.item},
                         {"source", batch_.source},
                         {"external", external},
                         {"version", one.version + 1},
                         {"by", one.by},
                         {"why", "deleted"}});
    }
  }

  /// Brings the label of an item to what its answers say.
  void settle(const std::string& item, index_t line) {
    const std::vector<const answer_book::entry*> answers = book_.standing(item);
    const item_record record = seen_.item_now(item);
    json current;
    if (record.label) current = json::parse(seen_.at(*record.label).body);
    const bool is_ours = member_text(current, "source") == batch_.source;
    if (answers.empty()) {
      if (record.label && is_ours && record.decision) end_label(item, *record.label);
      return;
    }
    if (index_t(answers.size()) < of_.settings().labelling.overlap) {
      ++result_.waiting;
      return;
    }
    const answer_book::entry* winner = winner_of(answers);
    if (winner == nullptr) return result_.disputed.push_back(item);
    const std::string before = member_text(current, "label");
    if (before == winner->label) return;
    if (record.label && of_.settings().labelling.regulated)
      return propose(item, before, *record.label, *winner);
    if (record.label && !is_ours && !batch_.overrule) {
      if (line > 0)
        result_.refused.push_back({line, "item " + printable(item, shown) + " has the label " +
                                             printable(before, shown) + " from " +
                                             printable(member_text(current, "source"), shown) +
                                             "; the answer is kept; overrule that label (--overrule)"});
      return;
    }
    const auto agree = std::count_if(answers.begin(), answers.end(),
                                     [&](const auto* one) { return one->label == winner->label; });
    json body{{"item", item},     {"label", winner->label},        {"source", batch_.source},
              {"external", item}, {"version", next_version(item)}, {"by", winner->by},
              {"agreed", agree},  {"of", answers.size()}};
    if (winner->seconds) body["seconds"] = *winner->seconds;
    if (guideline_ > 0) body["guideline"] = guideline_;
    ++result_.labels;
    events_.push_back({"label", body.dump()});
  }

  /// The newest of those who say what most say; nothing of a tie.
  static const answer_book::entry* winner_of(const std::vector<const answer_book::entry*>& answers) {
    std::map<std::string, index_t> votes;
    for (const auto* one : answers) ++votes[one->label];
    index_t most = 0, with_most = 0;
    for (const auto& [label, count] : votes) {
      if (count > most) with_most = 0;
      most = std::max(most, count);
      with_most += count == most;
    }
    if (with_most != 1) return nullptr;
    return *std::find_if(answers.rbegin(), answers.rend(),
                         [&](const auto* one) { return votes[one->label] == most; });
  }

  std::int64_t next_version(const std::string& item) const {
    std::int64_t version = 1;
    while (seen_.label_event(batch_.source, item, version)) ++version;
    return version;
  }

  /// The label falls with the last answer that was withdrawn.
  void end_label(const std::string& item, index_t label) {
    const auto last = last_withdrawn_.find(item);
    if (last == last_withdrawn_.end() || of_.settings().labelling.regulated) return;
    json body = json::parse(events_[last->second].body);
    body["replaces"] = label;
    events_[last->second].body = body.dump();
  }

  void propose(const std::string& item, const std::string& before, index_t label,
               const answer_book::entry& wanted) {
    if (new_.count(item) == 0) return;
    ++result_.proposed;
    events_.push_back(
        {"proposal", json{{"item", item},
                          {"before", before},
                          {"label", wanted.label},
                          {"replaces", label},
                          {"by", wanted.by},
                          {"why", "the answers in " + batch_.source + " say so"},
                          {"key", batch_.source + "/" + item + "/" + std::to_string(wanted.version)}}
                         .dump()});
  }

  campaign& of_;
  const annotation_batch& batch_;
  const tables& seen_;
  answer_book book_;
  index_t guideline_;
  const item_table* pool_ = nullptr;
  std::vector<new_event> events_;
  std::map<std::string, index_t> items_;               // that the batch speaks of, and where
  std::set<std::string> new_;                          // those of which something is recorded
  std::map<std::string, std::size_t> last_withdrawn_;  // among the events
};

}  // namespace

recorded_annotations record_annotations(campaign& of, const annotation_batch& batch, std::int64_t now_ms) {
  if (batch.source.empty()) throw usage_error("annotations: say where they come from (--source)");
  recorded_annotations result;
  const auto decide = [&](const tables& seen) {
    recorder change(of, batch, seen);
    try {
      std::vector<new_event> events = change.events();
      result = std::move(change.result_);
      return events;
    } catch (const nothing_recorded&) {
      result = std::move(change.result_);
      throw;
    }
  };
  try {
    of.record(now_ms, decide);
  } catch (const nothing_recorded&) {
    throw value_error("annotations: line " + std::to_string(result.refused[0].line) + ": " +
                      result.refused[0].why + "; " + std::to_string(result.refused.size()) +
                      " are refused, and nothing is recorded (--strict)");
  }
  return result;
}

}  // namespace poolwise
