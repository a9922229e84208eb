#include "poolwise/annotate/routing.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

double entropy_term(double p) { return p > 0 ? -p * fixed_log(p) : 0; }

/// A pair of an item and an annotator that may meet.
struct meeting {
  double gain = 0, information = 0;
  index_t item = 0;
  std::int32_t annotator = 0;
};

bool is_open(const routed_item& item, const routing_options& options) {
  const auto answers = index_t(item.asked.size());
  if (answers >= options.most_answers) return false;
  if (answers < options.least_answers) return true;
  return *std::max_element(item.posterior.begin(), item.posterior.end()) < options.sure;
}

bool wants_senior(const routed_item& item, const routing_options& options) {
  return item.costly || index_t(item.asked.size()) >= options.senior_after;
}

std::string reason_of(const meeting& one, const routed_item& item, const routed_annotator& by, bool senior) {
  char text[120];
  std::snprintf(text, sizeof text, "%.3f nats for %lld, class %.2f sure after %zu answers", one.information,
                static_cast<long long>(by.who.price),
                *std::max_element(item.posterior.begin(), item.posterior.end()), item.asked.size());
  return std::string(text) +
         (senior ? item.costly ? ", costly: to a senior" : ", still unsure: to a senior" : "");
}

}  // namespace

double expected_information(std::span<const double> posterior, std::span<const double> confusion) {
  const std::size_t classes = posterior.size();
  if (classes == 0 || confusion.size() % classes != 0 || confusion.empty())
    throw shape_error("expected_information: " + std::to_string(confusion.size()) + " confusions for " +
                      std::to_string(classes) + " classes; pass a row of labels for each class");
  const std::size_t labels = confusion.size() / classes;
  double information = 0;
  for (std::size_t said = 0; said < labels; ++said) {
    double p = 0;
    for (std::size_t is = 0; is < classes; ++is) {
      const double joint = confusion[is * labels + said];
      p += posterior[is] * joint;
      information -= posterior[is] * entropy_term(joint);
    }
    information += entropy_term(p);
  }
  return std::max(0.0, information);
}

std::vector<assignment> route(std::span<const routed_item> items, std::span<const routed_annotator> annotators,
                              const routing_options& options) {
  const bool has_seniors = std::any_of(annotators.begin(), annotators.end(),
                                       [](const routed_annotator& one) { return one.who.has_role("senior"); });
  std::vector<index_t> room;
  for (const routed_annotator& one : annotators)
    room.push_back(!one.who.hours.hold(options.now_ms) ? 0
                   : one.who.most_open == 0            ? std::numeric_limits<index_t>::max()
                                                       : std::max<index_t>(0, one.who.most_open - one.open));
  std::vector<meeting> meetings;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const routed_item& item = items[i];
    if (!is_open(item, options)) continue;
    const bool senior = has_seniors && wants_senior(item, options);
    for (std::size_t k = 0; k < annotators.size(); ++k) {
      const annotator& who = annotators[k].who;
      if (room[k] == 0 || !who.speaks(item.language) || (senior && !who.has_role("senior"))) continue;
      if (std::find(item.asked.begin(), item.asked.end(), std::int32_t(k)) != item.asked.end()) continue;
      const double information = expected_information(item.posterior, annotators[k].confusion);
      const double price = who.price > 0 ? double(who.price) : 0.01;
      meetings.push_back({item.worth * information / price, information, index_t(i), std::int32_t(k)});
    }
  }
  std::stable_sort(meetings.begin(), meetings.end(),
                   [](const meeting& a, const meeting& b) { return a.gain > b.gain; });
  std::vector<assignment> assigned;
  std::vector<bool> taken(items.size(), false);
  std::int64_t spent = 0;
  for (const meeting& one : meetings) {
    const routed_annotator& by = annotators[std::size_t(one.annotator)];
    if (options.answers && index_t(assigned.size()) >= *options.answers) break;
    if (taken[std::size_t(one.item)] || room[std::size_t(one.annotator)] == 0) continue;
    if (options.money && spent + by.who.price > *options.money) continue;
    taken[std::size_t(one.item)] = true;
    --room[std::size_t(one.annotator)];
    spent += by.who.price;
    const routed_item& item = items[std::size_t(one.item)];
    assigned.push_back({one.item, one.annotator, one.information,
                        reason_of(one, item, by, has_seniors && wants_senior(item, options))});
  }
  return assigned;
}

source_choice cheapest_within(std::span<const audited_source> sources, double bound, double level) {
  if (!(bound > 0 && bound < 1))
    throw value_error("cheapest_within: the bound is " + std::to_string(bound) +
                      "; pass a share of wrong labels between 0 and 1");
  if (!(level > 0 && level < 1))
    throw value_error("cheapest_within: the level is " + std::to_string(level) + "; pass one between 0 and 1");
  source_choice choice;
  const double miss = (1 - level) / double(std::max<std::size_t>(1, sources.size()));
  const auto limit = [&](index_t wrong, index_t audited) {
    return audited == 0 ? 1 : clopper_pearson(wrong, audited, 1 - 2 * miss).high;
  };
  for (const audited_source& one : sources) {
    if (one.wrong < 0 || one.audited < one.wrong)
      throw value_error("cheapest_within: " + printable(one.name) + " has " + std::to_string(one.wrong) +
                        " wrong of " + std::to_string(one.audited) + " audited; pass counts");
    judged_source judged{.most_wrong = limit(one.wrong, one.audited)};
    judged.within = judged.most_wrong <= bound;
    if (!judged.within) {
      index_t low = 0, high = 1;
      while (limit(one.wrong, one.audited + high) > bound) high *= 2;
      while (high - low > 1) {
        const index_t middle = (low + high) / 2;
        (limit(one.wrong, one.audited + middle) > bound ? low : high) = middle;
      }
      judged.lacking = high;
    }
    choice.sources.push_back(judged);
    const auto place = choice.sources.size() - 1;
    if (!judged.within) continue;
    const bool better = !choice.cheapest || one.price < sources[*choice.cheapest].price ||
                        (one.price == sources[*choice.cheapest].price &&
                         judged.most_wrong < choice.sources[*choice.cheapest].most_wrong);
    if (better) choice.cheapest = place;
  }
  return choice;
}

}  // namespace poolwise
