#include "poolwise/annotate/answers.hpp"

#include <unordered_map>

namespace poolwise {
namespace {

/// Numbers names in the order in which they come.
class numbering {
 public:
  explicit numbering(std::vector<std::string>& names) : names_(names) {
    for (const std::string& one : names_) places_.emplace(one, std::int32_t(places_.size()));
  }
  std::int32_t of(const std::string& name) {
    const auto [place, is_new] = places_.try_emplace(name, std::int32_t(names_.size()));
    if (is_new) names_.push_back(name);
    return place->second;
  }

 private:
  std::vector<std::string>& names_;
  std::unordered_map<std::string, std::int32_t> places_;
};

}  // namespace

answer_columns columns_of(std::span<const answer> answers, std::span<const std::string> labels) {
  answer_columns found;
  found.labels.assign(labels.begin(), labels.end());
  numbering items(found.items), annotators(found.annotators), classes(found.labels);
  std::unordered_map<std::uint64_t, std::size_t> by_pair;
  for (const answer& one : answers) {
    const std::int32_t item = items.of(one.item), by = annotators.of(one.annotator);
    const std::int32_t label = classes.of(one.label);
    const auto [place, is_new] =
        by_pair.try_emplace(std::uint64_t(std::uint32_t(item)) << 32 | std::uint32_t(by), found.item.size());
    if (!is_new) {
      found.label[place->second] = label;
      continue;
    }
    found.item.push_back(item);
    found.annotator.push_back(by);
    found.label.push_back(label);
  }
  return found;
}

}  // namespace poolwise
