#include "poolwise/query/strategy.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <vector>

#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

std::string needs_of(const diversity& d) {
  std::string needs;
  const auto add = [&](bool needed, const char* part) {
    if (needed) needs += (needs.empty() ? "" : ", ") + std::string(part);
  };
  add(d.needs_outputs, "outputs");
  add(d.needs_committee, "committee");
  add(d.needs_embeddings, "embeddings");
  return needs;
}

std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

const strategy_entry& find_entry(const std::string& word, const std::string& text, bool only_diversity) {
  std::vector<std::string> known;
  for (const auto& entry : strategy_entries()) {
    if (only_diversity && entry.diversify == nullptr) continue;
    if (entry.name == word) return entry;
    known.emplace_back(entry.name);
  }
  throw usage_error((word == text ? "" : "strategy \"" + text + "\": ") + "there is no " +
                    (only_diversity ? "diversity " : "") + "strategy \"" + word + "\"; the nearest name is \"" +
                    nearest_word(word, known) + "\" (`poolwise strategies` lists them all)");
}

keep_rule parse_keep(const std::string& word, const std::string& text) {
  index_t number = 0;
  const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), number);
  const std::string unit(end, word.data() + word.size());
  if (problem != std::errc{} || number < 1 || (!unit.empty() && unit != "x"))
    throw usage_error("strategy \"" + text + "\": cannot keep \"" + word +
                      "\"; write a number of rows such as 1000, or 10x for ten rows a pick");
  return unit == "x" ? keep_rule{0, number} : keep_rule{number, 0};
}

}  // namespace

index_t keep_rule::count(index_t picks, index_t pool) const {
  if (rows == 0 && per_pick == 0) return pool;
  // Fewer candidates than picks would make a batch short although rows are left.
  const index_t wanted = per_pick > 0 && picks > pool / per_pick ? pool : std::max(rows, per_pick * picks);
  return std::clamp(wanted, std::min(picks, pool), pool);
}

bool strategy::needs_outputs() const {
  return std::holds_alternative<acquisition>(rank_by) || (diversify && diversify->needs_outputs);
}
bool strategy::needs_committee() const {
  return std::holds_alternative<disagreement>(rank_by) || (diversify && diversify->needs_committee);
}
bool strategy::needs_embeddings() const { return diversify && diversify->needs_embeddings; }

strategy parse_strategy(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text)
    if (c == '/')
      words.emplace_back();
    else
      words.back() += c;
  if (words.size() != 1 && words.size() != 3)
    throw usage_error("strategy \"" + text + "\" has " + std::to_string(words.size()) +
                      " parts; write one name, or acquisition/keep/diversity such as margin/10x/kcenter");
  const strategy_entry& first = find_entry(words[0], text, false);
  strategy s{text, first.rank_by, {}, first.diversify};
  if (words.size() == 1) return s;
  if (s.diversify != nullptr)
    throw usage_error("strategy \"" + text + "\" begins with \"" + words[0] +
                      "\", which ranks no rows; begin with an acquisition such as margin");
  s.keep = parse_keep(words[1], text);
  s.diversify = find_entry(words[2], text, true).diversify;
  return s;
}

std::span<const strategy_entry> strategy_entries() {
  static const std::vector<strategy_entry> entries = [] {
    std::vector<strategy_entry> list;
    list.push_back(
        {"random", "acquisition", "uniform by (seed, row)", "nothing", "-", "none", random_score{}, nullptr});
    for (const acquisition_entry& a : acquisitions())
      list.push_back({a.name, "acquisition", a.formula, a.needs, a.source, "all", a.id, nullptr});
    for (const disagreement_entry& d : disagreements())
      list.push_back({d.name, "disagreement", d.formula, d.needs, d.source, "all", d.id, nullptr});
    for (const diversity& d : diversities())
      list.push_back(
          {d.name, "diversity", d.formula, needs_of(d), d.source, d.on_devices, std::monostate{}, &d});
    return list;
  }();
  return entries;
}

std::string nearest_word(const std::string& text, std::span<const std::string> words) {
  const std::string* nearest = nullptr;
  std::size_t fewest = std::numeric_limits<std::size_t>::max();
  for (const auto& word : words)
    if (const std::size_t n = edits(text, word); n < fewest) {
      fewest = n;
      nearest = &word;
    }
  return nearest ? *nearest : std::string();
}

}  // namespace poolwise
