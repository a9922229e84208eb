// Bodies of events as JSON values. Not part of the public interface.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "poolwise/ledger/event.hpp"

namespace poolwise {

/// As `canonical_body`, whose result is the value's dump().
nlohmann::json parsed_body(const new_event& given);

/// The body of a recorded event. throws format_error where it is not what was recorded.
nlohmann::json body_of(const event& recorded);

/// What stands under a key; none where nothing does, or null.
template <class Value>
std::optional<Value> optional_in(const nlohmann::json& body, const char* key) {
  const auto found = body.find(key);
  return found == body.end() || found->is_null() ? std::nullopt : std::optional<Value>(found->get<Value>());
}

/// Text as it is, whatever else as JSON.
inline std::string words_of(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// The words under a key; empty where there are none, or null.
inline std::string words_in(const nlohmann::json& body, const char* key) {
  const auto found = body.find(key);
  return found == body.end() || found->is_null() ? std::string() : words_of(*found);
}

}  // namespace poolwise
