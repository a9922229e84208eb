#include "poolwise/query/strategy.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

struct score_entry {
  const char* name;
  const char* kind;
  const char* formula;
  const char* needs;
  const char* source;
  ranking rank_by;
};

const score_entry scores[] = {
    {"random", "acquisition", "uniform by (seed, row)", "nothing", "-", random_score{}},
    {"least_confidence", "acquisition", "1 - p1", "outputs", "Lewis & Gale 1994",
     acquisition::least_confidence},
    {"margin", "acquisition", "1 - (p1 - p2)", "outputs", "Scheffer et al. 2001", acquisition::margin},
    {"ratio", "acquisition", "p2 / p1", "outputs", "Settles 2009", acquisition::ratio},
    {"entropy", "acquisition", "-sum p ln p", "outputs", "Shannon 1948; Dagan & Engelson 1995",
     acquisition::entropy},
    {"energy", "acquisition", "-ln sum exp z", "logits", "Liu et al. 2020", acquisition::energy},
    {"bald", "disagreement", "H[mean p] - mean H[p]", "committee", "Houlsby et al. 2011", disagreement::bald},
    {"consensus_entropy", "disagreement", "H[mean p]", "committee", "Settles 2009",
     disagreement::consensus_entropy},
    {"vote_entropy", "disagreement", "H[votes / members]", "committee", "Dagan & Engelson 1995",
     disagreement::vote_entropy},
    {"variation_ratio", "disagreement", "1 - max votes / members", "committee", "Freeman 1965",
     disagreement::variation_ratio},
    {"max_kl", "disagreement", "max KL(p, mean p)", "committee", "McCallum & Nigam 1998", disagreement::max_kl},
    {"mean_std", "disagreement", "mean over classes of the sd of p", "committee", "Kampffmeyer et al. 2016",
     disagreement::mean_std},
};

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
    for (const score_entry& s : scores) {
      const char* const on_devices = std::holds_alternative<random_score>(s.rank_by) ? "none" : "all";
      list.push_back({s.name, s.kind, s.formula, s.needs, s.source, on_devices, s.rank_by, nullptr});
    }
    for (const diversity& d : diversities())
      list.push_back(
          {d.name, "diversity", d.formula, needs_of(d), d.source, d.on_devices, std::monostate{}, &d});
    return list;
  }();
  return entries;
}

}  // namespace poolwise
