#include "poolwise/campaign/people.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "poolwise/ledger/detail/body.hpp"

namespace poolwise {
namespace {

using nlohmann::json;

answer answer_in(const event& of, const json& body) {
  return {.item = body.at("item"),
          .annotator = body.at("by"),
          .label = words_of(body.at("label")),
          .confidence = optional_in<double>(body, "confidence"),
          .seconds = optional_in<double>(body, "seconds"),
          .cost = optional_in<std::int64_t>(body, "cost"),
          .guideline = optional_in<index_t>(body, "guideline").value_or(0),
          .at_ms = of.at_ms,
          .is_label = of.kind == "label",
          .event = of.number};
}

/// Labels that several answers made, or a reviewer.
bool is_made(const json& label) {
  const json& source = label.at("source");
  return source == by_aggregate || source == "review" || label.contains("agreed");
}

}  // namespace

std::vector<answer> answers_in(const tables& seen, index_t before) {
  std::vector<answer> found;
  std::map<std::pair<std::string, std::string>, index_t> withdrawn;  // the last time, by source and external id
  const auto key_of = [](const json& body) {
    return std::pair(body.value("source", std::string()), body.value("external", std::string()));
  };
  seen.each_of("withdrawn", [&](const event& one) {
    if (one.number < before) withdrawn[key_of(json::parse(one.body))] = one.number;
  });
  const auto visit = [&](const event& one) {
    if (one.number >= before) return;
    const json body = json::parse(one.body);
    const auto gone = withdrawn.find(key_of(body));
    if (one.kind == "answer" && gone != withdrawn.end() && gone->second > one.number) return;
    const auto by = body.find("by");
    if (by == body.end() || !by->is_string() || by->get_ref<const std::string&>().empty()) return;
    if (one.kind == "label" && is_made(body)) return;
    found.push_back(answer_in(one, body));
  };
  seen.each_of("answer", visit);
  seen.each_of("label", visit);
  std::sort(found.begin(), found.end(), [](const answer& a, const answer& b) { return a.event < b.event; });
  return found;
}

std::map<std::string, std::string> gold_in(const tables& seen, index_t before) {
  std::map<std::string, std::string> known;
  seen.each_of("gold", [&](const event& one) {
    if (one.number >= before) return;
    const json body = json::parse(one.body);
    known[body.at("item").get<std::string>()] = words_of(body.at("label"));
  });
  return known;
}

std::string body_of(const answer& given, const std::string& key) {
  json body{{"item", given.item}, {"label", given.label}, {"by", given.annotator}, {"key", key}};
  if (given.confidence) body["confidence"] = *given.confidence;
  if (given.seconds) body["seconds"] = *given.seconds;
  if (given.cost) body["cost"] = *given.cost;
  if (given.guideline > 0) body["guideline"] = given.guideline;
  return body.dump();
}

}  // namespace poolwise
