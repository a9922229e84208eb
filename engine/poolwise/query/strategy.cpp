#include "poolwise/query/strategy.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

/// A name without what people write in many ways.
std::string plain(std::string_view name) {
  std::string letters;
  for (const char c : name)
    if (c != '-' && c != '_' && c != ' ') letters += c;
  return in_lower_case(std::move(letters));
}

/// Reads the words of one strategy.
class reader {
  static constexpr int most_nested = 8;
  static constexpr std::optional<index_t> any_labels = std::numeric_limits<index_t>::max();

 public:
  explicit reader(const std::string& text) : text_(text) {}

  strategy read() const {
    std::vector<std::string> phases = split(text_, ',');
    if (phases.size() < 2) return read_phase(text_);
    strategy all{text_, {}};
    for (const std::string& phase : phases) {
      const bool last = &phase == &phases.back();
      const std::size_t at = last ? phase.size() : std::min(phase.rfind('@'), phase.size());
      const auto below = last ? any_labels : number_in<index_t>(phase.substr(std::min(at + 1, phase.size())));
      const index_t least = all.phases.empty() ? 0 : all.phases.back().below;
      if (!below || *below <= least)
        refuse(":", "\"" + phase + "\" does not say at how many labels it ends, more than " +
                        std::to_string(least) + "; write such as typiclust@500,margin");
      all.phases.push_back({*below, read_phase(phase.substr(0, at))});
    }
    all.stages = all.phases.back().picks.stages;
    return all;
  }

 private:
  strategy read_phase(const std::string& text) const {
    const std::vector<std::string> words = split(text, '/');
    if (words.size() % 2 == 0)
      refuse(
          "",
          "has " + std::to_string(words.size()) +
              " parts; write one name, or stages with what is kept between them, such as margin/10x/kcenter");
    strategy read{text, {}};
    for (std::size_t i = 0; i < words.size(); i += 2) {
      read.stages.push_back(stage_of(words[i]));
      if (i + 1 < words.size()) read.stages.back().keep = keep_of(words[i + 1]);
    }
    return read;
  }

  [[noreturn]] void refuse(const char* colon, const std::string& why) const {
    throw usage_error("strategy \"" + text_ + "\"" + colon + " " + why);
  }

  /// The parts between separators that no parenthesis encloses, without the spaces around them.
  std::vector<std::string> split(const std::string& text, char separator) const {
    const cut_text cut = cut_outside_parentheses(text, separator);
    if (cut.depth > most_nested)
      refuse(":", "nests parentheses more than " + std::to_string(most_nested) +
                      " deep; name a score inside one other");
    if (cut.unmatched != std::string::npos)
      refuse(":", "has a parenthesis without its other; write such as graph_cut(lambda=4)");
    return {cut.parts.begin(), cut.parts.end()};
  }

  const strategy_entry& entry_of(const std::string& word) const {
    std::vector<std::string> known;
    std::vector<const strategy_entry*> by_name;
    for (const strategy_entry& entry : strategies()) {
      known.push_back(plain(entry.name));
      known.insert(known.end(), entry.aliases.begin(), entry.aliases.end());
      by_name.resize(known.size(), &entry);
    }
    const std::string name = plain(word), nearest = nearest_word(name, known);
    const strategy_entry& entry =
        *by_name[std::size_t(std::find(known.begin(), known.end(), nearest) - known.begin())];
    if (nearest == name) return entry;
    throw usage_error((word == text_ ? "" : "strategy \"" + text_ + "\": ") + "there is no strategy \"" + word +
                      "\"; the nearest name is \"" + entry.name + "\" (`poolwise strategies` lists them all)");
  }

  stage stage_of(const std::string& word) const {
    const std::size_t open = word.find('(');
    const strategy_entry& entry = entry_of(word.substr(0, open));
    stage read{&entry, arguments(entry), {}, entry.name, {}};
    if (open != std::string::npos) {
      read.text += word.substr(open);
      if (word.back() != ')') refuse(":", "goes on behind the parenthesis of \"" + word + "\"");
      for (const std::string& argument : split(word.substr(open + 1, word.size() - open - 2), ','))
        take(argument, read);
    }
    if (entry.does.has(trait::takes_score) && !read.inner)
      refuse(":", std::string(entry.name) + " is made of a score; write such as " + entry.example());
    return read;
  }

  void take(const std::string& argument, stage& into) const {
    const std::size_t equals = argument.find('=');
    if (argument.find('(') < equals || equals == std::string::npos) {
      if (!into.entry->does.has(trait::takes_score) || into.inner)
        refuse(":", "\"" + argument + "\" gives a parameter of " + into.entry->name +
                        " no value; write such as graph_cut(lambda=4)");
      auto inner = std::make_shared<stage>(stage_of(argument));
      if (!inner->entry->scores())
        refuse(":", argument + " ranks no rows; " + into.entry->name + " is made of a score such as margin");
      into.inner = std::move(inner);
      return;
    }
    const std::string name = argument.substr(0, argument.find_last_not_of(' ', equals - 1) + 1);
    const std::string value =
        argument.substr(std::min(argument.find_first_not_of(' ', equals + 1), argument.size()));
    const auto number = number_in<double>(value);
    if (!number) refuse(":", name + " is \"" + value + "\", which is no number");
    into.given.set("strategy \"" + text_ + "\": ", name, *number);
  }

  keep_rule keep_of(const std::string& word) const {
    if (!word.empty() && word.back() == '%') {
      const auto percent = number_in<double>(word.substr(0, word.size() - 1));
      if (percent && *percent > 0 && *percent <= 100) return {0, 0, *percent};
    } else if (!word.empty() && word.back() == 'x') {
      const auto per_pick = number_in<index_t>(word.substr(0, word.size() - 1));
      if (per_pick && *per_pick > 0) return {0, *per_pick, 0};
    } else if (const auto rows = number_in<index_t>(word); rows && *rows > 0) {
      return {*rows, 0, 0};
    }
    refuse(":", "cannot keep \"" + word +
                    "\"; write a number of rows such as 1000, 10x for ten rows a pick, or 20% of the rows");
  }

  const std::string& text_;
};

}  // namespace

index_t keep_rule::count(index_t picks, index_t available) const {
  if (rows == 0 && per_pick == 0 && percent == 0) return available;
  const bool all = per_pick > 0 && picks > available / per_pick;
  const index_t share = index_t(std::ceil(percent / 100 * double(available)));
  // Fewer candidates than picks would make a batch short although rows are left.
  const index_t wanted = all ? available : std::max({rows, per_pick * picks, share});
  return std::clamp(wanted, std::min(picks, available), available);
}

void check_scores(const strategy& what, const pool_inputs& pool) {
  for (const stage& s : what.stages)
    for (const stage* at = &s; at != nullptr; at = at->inner.get())
      if (at->entry->fused)  // asked of no rows
        score(cpu{}, rows_between(*pool.model, 0, 0), pool.model_kind, *at->entry->fused, vector_view<float>{});
}

parts stage::needs() const { return inner ? entry->needs | inner->needs() : entry->needs; }

const strategy& strategy::at(index_t labelled) const {
  for (const strategy_phase& phase : phases)
    if (labelled < phase.below) return phase.picks;
  return *this;
}

bool strategy::needs(part one) const {
  return std::any_of(stages.begin(), stages.end(), [one](const stage& s) { return s.needs().has(one); }) ||
         std::any_of(phases.begin(), phases.end(),
                     [one](const strategy_phase& phase) { return phase.picks.needs(one); });
}
bool strategy::does(trait one) const {
  return std::any_of(stages.begin(), stages.end(), [one](const stage& s) { return s.entry->does.has(one); });
}

strategy parse_strategy(const std::string& text) { return reader(text).read(); }

namespace {

std::string shortest(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string spelled_out(const stage& s) {
  std::string arguments = s.inner ? spelled_out(*s.inner) : "";
  for (const parameter& p : s.entry->parameters)
    arguments.append(arguments.empty() ? "" : ", ")
        .append(p.name)
        .append("=")
        .append(shortest(s.given[p.name]));
  std::string text = s.entry->name;
  if (!arguments.empty()) text.append("(").append(arguments).append(")");
  return text;
}

std::string spelled_out(const keep_rule& keep) {
  if (keep.rows > 0) return std::to_string(keep.rows);
  return keep.per_pick > 0 ? std::to_string(keep.per_pick) + "x" : shortest(keep.percent) + "%";
}

}  // namespace

std::string spelled_out(const strategy& what) {
  std::string text;
  for (const strategy_phase& phase : what.phases) {
    text.append(spelled_out(phase.picks));
    if (&phase == &what.phases.back()) return text;
    text.append("@").append(std::to_string(phase.below)).append(",");
  }
  for (const stage& s : what.stages) {
    text += spelled_out(s);
    if (&s != &what.last()) text.append("/").append(spelled_out(s.keep)).append("/");
  }
  return text;
}

}  // namespace poolwise
