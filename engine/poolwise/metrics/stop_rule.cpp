#include <algorithm>
#include <charconv>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/metrics/detail/stop_words.hpp"
#include "poolwise/metrics/stopping.hpp"

namespace poolwise {
namespace {

/// Reads the words of one rule.
class reader {
  static constexpr int most_nested = 16;

 public:
  explicit reader(const std::string& text) : text_(text) {}

  stop_rule read() const {
    const cut_text cut = cut_outside_parentheses(text_, ',');
    if (cut.unmatched != std::string::npos)
      refuse(std::string_view(text_).substr(cut.unmatched),
             "is a parenthesis without its other; close each once");
    if (cut.depth > most_nested)
      refuse(text_,
             "nests parentheses more than " + std::to_string(most_nested) + " deep; write fewer any and all");
    if (cut.parts.size() > 1) refuse(cut.parts[1], "begins a second rule; join rules as any(...) or all(...)");
    return rule_of(cut.parts[0]);
  }

 private:
  [[noreturn]] void refuse(std::string_view at, const std::string& why) const {
    throw usage_error("stop rule \"" + printable(text_, 200) + "\": at character " +
                      std::to_string(at.data() - text_.data() + 1) + ", \"" + printable(at, 40) + "\" " + why);
  }

  const stop_word& word_of(std::string_view name) const {
    std::vector<std::string> known{"any", "all"};
    for (const stop_word& word : stop_words()) {
      if (name == word.name) return word;
      known.emplace_back(word.name);
    }
    refuse(name, "is no stopping rule; the nearest is \"" +
                     nearest_word(in_lower_case(std::string(name)), known) + "\"");
  }

  /// What stands in the parentheses that open at `open`; nothing where there are none.
  std::vector<std::string_view> arguments_of(std::string_view word, std::size_t open) const {
    if (open == std::string_view::npos) return {};
    const std::string_view inside = word.substr(open + 1, word.size() - open - 2);
    const cut_text cut = cut_outside_parentheses(inside, ',');
    if (word.back() != ')' || cut.unmatched != std::string_view::npos)
      refuse(word, "goes on behind its parenthesis; separate rules by commas");
    return cut.parts.size() == 1 && cut.parts[0].empty() ? std::vector<std::string_view>{} : cut.parts;
  }

  stop_rule rule_of(std::string_view word) const {
    const std::size_t open = word.find('(');
    std::string_view name = word.substr(0, open);
    name = name.substr(0, name.find_last_not_of(' ') + 1);
    const std::vector<std::string_view> given = arguments_of(word, open);
    if (name == "any" || name == "all") return joined(word, name, given);
    const stop_word& known = word_of(name);
    stop_rule rule{std::string(name), {}};
    for (const parameter& p : known.parameters) rule.arguments.push_back(p.standard);
    std::vector<bool> taken(known.parameters.size());
    for (std::size_t i = 0; i < given.size(); ++i) {
      const auto [place, value] = argument_of(given[i], i, known);
      if (taken[place]) refuse(given[i], std::string("gives ") + known.parameters[place].name + " twice");
      taken[place] = true;
      rule.arguments[place] = value;
    }
    return rule;
  }

  stop_rule joined(std::string_view word, std::string_view name,
                   std::span<const std::string_view> given) const {
    stop_rule rule{std::string(name), {}};
    for (const std::string_view part : given) rule.parts.push_back(rule_of(part));
    if (rule.parts.empty()) refuse(word, "joins no rules; write such as any(target, budget)");
    return rule;
  }

  /// The place of a parameter, and its value; `place` is that of an argument without a name.
  std::pair<std::size_t, double> argument_of(std::string_view argument, std::size_t place,
                                             const stop_word& of) const {
    const std::size_t equals = argument.find('=');
    std::string_view value = argument;
    if (equals != std::string_view::npos) {
      const std::string_view name = argument.substr(0, argument.find_last_not_of(" =", equals) + 1);
      place = std::size_t(std::find_if(of.parameters.begin(), of.parameters.end(),
                                       [&](const parameter& p) { return name == p.name; }) -
                          of.parameters.begin());
      if (place == of.parameters.size()) refuse(argument, "names no parameter; " + takes(of));
      value.remove_prefix(std::min(argument.find_first_not_of(' ', equals + 1), argument.size()));
    }
    if (place >= of.parameters.size()) refuse(argument, "is one argument too many; " + takes(of));
    const auto number = number_in<double>(value);
    if (!number) refuse(argument, "gives no number; " + takes(of));
    const std::string needed = needed_instead(of.parameters[place].range, *number);
    if (!needed.empty()) refuse(argument, std::string("must be ") + needed);
    return {place, *number};
  }

  static std::string takes(const stop_word& of) {
    return of.parameters.empty() ? std::string(of.name) + " takes none" : "write such as " + word_text(of);
  }

  const std::string& text_;
};

}  // namespace

std::string shortest(double x) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, x).ptr};
}

std::string word_text(const stop_word& word) {
  std::string text = word.name;
  for (const parameter& p : word.parameters)
    text += (&p == word.parameters.data() ? "(" : ", ") + std::string(p.name) + "=" + shortest(p.standard);
  return word.parameters.empty() ? text : text + ")";
}

std::string stop_rule::text() const {
  std::string inside;
  for (const double value : arguments) inside += (inside.empty() ? "" : ", ") + shortest(value);
  for (const stop_rule& part : parts) inside += (inside.empty() ? "" : ", ") + part.text();
  return inside.empty() ? name : name + "(" + inside + ")";
}

stop_rule parse_stop_rule(const std::string& text) { return reader(text).read(); }

std::vector<std::string> stop_rule_words() {
  std::vector<std::string> lines;
  for (const stop_word& word : stop_words())
    lines.push_back(word_text(word) + ": " + word.meaning +
                    (*word.source ? std::string(" (") + word.source + ")" : ""));
  return lines;
}

}  // namespace poolwise
