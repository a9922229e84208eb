#include "poolwise/campaign/rounds.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/loop/loop.hpp"
#include "poolwise/pool/detail/gather.hpp"

namespace poolwise {
namespace {

/// What a round begins with.
struct round_start {
  index_t round = 1, events = 0;
  index_t unavailable = 0;        // items
  std::vector<index_t> labelled;  // rows that were picked or labelled, ascending
  std::vector<index_t> excluded;
  std::optional<model_version> model;  // the newest
  std::vector<double> gaps;            // by slice of the settings: what it misses its target by
};

/// A round when another one came between its look at the ledger and its record.
struct overtaken {};

/// The rows of a pool whose items stand in the ledger's first `events` events.
void take_rows(const tables& seen, const item_index& rows, std::optional<index_t> events, round_start& start) {
  const auto before = [&](index_t event) { return !events || event < *events; };
  std::vector<std::string> items;
  seen.each_unavailable([&](std::string_view item) { items.emplace_back(item); });
  for (const std::string& item : items) {
    const item_record known = seen.item(item);
    const bool picked = known.decision && before(*known.decision);
    const bool labelled = std::any_of(known.labels.begin(), known.labels.end(), before);
    const bool excluded = known.excluded && before(*known.excluded);
    if (!picked && !labelled && !excluded) continue;
    ++start.unavailable;
    if (const auto row = rows.row_of(item)) {
      if (picked || labelled) start.labelled.push_back(*row);
      if (excluded) start.excluded.push_back(*row);
    }
  }
  std::sort(start.labelled.begin(), start.labelled.end());
  std::sort(start.excluded.begin(), start.excluded.end());
}

std::vector<double> gaps_of(const tables& seen, const campaign_settings& settings) {
  std::vector<double> gaps(settings.slices.size());
  const auto latest = seen.latest("evaluation");
  if (!latest) return gaps;
  const auto body = nlohmann::json::parse(latest->body);
  for (std::size_t k = 0; k < gaps.size(); ++k) {
    const slice_settings& slice = settings.slices[k];
    const auto found = body.value("slices", nlohmann::json::object()).find(slice.name);
    const nlohmann::json slices = body.value("slices", nlohmann::json::object());
    if (slice.target && slices.contains(slice.name))
      gaps[k] = std::max(0.0, *slice.target - slices.at(slice.name).at("accuracy").get<double>());
  }
  return gaps;
}

/// The picks that make good for the slices that miss their targets: shares of `picks`, the largest remainders
/// rounded up.
std::vector<index_t> reserved_picks(const campaign_settings& settings, const std::vector<double>& gaps,
                                    index_t picks) {
  std::vector<double> weight;
  for (std::size_t k = 0; k < gaps.size(); ++k) weight.push_back(gaps[k] * settings.slices[k].priority);
  const double all = std::accumulate(weight.begin(), weight.end(), 0.0);
  const auto reserved = index_t(std::floor(settings.priority * double(picks) + 1e-9));
  std::vector<index_t> share(weight.size(), 0);
  if (!(all > 0)) return share;
  std::vector<std::pair<double, std::size_t>> rest;
  index_t given = 0;
  for (std::size_t k = 0; k < weight.size(); ++k) {
    const double exact = double(reserved) * weight[k] / all;
    share[k] = index_t(std::floor(exact));
    given += share[k];
    rest.emplace_back(double(share[k]) - exact, k);
  }
  std::sort(rest.begin(), rest.end());
  for (std::size_t k = 0; given < reserved && k < rest.size(); ++k, ++given) ++share[rest[k].second];
  return share;
}

template <class Number>
Number least_of(std::optional<Number> a, std::optional<Number> b, Number otherwise) {
  return std::min(a.value_or(otherwise), b.value_or(otherwise));
}

}  // namespace
}  // namespace poolwise
