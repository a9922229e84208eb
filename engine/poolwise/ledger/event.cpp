#include "poolwise/ledger/event.hpp"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/ledger/detail/body.hpp"

namespace poolwise {
namespace {

using nlohmann::json;

constexpr std::size_t shown = 80;
constexpr int most_levels = 100;  // a value is written by recursion
constexpr std::int64_t most_cost = 1'000'000'000'000, most_seconds = 1'000'000'000;

enum class form {
  text,
  name,
  number,
  whole,
  from_one,
  cost,
  share,
  seconds,
  integer,
  boolean,
  array,
  object,
  names,
  any
};

struct key_rule {
  const char* name;
  form is;
  bool may_be_null = false, may_be_missing = false;
};
constexpr bool or_null = true, optional = true;

const std::map<std::string, std::vector<key_rule>, std::less<>>& rules() {
  static const std::map<std::string, std::vector<key_rule>, std::less<>> all = {
      {"campaign", {{"name", form::text}, {"settings", form::text}, {"version", form::text}}},
      {"settings", {{"settings", form::text}}},
      {"pool", {{"version", form::from_one}, {"rows", form::whole}, {"parts", form::array}}},
      {"model", {{"model", form::from_one}, {"pool", form::from_one}, {"parts", form::array}}},
      {"guideline", {{"guideline", form::from_one}, {"text", form::text}}},
      {"round",
       {{"round", form::from_one},
        {"pool", form::from_one},
        {"model", form::from_one, or_null, optional},
        {"spec", form::object},
        {"picks", form::whole}}},
      {"decision",
       {{"round", form::from_one},
        {"rank", form::from_one},
        {"item", form::name},
        {"row", form::whole},
        {"score", form::number, or_null},
        {"cost", form::cost},
        {"group", form::text, or_null, optional},
        {"arm", form::name},
        {"reason", form::text},
        {"probability", form::share, or_null, optional}}},
      {"excluded", {{"items", form::names}, {"why", form::text}}},
      {"label",
       {{"item", form::name},
        {"label", form::any},
        {"source", form::text},
        {"external", form::text},
        {"version", form::integer},
        {"by", form::text, or_null, optional},
        {"why", form::text, or_null, optional},
        {"seconds", form::seconds, or_null, optional},
        {"confidence", form::number, or_null, optional},
        {"cost", form::cost, or_null, optional},
        {"replaces", form::whole, !or_null, optional}}},
      {"withdrawn",
       {{"item", form::name},
        {"source", form::text},
        {"external", form::text},
        {"version", form::integer},
        {"by", form::text, or_null, optional},
        {"why", form::text, or_null, optional},
        {"replaces", form::whole, !or_null, optional}}},
      {"answer",
       {{"item", form::name},
        {"label", form::any},
        {"by", form::name},
        {"key", form::text},
        {"why", form::text, or_null, optional},
        {"seconds", form::seconds, or_null, optional},
        {"confidence", form::number, or_null, optional},
        {"cost", form::cost, or_null, optional},
        {"guideline", form::from_one, or_null, optional}}},
      {"gold", {{"item", form::name}, {"label", form::any}, {"why", form::text, or_null, optional}}},
      {"aggregate", {{"aggregate", form::from_one}, {"method", form::text}, {"events", form::whole}}},
      {"evaluation", {{"round", form::whole}}},
      {"verdict", {{"round", form::whole}, {"stop", form::boolean}, {"rules", form::array}}},
      {"note", {{"text", form::text}}}};
  return all;
}

bool is_whole(const json& value, std::int64_t least, std::int64_t most) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t(most)) return false;
  const auto number = value.get<std::int64_t>();
  return number >= least && number <= most;
}

bool is_name(const json& value) { return value.is_string() && !value.get_ref<const std::string&>().empty(); }

/// Nothing where the value is of that form, or the words for it.
const char* lacking(const json& value, form is) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  switch (is) {
    case form::text:
      return value.is_string() ? nullptr : "text";
    case form::name:
      return is_name(value) ? nullptr : "text that is not empty";
    case form::number:
      return value.is_number() ? nullptr : "a number";
    case form::whole:
      return is_whole(value, 0, most) ? nullptr : "a whole number from 0 up";
    case form::from_one:
      return is_whole(value, 1, most) ? nullptr : "a whole number from 1 up";
    case form::cost:
      return is_whole(value, 0, most_cost) ? nullptr : "a whole number of the smallest unit, from 0 to 10^12";
    case form::share:
      return value.is_number() && value >= 0 && value <= 1 ? nullptr : "a number from 0 to 1";
    case form::seconds:
      return value.is_number() && value >= 0 && value <= most_seconds ? nullptr : "a number from 0 to 10^9";
    case form::integer:
      return is_whole(value, std::numeric_limits<std::int64_t>::min(), most) ? nullptr : "a whole number";
    case form::boolean:
      return value.is_boolean() ? nullptr : "true or false";
    case form::array:
      return value.is_array() ? nullptr : "an array";
    case form::object:
      return value.is_object() ? nullptr : "an object";
    case form::names:
      return value.is_array() && std::all_of(value.begin(), value.end(), is_name) ? nullptr : "an array of ids";
    case form::any:
      return value.is_null() ? "a value" : nullptr;
  }
  return nullptr;
}

[[noreturn]] void refuse(const std::string& kind, const std::string& why) {
  throw value_error("ledger: a `" + printable(kind, shown) + "` event " + why);
}

void check_kind(const std::string& kind) {
  constexpr std::size_t longest = 40;
  constexpr const char* letters = "abcdefghijklmnopqrstuvwxyz0123456789_";
  if (kind.empty() || kind.size() > longest || kind.find_first_not_of(letters) != kind.npos)
    refuse(kind, "has no kind of 1 to 40 of a-z, 0-9 and _; name it so");
}

bool is_deep(std::string_view text) {
  int level = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size() && level <= most_levels; ++i) {
    if (quoted && text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted && (text[i] == '{' || text[i] == '['))
      ++level;
    else if (!quoted && (text[i] == '}' || text[i] == ']'))
      --level;
  }
  return level > most_levels;
}

/// The object, or another value where the text is none that can be kept.
json object_in(std::string_view text) {
  if (is_deep(text)) return json(json::value_t::discarded);
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

void check_keys(const std::string& kind, const json& body) {
  const auto found = rules().find(kind);
  if (found == rules().end()) return;
  for (const key_rule& rule : found->second) {
    const auto value = body.find(rule.name);
    const bool missing = value == body.end();
    if (missing && !rule.may_be_missing) refuse(kind, std::string("lacks `") + rule.name + "`; give it one");
    if (missing || (value->is_null() && rule.may_be_null)) continue;
    if (const char* const needed = lacking(*value, rule.is))
      refuse(kind, std::string("has `") + rule.name + "` " + printable(value->dump(), shown) + "; it must be " +
                       needed);
  }
}

}  // namespace

std::string line_of(const event& recorded) {
  std::string line = "{\"n\":";
  line.reserve(recorded.body.size() + recorded.kind.size() + 80);
  line += std::to_string(recorded.number);
  line += ",\"at\":" + std::to_string(recorded.at_ms);
  line += ",\"kind\":\"" + recorded.kind + "\",\"body\":";
  line += recorded.body;
  line += '}';
  return line;
}

event event_in(std::string_view line) {
  const json parsed = object_in(line);
  event found;
  try {
    if (parsed.is_object())
      found = {parsed.at("n").get<index_t>(), parsed.at("at").get<std::int64_t>(),
               parsed.at("kind").get<std::string>(), parsed.at("body").dump()};
    check_kind(found.kind);
  } catch (const std::exception&) {
    found = {};
  }
  if (found.kind.empty() || line_of(found) != line)
    throw format_error("ledger: " + printable(line, shown) +
                       " is no line of an event; export the events again");
  return found;
}

json parsed_body(const new_event& given) {
  check_kind(given.kind);
  json body = object_in(given.body);
  if (!body.is_object())
    refuse(given.kind, "has the body " + printable(given.body, shown) + "; pass a JSON object");
  check_keys(given.kind, body);
  return body;
}

json body_of(const event& recorded) {
  try {
    return parsed_body({recorded.kind, recorded.body});
  } catch (const value_error& problem) {
    throw format_error(std::string(problem.what()) + ": event " + std::to_string(recorded.number) +
                       " was altered; see `verify`");
  }
}

std::string canonical_body(const new_event& given) { return parsed_body(given).dump(); }

}  // namespace poolwise
