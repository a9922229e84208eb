// How handlers read a body and make an answer.
#pragma once

#include <set>
#include <stdexcept>
#include <string>

#include "api.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise::serve {

struct refused : std::runtime_error {
  refused(int code, const std::string& why) : std::runtime_error(why), status(code) {}
  int status;
};

inline response json_reply(const json& body, int status = 200) {
  return {.status = status, .body = body.dump(-1, ' ', false, json::error_handler_t::replace)};
}
inline response error_reply(int status, const std::string& why) { return json_reply({{"error", why}}, status); }

/// The members of a JSON object, each of the right kind, and no others.
class members {
 public:
  explicit members(const json& body) : body_(body) {}
  ~members() noexcept = default;

  /// Empty where it may be missing and is.
  std::string text(const char* name, std::size_t most, bool may_be_missing = false) {
    const json* found = take(name, may_be_missing);
    if (found == nullptr) return {};
    if (!found->is_string()) refuse(name, "is a text");
    const std::string& value = found->get_ref<const std::string&>();
    if (value.size() > most) refuse(name, "has at most " + std::to_string(most) + " bytes");
    if (!may_be_missing && value.empty()) refuse(name, "is not empty");
    return value;
  }
  std::optional<double> number(const char* name, double least, double most, bool may_be_missing = false) {
    const json* found = take(name, may_be_missing);
    if (found == nullptr) return std::nullopt;
    if (!found->is_number()) refuse(name, "is a number");
    const auto value = found->get<double>();
    if (!(value >= least && value <= most)) refuse(name, "is out of range");
    return value;
  }
  index_t whole(const char* name, index_t least, index_t most) {
    const json* found = take(name, false);
    if (!found->is_number_integer() || *found < least || *found > most)
      refuse(name, "is no whole number in range");
    return found->get<index_t>();
  }
  std::optional<bool> yes(const char* name, bool may_be_missing = false) {
    const json* found = take(name, may_be_missing);
    if (found == nullptr) return std::nullopt;
    if (!found->is_boolean()) refuse(name, "is true or false");
    return found->get<bool>();
  }
  std::vector<std::string> texts(const char* name, std::size_t most) {
    const json* found = take(name, false);
    if (!found->is_array() || found->size() > most) refuse(name, "is a list of texts");
    std::vector<std::string> all;
    for (const json& one : *found) {
      if (!one.is_string()) refuse(name, "is a list of texts");
      all.push_back(one);
    }
    return all;
  }
  void finish() const {
    for (const auto& [name, value] : body_.items())
      if (taken_.count(name) == 0) throw refused(400, "there is no member `" + printable(name, 40) + "` here");
  }

 private:
  const json* take(const char* name, bool may_be_missing) {
    taken_.insert(name);
    const auto found = body_.find(name);
    if (found == body_.end() || found->is_null()) {
      if (!may_be_missing) throw refused(400, std::string("`") + name + "` is missing");
      return nullptr;
    }
    return &*found;
  }
  [[noreturn]] static void refuse(const char* name, const std::string& needs) {
    throw refused(400, std::string("`") + name + "` " + needs);
  }

  const json& body_;
  std::set<std::string> taken_;
};

}  // namespace poolwise::serve
