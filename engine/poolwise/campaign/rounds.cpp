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

/// Everything that the picks of a round depend on.
class round_maker {
 public:
  round_maker(campaign& of, const pool_version& pool, std::span<const part_file> model)
      : settings_(of.settings()), pool_(pool), items_(of.items(pool)), rows_(items_.ids, pool.rows) {
    parts_.open(pool.parts);
    parts_.open(model);
    inputs_ = parts_.inputs();
    inputs_.rows = pool.rows;
    inputs_.ids = items_.ids.numbered() ? nullptr : &items_.ids;
  }

  const opened_parts& parts() const { return parts_; }
  const item_index& rows() const { return rows_; }
  const pool_inputs& inputs() const { return inputs_; }

  /// What is asked of the strategy, and how many are drawn before, when so much was spent.
  round_record ask(const round_start& start, const spending& spent, const round_request& request) const;

  /// The picks of it.
  std::vector<picked_item> pick(const where& on, const round_start& start, round_record& round,
                                const query_run& how) const;

 private:
  std::int64_t price(index_t row) const { return items_.price.empty() ? 0 : items_.price[std::size_t(row)]; }
  picked_item item_of(index_t row, const char* arm) const;
  index_t affordable_draws(const round_start& start, index_t draws, std::int64_t money) const;

  const campaign_settings& settings_;
  pool_version pool_;
  const item_table& items_;
  item_index rows_;
  opened_parts parts_;
  pool_inputs inputs_;
};

round_record round_maker::ask(const round_start& start, const spending& spent,
                              const round_request& request) const {
  constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();
  const auto left = [](std::optional<std::int64_t> limit, std::int64_t used) {
    return limit ? std::optional(*limit - used) : std::nullopt;
  };
  const index_t items = least_of<index_t>(left(settings_.total.labels, spent.items), settings_.round.labels, any);
  const std::int64_t money =
      least_of<std::int64_t>(left(settings_.total.money, spent.money), settings_.round.money, any);
  if (items <= 0 || money < 0)
    throw budget_error("campaign: the budget is used up: " + std::to_string(spent.items) + " items for " +
                       std::to_string(spent.money) + " " + settings_.unit + " were handed out");
  round_record round;
  round.round = start.round;
  round.pool = pool_.version;
  round.hypothesis = request.hypothesis.empty() ? settings_.hypothesis : request.hypothesis;
  round.available = pool_.rows - taken_rows(start);
  round.spec = settings_.query;
  round.spec.round = std::uint32_t(start.round);
  const index_t batch = std::min({request.batch.value_or(*settings_.query.batch), items, round.available});
  if (batch == 0) throw budget_error("campaign: every item of the pool was picked, labelled or ruled out");
  round.audit = index_t(std::ceil(settings_.audit * double(batch) - 1e-9));
  if (money != any) round.audit = affordable_draws(start, round.audit, money);
  round.spec.batch = batch - round.audit;
  if (money != any) round.spec.budget = money;
  if (!items_.slice.empty() && !settings_.slices.empty()) {
    const std::vector<index_t> reserved = reserved_picks(settings_, start.gaps, *round.spec.batch);
    round.spec.quota.assign(items_.slices.size(), pool_.rows);
    round.spec.floor.assign(items_.slices.size(), 0);
    for (std::size_t k = 0; k < settings_.slices.size(); ++k) {
      const slice_settings& slice = settings_.slices[k];
      if (slice.quota) round.spec.quota[k] = *slice.quota;
      round.spec.floor[k] = std::min(std::max(slice.floor, reserved[k]), round.spec.quota[k]);
    }
  }
  return round;
}

}  // namespace
}  // namespace poolwise
