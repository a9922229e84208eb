#include "poolwise/campaign/desk.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/csv.hpp"
#include "poolwise/ledger/detail/body.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

constexpr std::size_t shown = 80, recent_times = 200, recent_items = 20;
constexpr const char* by_page = "page";
constexpr const char* by_review = "review";

std::optional<double> number_in_body(const json& body, const char* key) {
  const auto found = body.find(key);
  return found != body.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

void require_reason(const std::string& why) {
  if (trimmed(why).empty()) throw value_error("a change of a label needs a reason; say why");
}

void require_key(const std::string& key) {
  if (key.empty() || key.size() > 100) throw value_error("a request needs a key of 1 to 100 bytes of its own");
}

bool differ(const std::vector<given_answer>& answers) {  // of no answer nothing does
  return std::any_of(answers.begin(), answers.end(),
                     [&](const given_answer& one) { return one.label != answers.front().label; });
}

}  // namespace

std::optional<double> desk_person::median_seconds() const {
  if (seconds.empty()) return std::nullopt;
  std::vector<double> sorted(seconds.begin(), seconds.end());
  const auto middle = sorted.begin() + std::ptrdiff_t(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

desk::desk(const campaign_settings& settings)
    : settings_(settings), book_(settings.labelling.overlap, settings.labelling.lease_minutes * 60'000) {}

void desk::follow(const tables& seen) {
  seen.each_event(followed_, std::numeric_limits<index_t>::max(), [&](const event& one) { fold(one); });
}

void desk::fold(const event& recorded) {
  followed_ = recorded.number + 1;
  book_.expire(recorded.at_ms);
  if (recorded.kind == "decision") return fold_decision(recorded);
  if (recorded.kind == "label") return fold_label(recorded);
  try {
    fold_other(recorded);
  } catch (const json::exception&) {  // another program's event by that name
  }
}

void desk::fold_other(const event& recorded) {
  const json body = json::parse(recorded.body);
  if (const std::string key = words_in(body, "key"); !key.empty()) keys_.emplace(key, recorded.number);
  if (recorded.kind == "round") {
    ++rounds_;
  } else if (recorded.kind == "guideline") {
    guideline_ = body.at("guideline");
  } else if (recorded.kind == "excluded") {
    for (const json& one : body.at("items")) book_.close(one);
  } else if (recorded.kind == "lease") {
    for (const json& one : body.at("items")) book_.grant(body.at("who"), {one, body.at("until")});
  } else if (recorded.kind == "returned") {
    const bool skipped = body.value("skipped", false);
    for (const json& one : body.at("items")) book_.give_back(body.at("who"), one, skipped);
    if (skipped) people_[body.at("who")].skipped += index_t(body.at("items").size());
  } else if (recorded.kind == "answer") {
    add_answer(body.at("item"), {body.at("by"), words_in(body, "label"), recorded.number}, recorded.at_ms,
               number_in_body(body, "seconds"));
  } else if (recorded.kind == "withdrawn") {
    fold_withdrawn(body.at("item"), body.at("by"), body.contains("replaces"));
  } else if (recorded.kind == "flag") {
    const std::string item = body.at("item");
    desk_item& of = handed_out(item);
    if (of.flags.empty()) flagged_.push_back(item);
    of.flags.emplace_back(body.at("by"), words_in(body, "why"));
    ++people_[body.at("by")].flagged;
  } else if (recorded.kind == "proposal") {
    const label_proposal one{recorded.number,  recorded.at_ms, body.at("item"), body.at("before"),
                             body.at("label"), body.at("by"),  body.at("why"),  body.at("replaces")};
    handed_out(one.item).proposal = one.event;
    proposals_.emplace(one.event, one);
  } else if (recorded.kind == "ruling") {
    const auto proposal = proposals_.find(body.at("proposal").get<index_t>());
    if (proposal == proposals_.end()) return;
    handed_out(proposal->second.item).proposal.reset();
    proposals_.erase(proposal);
  }
}

void desk::fold_decision(const event& recorded) {
  const json body = json::parse(recorded.body);
  const std::string id = body.at("item");
  desk_item& item = items_[id];
  item.round = body.at("round");
  item.rank = body.at("rank");
  item.slice = words_in(body, "group");
  item.type = words_in(body, "type");
  if (const auto predicted = number_in_body(body, "predicted")) item.predicted = std::int32_t(*predicted);
  item.confidence = number_in_body(body, "confidence");
  book_.add(id);
}

/// A label becomes the current one unless it is an older version of what the item has.
void desk::fold_label(const event& recorded) {
  const json body = json::parse(recorded.body);
  const std::string id = body.at("item"), source = words_in(body, "source"), by = words_in(body, "by");
  desk_item& item = items_[id];
  const std::string label = words_in(body, "label");
  if (source == by_page || source == by_review) keys_.emplace(words_in(body, "external"), recorded.number);
  if (item.label_event && !body.contains("replaces")) return;
  if (item.label_event && item.label != label) ++people_[by].changed;
  item.label = label;
  item.by = by;
  item.label_event = recorded.number;
  const bool is_answer = source == by_page && !body.contains("agreed");
  if (is_answer) add_answer(id, {by, label, recorded.number}, recorded.at_ms, number_in_body(body, "seconds"));
  if (is_answer && book_.overlap() == 1) return;
  book_.close(id);
  if (source == by_page) return;
  item.reviewed = true;
  look_for_conflict(id, item);
}

void desk::add_answer(const std::string& id, given_answer one, std::int64_t at_ms,
                      std::optional<double> seconds) {
  desk_item& item = items_[id];
  desk_person& person = people_[one.by];
  book_.answer(one.by, id);
  person.last_ms = at_ms;
  const auto before = std::find_if(item.answers.begin(), item.answers.end(),
                                   [&](const given_answer& other) { return other.by == one.by; });
  if (before != item.answers.end()) {
    *before = std::move(one);
  } else {
    ++person.labels;
    if (seconds && *seconds > 0) person.seconds.push_back(*seconds);
    if (person.seconds.size() > recent_times) person.seconds.pop_front();
    for (const given_answer& other : item.answers)
      for (desk_person* each : {&person, &people_[other.by]}) {
        ++each->compared;
        each->agreed += other.label == one.label;
      }
    item.answers.push_back(std::move(one));
  }
  std::erase(person.items, id);
  person.items.push_back(id);
  if (person.items.size() > recent_items) person.items.pop_front();
  look_for_conflict(id, item);
}

void desk::fold_withdrawn(const std::string& id, const std::string& by, bool with_label) {
  desk_item& item = items_[id];
  std::erase_if(item.answers, [&](const given_answer& one) { return one.by == by; });
  book_.withdraw(by, id);
  if (with_label) {
    item.label.clear();
    item.by.clear();
    item.label_event.reset();
    item.reviewed = false;
    book_.reopen(id);
  }
  look_for_conflict(id, item);
}

void desk::look_for_conflict(const std::string& id, desk_item& item) {
  item.in_conflict = !item.reviewed && index_t(item.answers.size()) >= book_.overlap() && differ(item.answers);
  item.in_conflict ? void(conflicts_.insert(id)) : void(conflicts_.erase(id));
}

std::optional<desk_outcome> desk::known(const std::string& key) const {
  require_key(key);
  const auto before = keys_.find(key);
  if (before == keys_.end()) return std::nullopt;
  return desk_outcome{.state = "known", .event = before->second};
}

desk_item& desk::handed_out(const std::string& id) {
  const auto found = items_.find(id);
  if (found == items_.end())
    throw usage_error("there is no item " + printable(id, shown) + " among those that were handed out");
  return found->second;
}

const desk_item* desk::item(const std::string& id) const {
  const auto found = items_.find(id);
  return found == items_.end() ? nullptr : &found->second;
}

void desk::require_label(const std::string& label) const {
  constexpr std::size_t longest = 10'000;
  if (label.empty() || label.size() > longest || !is_utf8(label))
    throw value_error("a label is a text of 1 to 10,000 bytes");
  const auto& labels = settings_.labels;
  if (!labels.empty() && std::find(labels.begin(), labels.end(), label) == labels.end())
    throw value_error("there is no label \"" + printable(label, shown) +
                      "\" in campaign.toml; the nearest is \"" + nearest_word(label, labels) + "\"");
}

desk_outcome desk::take(const std::string& person, index_t count, std::int64_t now_ms) {
  constexpr index_t most = 100;
  const std::int64_t half = settings_.labelling.lease_minutes * 30'000;
  book_.expire(now_ms);
  std::map<std::string, std::int64_t> before;
  for (const lease& one : book_.held_by(person)) before[one.item] = one.until_ms;
  desk_outcome outcome;
  std::vector<std::string> items;
  std::int64_t until = 0;
  bool worth = false;  // an event for each look would fill the ledger
  for (const lease& one : book_.take(person, std::min(count, most), now_ms)) {
    const auto held = before.find(one.item);
    worth |= held == before.end() || held->second - one.until_ms < -half;
    items.push_back(one.item);
    until = one.until_ms;
  }
  if (!worth) {
    for (const auto& [item, end] : before) book_.grant(person, {item, end});
    return outcome;
  }
  outcome.events.push_back({"lease", json{{"who", person}, {"items", items}, {"until", until}}.dump()});
  return outcome;
}

desk_outcome desk::give_back(const std::string& person, const std::vector<std::string>& items, bool skipped,
                             const std::string& why) {
  std::vector<std::string> held;
  for (const std::string& one : items)
    if (book_.holds(person, one) && std::find(held.begin(), held.end(), one) == held.end()) held.push_back(one);
  if (held.empty()) return {.state = "known"};
  json body{{"who", person}, {"items", held}, {"skipped", skipped}};
  if (!why.empty()) body["why"] = why;
  return {.events = {{"returned", body.dump()}}};
}

desk_outcome desk::answer(const desk_answer& given) {
  if (auto before = known(given.key)) return *before;
  require_label(given.label);
  const desk_item& item = handed_out(given.item);
  if (!book_.was_lent(given.by, given.item))
    throw usage_error("item " + printable(given.item, shown) + " was never before you; ask for work");
  const auto own = std::find_if(item.answers.begin(), item.answers.end(),
                                [&](const given_answer& one) { return one.by == given.by; });
  const bool corrects = own != item.answers.end();
  if (corrects && own->label == given.label) return {.state = "known", .event = own->event};
  if (corrects && item.label_event && settings_.labelling.regulated)
    throw conflict_error("item " + printable(given.item, shown) +
                         " has your label already, and labels are changed by review alone; propose the change");
  json body{{"item", given.item}, {"label", given.label}, {"by", given.by}, {"seconds", given.seconds}};
  if (given.confidence) body["confidence"] = *given.confidence;
  if (guideline_ > 0) body["guideline"] = guideline_;
  const auto as_label = [&](json of) {
    of["source"] = by_page;
    of["external"] = given.key;
    of["version"] = 1;
    return new_event{"label", of.dump()};
  };
  const auto as_answer = [&](json of) {
    of["key"] = given.key;
    return new_event{"answer", of.dump()};
  };
  const bool is_current = item.label_event && item.by == given.by;
  if (book_.overlap() == 1 && corrects && is_current) {
    body["why"] = given.why.empty() ? "corrected by whoever gave it" : given.why;
    body["replaces"] = *item.label_event;
    return {.events = {as_label(body)}};
  }
  if (item.label_event) {
    body["surplus"] = true;
    return {.events = {as_answer(body)}, .state = "surplus"};
  }
  if (book_.overlap() == 1) return {.events = {as_label(body)}};
  std::vector<given_answer> all = item.answers;
  if (corrects)
    all[std::size_t(own - item.answers.begin())].label = given.label;
  else
    all.push_back({given.by, given.label, 0});
  if (index_t(all.size()) < book_.overlap()) return {.events = {as_answer(body)}};
  if (differ(all)) return {.events = {as_answer(body)}, .state = "conflict"};
  json agreed{{"item", given.item},
              {"label", given.label},
              {"source", by_page},
              {"external", "agreed:" + given.key},
              {"version", 1},
              {"agreed", all.size()},
              {"why", "all who were asked agree"}};
  if (guideline_ > 0) agreed["guideline"] = guideline_;
  return {.events = {as_answer(body), {"label", agreed.dump()}}, .state = "agreed"};
}

desk_outcome desk::flag(const std::string& key, const std::string& by, const std::string& item,
                        const std::string& why) {
  if (auto before = known(key)) return *before;
  handed_out(item);
  require_reason(why);
  return {.events = {{"flag", json{{"item", item}, {"by", by}, {"why", why}, {"key", key}}.dump()}}};
}

desk_outcome desk::propose(const desk_answer& wanted) {
  if (auto before = known(wanted.key)) return *before;
  require_label(wanted.label);
  require_reason(wanted.why);
  const desk_item& item = handed_out(wanted.item);
  if (!item.label_event)
    throw value_error("item " + printable(wanted.item, shown) +
                      " has no label that could be another; label it");
  if (item.label == wanted.label)
    throw value_error("item " + printable(wanted.item, shown) + " has that label; propose another one");
  if (item.proposal)
    throw conflict_error("a proposal for item " + printable(wanted.item, shown) +
                         " is open; let it be decided first");
  return {.events = {{"proposal", json{{"item", wanted.item},
                                       {"before", item.label},
                                       {"label", wanted.label},
                                       {"replaces", *item.label_event},
                                       {"by", wanted.by},
                                       {"why", wanted.why},
                                       {"key", wanted.key}}
                                      .dump()}}};
}

desk_outcome desk::rule(const std::string& key, const std::string& by, index_t proposal, bool approve,
                        const std::string& why) {
  if (auto before = known(key)) return *before;
  require_reason(why);
  const auto open = proposals_.find(proposal);
  if (open == proposals_.end())
    throw usage_error("there is no open proposal " + std::to_string(proposal) + "; look at the list again");
  const label_proposal& one = open->second;
  if (one.by == by) throw value_error("a proposal is decided by another person than who made it");
  desk_outcome outcome;
  outcome.events.push_back(
      {"ruling",
       json{{"proposal", proposal}, {"approve", approve}, {"by", by}, {"why", why}, {"key", key}}.dump()});
  if (!approve) return outcome;
  if (handed_out(one.item).label_event != one.replaces)
    throw conflict_error("item " + printable(one.item, shown) +
                         " has another label by now; decline this proposal, and make a new one");
  json body{{"item", one.item},
            {"label", one.label},
            {"source", by_review},
            {"external", "proposal:" + std::to_string(proposal)},
            {"version", 1},
            {"by", one.by},
            {"why", one.why},
            {"approved_by", by},
            {"approval", why},
            {"proposal", proposal},
            {"replaces", one.replaces}};
  if (guideline_ > 0) body["guideline"] = guideline_;
  outcome.events.push_back({"label", body.dump()});
  return outcome;
}

desk_outcome desk::adjudicate(const desk_answer& decided) {
  if (auto before = known(decided.key)) return *before;
  require_label(decided.label);
  require_reason(decided.why);
  const desk_item& item = handed_out(decided.item);
  if (!item.in_conflict)
    throw conflict_error("the answers to item " + printable(decided.item, shown) +
                         " do not differ; look again");
  const bool answered = std::any_of(item.answers.begin(), item.answers.end(),
                                    [&](const given_answer& one) { return one.by == decided.by; });
  if (settings_.labelling.regulated && answered)
    throw value_error("a conflict is settled by somebody who has not answered the item");
  if (settings_.labelling.regulated && item.label_event && item.label != decided.label)
    throw conflict_error("item " + printable(decided.item, shown) +
                         " has a label, and labels are changed by review alone; propose the change");
  json body{{"item", decided.item}, {"label", decided.label}, {"source", by_review}, {"external", decided.key},
            {"version", 1},         {"by", decided.by},       {"why", decided.why},  {"conflict", true}};
  if (item.label_event) body["replaces"] = *item.label_event;
  if (guideline_ > 0) body["guideline"] = guideline_;
  return {.events = {{"label", body.dump()}}};
}

void require_reviewed(const tables& seen, const std::vector<new_event>& events) {
  std::map<index_t, json> rulings;
  std::map<std::string, std::string> labels;  // of this change
  for (const new_event& one : events) {
    if (one.kind == "ruling") {
      const json body = json::parse(one.body);
      rulings[body.value("proposal", index_t(-1))] = body;
    }
    if (one.kind != "label") continue;
    const json body = json::parse(one.body);
    const std::string item = words_in(body, "item"), label = words_in(body, "label");
    std::string before = labels[item];
    if (before.empty())
      if (const auto current = seen.item_now(item).label)
        before = words_in(json::parse(seen.at(*current).body), "label");
    labels[item] = label;
    if (before.empty() || before == label) continue;
    const auto ruling = rulings.find(body.value("proposal", index_t(-1)));
    const bool ruled = ruling != rulings.end() && ruling->second.value("approve", false) &&
                       !trimmed(words_in(ruling->second, "why")).empty() && ruling->first < seen.size();
    if (ruled) {
      const event recorded = seen.at(ruling->first);
      const json proposal = json::parse(recorded.body);
      if (recorded.kind == "proposal" && words_in(proposal, "item") == item &&
          words_in(proposal, "label") == label && words_in(proposal, "before") == before &&
          words_in(proposal, "by") != words_in(ruling->second, "by"))
        continue;
    }
    throw conflict_error("campaign: the label of " + printable(item, shown) +
                         " can be changed by review alone (labelling.regulated): propose it, and let another "
                         "person approve it with a reason");
  }
}

}  // namespace poolwise
