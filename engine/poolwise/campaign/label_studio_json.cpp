#include "poolwise/campaign/detail/label_studio_json.hpp"

#include <optional>

#include "poolwise/campaign/exchange.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

std::string person_in(const json& annotation, const std::map<std::int64_t, std::string>& people) {
  const json& who = member(annotation, "completed_by");
  if (const std::string email = member_text(who, "email"); !email.empty()) return email;
  const json& number = who.is_object() ? member(who, "id") : who;
  if (!number.is_number_integer()) return {};
  const auto known = people.find(number.get<std::int64_t>());
  return known == people.end() ? "user " + std::to_string(number.get<std::int64_t>()) : known->second;
}

/// The words that are chosen, in the control `label` where there is one.
json chosen_words(const json& result) {
  json words = json::array();
  bool is_own = false;
  for (const json& one : result) {
    if (member_text(one, "type") != "choices") continue;
    const bool now = member_text(one, "from_name") == "label";
    if (is_own && !now) continue;
    if (now && !is_own) words = json::array();
    is_own = now;
    for (const json& word : member(member(one, "value"), "choices")) words.push_back(word);
  }
  return words;
}

}  // namespace

const json& member(const json& of, const char* key) {
  static const json none;
  if (!of.is_object()) return none;
  const auto found = of.find(key);
  return found == of.end() ? none : *found;
}

std::string member_text(const json& of, const char* key) {
  const json& found = member(of, key);
  return found.is_string() ? found.get<std::string>() : std::string();
}

std::string item_of_task(const json& task) {
  std::string item = member_text(member(task, "data"), "item");
  return item.empty() ? member_text(member(task, "meta"), "item") : item;
}

void add_annotations(const json& task, const std::map<std::int64_t, std::string>& people, index_t number,
                     std::vector<annotation>& into,
                     const std::function<void(index_t, const std::string&)>& refuse) {
  for (const json& one : member(task, "annotations")) {
    const json &id = member(one, "id"), &project = member(task, "project");
    const auto version = microseconds_in(member_text(one, "updated_at"));
    if (!id.is_number_integer() || !project.is_number_integer() || !version) {
      refuse(number, "an annotation has no number, project or time of its change (updated_at)");
      continue;
    }
    annotation found{
        .line = number,
        .external = std::to_string(project.get<std::int64_t>()) + "/" + std::to_string(id.get<std::int64_t>()),
        .item = item_of_task(task),
        .label = {},
        .version = version,
        .by = person_in(one, people),
        .why = {},
        .seconds = {}};
    if (const json& time = member(one, "lead_time"); time.is_number()) found.seconds = time.get<double>();
    const json words = chosen_words(member(one, "result"));
    if (member(one, "was_cancelled") == true)
      found.why = "skipped";
    else if (words.empty())
      found.why = "no choice";
    else if (words.size() == 1 && words[0].is_string())
      found.label = words[0].get<std::string>();
    else
      found.refused = "annotation " + found.external + " has " + std::to_string(words.size()) +
                      " choices; an item has one label";
    into.push_back(std::move(found));
  }
}

}  // namespace poolwise
