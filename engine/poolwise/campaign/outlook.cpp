#include "poolwise/campaign/outlook.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <unordered_map>

#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

constexpr double ms_a_day = 24.0 * 3600 * 1000;

constexpr const char* accuracy_of_all = "accuracy";

struct target {
  std::string measure, slice;  // no slice: of all items
  double at_least = 0;
};

std::vector<target> targets_of(const campaign_settings& settings) {
  std::vector<target> all;
  if (settings.target) all.push_back({accuracy_of_all, "", *settings.target});
  for (const slice_settings& one : settings.slices)
    if (one.target) all.push_back({"accuracy of " + one.name, one.name, *one.target});
  for (const measure_target& one : settings.targets) all.push_back({one.measure(), "", one.at_least});
  return all;
}

/// Null where the result does not say it.
const share_estimate* measured(const holdout_result& result, const target& wanted) {
  if (wanted.measure == accuracy_of_all) return &result.all;
  const auto& all = wanted.slice.empty() ? result.measures : result.slices;
  const auto found = all.find(wanted.slice.empty() ? wanted.measure : wanted.slice);
  return found == all.end() ? nullptr : &found->second;
}

std::vector<model_version> models_of(const tables& seen, std::vector<index_t>& events) {
  std::vector<model_version> all;
  seen.each_of("model", [&](const event& one) {
    all.push_back(model_in(one.body));
    events.push_back(one.number);
  });
  return all;
}

nlohmann::ordered_json as_json(const stop_verdict& one) {
  nlohmann::ordered_json body{
      {"rule", one.rule}, {"holds", one.holds}, {"known", one.known}, {"sentence", one.sentence}};
  for (const stop_figure& figure : one.figures) body["figures"][figure.name] = figure.value;
  for (const stop_verdict& part : one.parts) body["parts"].push_back(as_json(part));
  return body;
}

/// One point for each number of labels, the newest; a curve has no two.
std::vector<curve_point> points_of(std::span<const holdout_result> results, const target& wanted) {
  std::vector<curve_point> points;
  for (const holdout_result& one : results) {
    const share_estimate* share = measured(one, wanted);
    if (share == nullptr || !share->value || one.labels < 1) continue;
    while (!points.empty() && points.back().labels >= one.labels) points.pop_back();
    points.push_back({one.labels, *share->value, share->items});
  }
  return points;
}

/// What the newest picks cost, each.
std::vector<double> newest_costs(const tables& seen, std::span<const round_entry> rounds) {
  constexpr std::size_t enough = 1'000;
  std::vector<double> costs;
  for (auto round = rounds.rbegin(); round != rounds.rend() && costs.size() < enough; ++round)
    seen.each_decision(*round, [&](const decision& one) { costs.push_back(double(one.cost)); });
  return costs;
}

}  // namespace

std::string to_json(const stop_verdict& verdict) { return as_json(verdict).dump(); }

std::vector<stop_round> stopping_history(const tables& seen, const campaign_settings& settings) {
  std::vector<index_t> model_events;
  const std::vector<model_version> models = models_of(seen, model_events);
  const std::vector<round_entry> rounds = seen.rounds();
  const std::int64_t begun = seen.at(0).at_ms;
  std::vector<stop_round> history;
  const model_version* before = nullptr;
  std::int64_t money = 0, seconds = 0;
  std::optional<double> selected_entropy;
  auto round = rounds.begin();
  for (const holdout_result& result : holdout_results(seen)) {
    stop_round& one = history.emplace_back();
    one.labels = result.labels;
    for (const target& wanted : targets_of(settings))
      if (const share_estimate* share = measured(result, wanted); share && share->value)
        one.measures.push_back({wanted.measure, *share->value, share->items});
    if (!settings.target)
      one.measures.push_back({accuracy_of_all, result.all.value.value_or(0), result.all.items});
    for (const char c : result.right) one.right.push_back(c == '1');
    const auto next = std::upper_bound(model_events.begin(), model_events.end(), result.event);
    if (next != model_events.begin()) {
      const model_version& model = models[std::size_t(next - model_events.begin()) - 1];
      if (!model.predicted.empty() && (before == nullptr || before->pool == model.pool)) {
        one.predicted = model.predicted;
        one.pool_entropy = model.mean_entropy;
        if (before != nullptr && before->predicted.size() == model.predicted.size()) {
          one.compared = index_t(model.predicted.size());
          index_t changed = 0;
          for (std::size_t i = 0; i < model.predicted.size(); ++i)
            changed += model.predicted[i] != before->predicted[i];
          one.changed = changed;
        }
      }
      before = &model;
    }
    for (; round != rounds.end() && round->event < result.event; ++round) {
      const batch_record handed_out = round_in(round->body);
      money += handed_out.cost;
      seconds += handed_out.seconds;
      selected_entropy = handed_out.selected_entropy;
    }
    one.money = double(money);
    one.hours = double(seconds) / 3600;
    one.selected_entropy = selected_entropy;
    one.days = double(seen.at(result.event).at_ms - begun) / ms_a_day;
  }
  return history;
}

stop_settings stopping_settings(const campaign_settings& settings, const ledger_counts& counts) {
  stop_settings stop;
  for (const target& one : targets_of(settings)) stop.targets.push_back({one.measure, one.at_least});
  if (settings.total.money) stop.money = double(*settings.total.money);
  if (settings.total.seconds) stop.hours = double(*settings.total.seconds) / 3600;
  if (settings.total.labels) stop.labels = double(*settings.total.labels);
  if (counts.total.picked > 0) stop.label_cost = double(counts.total.cost) / double(counts.total.picked);
  if (settings.error_cost > 0) stop.error_cost = settings.error_cost;
  if (settings.predictions > 0) stop.uses = double(settings.predictions);
  return stop;
}

stop_verdict judge(const tables& seen, const campaign_settings& settings) {
  const ledger_counts counts = seen.counts();
  std::vector<stop_round> history = stopping_history(seen, settings);
  // The budget is also judged where nothing was measured yet.
  if (history.empty()) history.emplace_back();
  stop_round& now = history.back();
  now.labels = std::max(now.labels, counts.total.labelled);
  now.money = double(counts.total.cost);
  return judge_stop(parse_stop_rule(settings.stop), history, stopping_settings(settings, counts));
}

stop_verdict judge(campaign& of, bool record, std::int64_t now_ms) {
  const stop_verdict verdict = of.log().read([&](const tables& seen) { return judge(seen, of.settings()); });
  if (record) {
    of.record(now_ms, [&](const tables& seen) {
      return std::vector<new_event>{{"verdict", json{{"round", seen.counts().rounds},
                                                     {"stop", verdict.holds},
                                                     {"rules", json::array({json::parse(to_json(verdict))})}}
                                                    .dump()}};
    });
  }
  return verdict;
}

saving saving_so_far(const tables& seen, const campaign_settings& settings) {
  std::unordered_map<std::string, std::string> label_of;
  seen.each_label(versions::current, [&](const label& one) { label_of.emplace(one.item, one.text); });
  std::vector<arms_of_round> rounds;
  for (const round_entry& entry : seen.rounds()) {
    arms_of_round arms;
    bool whole = true;
    seen.each_decision(entry, [&](const decision& one) {
      const auto predicted = picked_item_in(one.body).predicted;
      const auto answer = label_of.find(one.item);
      whole = whole && predicted && answer != label_of.end();
      if (!whole) return;
      arm_yield& arm = one.arm == "audit" ? arms.random : arms.active;
      ++arm.picked;
      arm.found += answer->second != class_name(settings, *predicted);
    });
    if (whole) rounds.push_back(arms);
  }
  return saving_by_yield(rounds);
}

std::string saving_text(const saving& found) {
  if (!found.ratio) return "Nothing can be said yet of what the strategy saves: " + found.reason + ".";
  char text[160];
  std::snprintf(
      text, sizeof text,
      "Random picks need %.1f times as many labels to find as many errors of the model (%.1f to %.1f%s)",
      *found.ratio, found.low.value_or(0), found.high.value_or(0), found.high ? "" : " or more");
  return std::string(text) + (found.verdict == saving_verdict::unknown ? ", which may be chance." : ".");
}

outlook look_ahead(const tables& seen, const campaign_settings& settings) {
  outlook ahead;
  const ledger_counts counts = seen.counts();
  ahead.labels = counts.total.labelled;
  const std::vector<holdout_result> results = holdout_results(seen);
  const std::vector<round_entry> rounds = seen.rounds();
  const std::vector<double> costs = newest_costs(seen, rounds);
  const forecast_value cost = costs.empty() ? forecast_value{} : cost_of_label(costs);
  const double days = rounds.empty() ? 0 : double(seen.at(seen.size() - 1).at_ms - rounds[0].at_ms) / ms_a_day;
  const std::vector<curve_point> points = points_of(results, {accuracy_of_all, "", 0});
  if (index_t(points.size()) < least_curve_points) {
    ahead.missing = "a forecast needs evaluations after " + std::to_string(least_curve_points) +
                    " different numbers of labels, and there are " + std::to_string(points.size());
  } else {
    ahead.curve = fit_learning_curve(points);
    if (const curve_fall& fall = ahead.curve->fall; fall.beyond_noise()) {
      char text[160];
      std::snprintf(
          text, sizeof text,
          "accuracy fell by %.1f %% from %lld to %lld labels, which noise explains in %.2g of cases; no law of "
          "the forecast falls",
          100 * fall.drop, static_cast<long long>(fall.from), static_cast<long long>(fall.to), fall.p);
      ahead.falls = text;
    }
    std::vector<kept_forecast> kept;
    const auto first = std::max<std::size_t>(least_curve_points, points.size() > 20 ? points.size() - 20 : 0);
    for (std::size_t k = first; k < points.size(); ++k) {
      const curve_fit before = fit_learning_curve(std::span(points).first(k));
      const forecast_value said = forecast_accuracy(before, points[k].labels, points[k].tested);
      ahead.past.push_back({index_t(k), points[k].labels, said, points[k].accuracy});
      kept.push_back({said, points[k].accuracy});
    }
    if (!kept.empty()) ahead.error = error_of(kept);
  }
  const auto latest = seen.latest("pool");
  const index_t most = latest ? pool_in(latest->body).rows : std::numeric_limits<index_t>::max();
  for (const target& wanted : targets_of(settings)) {
    target_outlook one{.name = wanted.measure, .at_least = wanted.at_least};
    if (!results.empty())
      if (const share_estimate* share = measured(results.back(), wanted)) one.now = *share;
    const std::vector<curve_point> its = points_of(results, wanted);
    if (index_t(its.size()) >= least_curve_points) {
      const curve_fit fit = wanted.measure == accuracy_of_all ? *ahead.curve : fit_learning_curve(its);
      one.labels = forecast_labels(fit, wanted.at_least, most);
      const double a_day = days > 0.01 ? double(ahead.labels) / days : 0;
      one.effort = forecast_effort(*one.labels, ahead.labels, cost, {a_day, a_day, a_day});
      if (!(a_day > 0)) one.effort.days.reset();
    }
    ahead.targets.push_back(std::move(one));
  }
  return ahead;
}

}  // namespace poolwise
