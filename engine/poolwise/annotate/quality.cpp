#include "poolwise/annotate/quality.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>
#include <tuple>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double one : values) sum += one;
  return sum / double(values.size());
}

/// The newest answer of each pair of annotator and item, by item and then by name.
using last_labels = std::map<std::string, std::map<std::string, std::string>>;

last_labels last_of(std::span<const answer> answers) {
  last_labels all;
  for (const answer& one : answers) all[one.item][one.annotator] = one.label;
  return all;
}

}  // namespace

std::optional<speed> speed_of(std::span<const double> seconds, double idle) {
  std::vector<double> logs;
  for (const double one : seconds)
    if (one > 0) logs.push_back(fixed_log(std::min(one, idle)));
  if (logs.empty()) return std::nullopt;
  speed found;
  found.answers = index_t(logs.size());
  const double mu = median_of(logs);
  std::vector<double> off;
  for (const double one : logs) off.push_back(std::abs(one - mu));
  found.sigma = 1.4826 * median_of(off);
  found.median = fixed_exp(mu);
  found.mean = fixed_exp(mu + found.sigma * found.sigma / 2);
  const double reach = 1.959964 * 1.2533 * found.sigma / std::sqrt(double(logs.size()));
  found.median_bounds = {fixed_exp(mu - reach), fixed_exp(mu + reach)};
  return found;
}

std::optional<skill_drift> drift_of(std::span<const double> right, index_t window, double level) {
  if (window < 1)
    throw value_error("drift_of: a window of " + std::to_string(window) + " answers; pass one or more");
  const auto n = index_t(right.size());
  if (n < 2 * window) return std::nullopt;
  const auto before = right.first(std::size_t(n - window)), now = right.last(std::size_t(window));
  skill_drift found;
  found.before = mean_of(before);
  found.now = mean_of(now);
  found.change = newcombe(std::llround(found.now * double(window)), window,
                          std::llround(found.before * double(n - window)), n - window, level);
  found.drifted = !found.change.holds(0);
  return found;
}

std::vector<doubtful_answer> impossible_answers(std::span<const answer> answers,
                                                std::span<const std::string> labels) {
  std::vector<double> seconds;
  for (const answer& one : answers)
    if (one.seconds) seconds.push_back(*one.seconds);
  const auto usual = speed_of(seconds);
  constexpr index_t enough = 20;  // times, before one of them can be called impossible
  const double fastest =
      usual && usual->answers >= enough
          ? std::min(usual->median / 5, fixed_exp(fixed_log(usual->median) - 3 * usual->sigma))
          : 0;
  std::vector<doubtful_answer> found;
  for (std::size_t a = 0; a < answers.size(); ++a) {
    const answer& one = answers[a];
    if (!labels.empty() && std::find(labels.begin(), labels.end(), one.label) == labels.end()) {
      std::string why = "\"";
      why += printable(one.label, 80);
      why += "\" is no label of the campaign";
      found.push_back({index_t(a), std::move(why)});
    }
    if (one.seconds && *one.seconds < fastest) {
      char text[80];
      std::snprintf(text, sizeof text, "%.2g s, where the median is %.2g s: too fast to have looked",
                    *one.seconds, usual->median);
      found.push_back({index_t(a), text});
    }
  }
  return found;
}

std::vector<conflicting_pair> conflicting_duplicates(matrix_view<const std::int32_t> neighbours,
                                                     matrix_view<const float> distances,
                                                     std::span<const std::int32_t> labels, float radius) {
  if (neighbours.rows != distances.rows || neighbours.cols != distances.cols ||
      std::size_t(neighbours.rows) != labels.size())
    throw shape_error("conflicting_duplicates: neighbours are " +
                      shape_text({neighbours.rows, neighbours.cols}) + ", distances " +
                      shape_text({distances.rows, distances.cols}) + ", labels " +
                      std::to_string(labels.size()) + "; pass as many rows of each");
  std::vector<conflicting_pair> found;
  for (index_t i = 0; i < neighbours.rows; ++i)
    for (index_t k = 0; k < neighbours.cols; ++k) {
      const std::int32_t other = neighbours(i, k);
      if (other < 0 || other == i || !(distances(i, k) <= radius)) continue;
      const std::int32_t own = labels[std::size_t(i)], its = labels[std::size_t(other)];
      if (own < 0 || its < 0 || own == its) continue;
      found.push_back({std::min<index_t>(i, other), std::max<index_t>(i, other), distances(i, k)});
    }
  const auto order = [](const conflicting_pair& a, const conflicting_pair& b) {
    return std::tie(a.distance, a.first, a.second) < std::tie(b.distance, b.first, b.second);
  };
  std::sort(found.begin(), found.end(), order);
  std::set<std::pair<index_t, index_t>> seen;
  std::erase_if(found, [&](const conflicting_pair& one) {
    return !seen.insert({one.first, one.second}).second;
  });
  return found;
}

std::vector<lone_label> labels_against_neighbours(matrix_view<const std::int32_t> neighbours,
                                                  std::span<const std::int32_t> labels, double share) {
  if (std::size_t(neighbours.rows) != labels.size())
    throw shape_error("labels_against_neighbours: neighbours of " + std::to_string(neighbours.rows) +
                      " items and " + std::to_string(labels.size()) + " labels; pass as many of each");
  constexpr index_t enough = 3;
  std::vector<lone_label> found;
  for (index_t i = 0; i < neighbours.rows; ++i) {
    const std::int32_t own = labels[std::size_t(i)];
    if (own < 0) continue;
    std::map<std::int32_t, index_t> votes;
    index_t labelled = 0;
    for (index_t k = 0; k < neighbours.cols; ++k) {
      const std::int32_t other = neighbours(i, k);
      if (other < 0 || other == i || labels[std::size_t(other)] < 0) continue;
      ++votes[labels[std::size_t(other)]];
      ++labelled;
    }
    for (const auto& [label, count] : votes)
      if (label != own && labelled >= enough && double(count) >= share * double(labelled))
        found.push_back({i, label, double(count) / double(labelled)});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const lone_label& a, const lone_label& b) { return a.share > b.share; });
  return found;
}

bool is_gold_turn(std::uint64_t seed, const std::string& annotator, index_t task, double rate) {
  if (!(rate >= 0 && rate <= 1))
    throw value_error("is_gold_turn: a rate of " + std::to_string(rate) + "; pass a share from 0 to 1");
  hash turn;
  turn.add_value(seed);
  turn.add(annotator.data(), annotator.size());
  turn.add_value(std::int64_t(task));
  return double(turn.value() >> 11) * 0x1p-53 < rate;
}

calibration_result calibrate(std::span<const answer> answers, const std::map<std::string, std::string>& gold,
                             double pass) {
  last_labels said = last_of(answers);
  std::erase_if(said, [&](const auto& one) { return gold.find(one.first) == gold.end(); });
  std::map<std::string, calibration_result::mark> marks;
  std::map<std::pair<std::string, std::string>, calibration_pair> pairs;
  std::vector<std::pair<std::size_t, std::string>> apart;
  for (const auto& [item, by] : said) {
    std::set<std::string> labels;
    for (auto one = by.begin(); one != by.end(); ++one) {
      labels.insert(one->second);
      auto& mark = marks[one->first];
      mark.annotator = one->first;
      ++mark.answered;
      if (one->second == gold.at(item)) ++mark.right;
      for (auto other = std::next(one); other != by.end(); ++other) {
        calibration_pair& pair = pairs[{one->first, other->first}];
        pair.first = one->first;
        pair.second = other->first;
        ++pair.items;
        if (one->second == other->second)
          ++pair.same;
        else
          ++pair.confusions[{one->second, other->second}];
      }
    }
    if (labels.size() > 1) apart.emplace_back(labels.size(), item);
  }
  calibration_result result;
  for (auto& [name, mark] : marks) {
    mark.passed = mark.answered == index_t(gold.size()) && double(mark.right) >= pass * double(gold.size());
    result.marks.push_back(mark);
  }
  for (auto& [names, pair] : pairs) result.pairs.push_back(std::move(pair));
  std::stable_sort(result.pairs.begin(), result.pairs.end(),
                   [](const auto& a, const auto& b) { return a.same * b.items < b.same * a.items; });
  std::stable_sort(apart.begin(), apart.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (auto& [labels, item] : apart) result.to_discuss.push_back(std::move(item));
  return result;
}

std::vector<std::string> to_relabel(std::span<const answer> answers, index_t guideline,
                                    std::span<const std::string> labels) {
  std::map<std::string, const answer*> newest;
  std::vector<std::string> order, found;
  for (const answer& one : answers) {
    if (newest.find(one.item) == newest.end()) order.push_back(one.item);
    newest[one.item] = &one;
  }
  for (std::string& item : order) {
    const answer& last = *newest[item];
    const bool concerned =
        labels.empty() || std::find(labels.begin(), labels.end(), last.label) != labels.end();
    if (last.guideline < guideline && concerned) found.push_back(std::move(item));
  }
  return found;
}

}  // namespace poolwise
