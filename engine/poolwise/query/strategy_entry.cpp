#include "poolwise/query/strategy_entry.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream round_stream{5};

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

}  // namespace

std::string needed_instead(const parameter_range& range, double value) {
  if (range.whole && value != std::floor(value)) return "a whole number";
  if (range.least_is_out && !(value > range.least)) return "more than " + number(range.least);
  const bool bound_above = std::isfinite(range.most) && !range.whole;
  if (!(value >= range.least && value <= range.most))
    return bound_above ? "from " + number(range.least) + " to " + number(range.most)
                       : "at least " + number(range.least);
  return std::isfinite(value) ? "" : "finite";
}

arguments::arguments(const strategy_entry& of) : of_(of.parameters) {
  for (const parameter& p : of_) values_.push_back(p.standard);
}

double arguments::operator[](std::string_view name) const {
  for (std::size_t i = 0; i < of_.size(); ++i)
    if (of_[i].name == name) return values_[i];
  throw usage_error("a strategy asks for its parameter \"" + std::string(name) + "\", which its table lacks");
}

void arguments::set(const std::string& opening, std::string_view name, double value) {
  std::string known;
  for (std::size_t i = 0; i < of_.size(); ++i) {
    known += (i > 0 ? ", " : "") + std::string(of_[i].name);
    if (of_[i].name != name) continue;
    const std::string needed = needed_instead(of_[i].range, value);
    if (!needed.empty())
      throw usage_error(opening + std::string(name) + " is " + number(value) + "; it must be " + needed);
    values_[i] = value;
    return;
  }
  throw usage_error(opening + "there is no parameter \"" + std::string(name) + "\"; " +
                    (known.empty() ? "the strategy takes none" : "it takes " + known));
}

std::uint64_t query_seed(const query_spec& asked) { return random_bits(asked.seed, round_stream, asked.round); }

std::vector<float> row_worths(const stage_input& x) {
  std::vector<float> worths(x.scores.begin(), x.scores.end());
  float least = 0;
  for (const float score : worths) least = std::min(least, score);
  for (float& score : worths) score -= least;
  return worths;
}

double total_gain(const stage_input&, const std::vector<candidate>& picks) {
  double total = 0;
  for (const candidate& c : picks) total += double(c.score);
  return total;
}

std::string strategy_entry::needs_text() const {
  if (needs_instead != nullptr) return needs_instead;
  if (!does.has(trait::takes_score)) return names_of(needs);
  return (needs == parts() ? "" : names_of(needs) + ", ") + "what its score needs";
}

std::string strategy_entry::example() const {
  return does.has(trait::takes_score) ? std::string(name) + "(margin)" : name;
}

}  // namespace poolwise
