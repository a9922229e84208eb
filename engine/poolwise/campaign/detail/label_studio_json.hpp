// Label Studio's tasks as JSON. Not part of the public interface.
#pragma once

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "poolwise/campaign/annotations.hpp"

namespace poolwise {

/// The item of a task, by its data or its meta; empty of one that is not ours.
std::string item_of_task(const nlohmann::json& task);

/// Adds the annotations of a task.
/// people  names by Label Studio's numbers; who is not there is called "user 7"
/// number  of the task, for messages;  refuse  hears of an annotation that cannot be read
void add_annotations(const nlohmann::json& task, const std::map<std::int64_t, std::string>& people,
                     index_t number, std::vector<annotation>& into,
                     const std::function<void(index_t, const std::string&)>& refuse);

/// Text of a member; empty where it is not there, or is no text.
std::string member_text(const nlohmann::json& of, const char* key);

/// The member, or null where it is not there or `of` is no object.
const nlohmann::json& member(const nlohmann::json& of, const char* key);

}  // namespace poolwise
