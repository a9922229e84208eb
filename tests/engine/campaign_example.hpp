// A campaign's report with every part filled, by formulas alone: for tests, and to look at the page.
#pragma once

#include <cmath>
#include <string>

#include "poolwise/report/campaign_report.hpp"

namespace poolwise::example {

inline constexpr std::int64_t first_day_ms = 1772442000000, day_ms = 86400000;  // 2 Mar 2026, 09:00 UTC

/// Of [0, 1), the same everywhere.
inline double scattered(index_t i) {
  const double x = std::sin(double(i) * 12.9898 + 78.233) * 43758.5453;
  return x - std::floor(x);
}

inline double accuracy_at(double labels, double best) { return best - 0.55 * std::pow(labels / 40 + 1, -0.7); }

inline report_progress progress_at(index_t round) {
  const auto labels = double(100 + 60 * round);
  return {round, labels, labels * 12 + 1000, labels * 0.03};
}

inline report_estimate within(double value, double half) { return {value, value - half, value + half}; }

inline report_curve curve_of(const std::string& slice, double best, double target, index_t rounds) {
  report_curve curve{slice, report_curve::kind::measured, {}, target};
  for (index_t round = 0; round <= rounds; ++round) {
    const auto at = progress_at(round);
    curve.points.push_back({at, within(accuracy_at(at.labels, best) + 0.01 * (scattered(round) - 0.5), 0.02)});
  }
  return curve;
}

inline report_curve forecast_of(const report_curve& measured, double best) {
  report_curve curve{measured.slice, report_curve::kind::forecast, {measured.points.back()}, measured.target};
  curve.points.front().accuracy = {curve.points.front().accuracy.value};
  const auto last = measured.points.back().at.round;
  for (index_t ahead = 1; ahead <= 6; ++ahead) {
    const auto at = progress_at(last + ahead);
    curve.points.push_back({at, within(accuracy_at(at.labels, best), 0.006 * double(ahead))});
  }
  return curve;
}

inline void add_curves(campaign_report& r, index_t rounds) {
  for (const auto& [slice, best, target] :
       {std::tuple{"", 0.95, 0.85}, {"day", 0.97, 0.9}, {"night", 0.9, 0.85}, {"rain", 0.86, 0.9}}) {
    r.curves.push_back(curve_of(slice, best, target, rounds));
    r.curves.push_back(forecast_of(r.curves.back(), best));
  }
  for (index_t round = 1; round <= rounds; ++round) {
    const auto at = progress_at(round);
    r.arms.active.push_back({at, within(accuracy_at(at.labels, 0.95), 0.02)});
    r.arms.random.push_back({at, within(accuracy_at(at.labels * 0.7, 0.95), 0.035)});
  }
  r.arms.saved_labels = {240, 110, 390};
  r.arms.sentence =
      "To the accuracy of the random arm after all of its labels, the active arm needed 560 of 800.";
}

inline void add_targets(campaign_report& r) {
  using state = report_target::state;
  const auto end = double(first_day_ms + 71 * day_ms);
  report_target open{"accuracy of night", 0.85, within(0.823, 0.02), state::on_course, {}, ""};
  open.expected = {report_estimate{1040, 980, 1150}, report_estimate{13480, 12760, 14800},
                   report_estimate{end, end - double(4 * day_ms), end + double(8 * day_ms)}};
  r.targets = {{"accuracy", 0.85, within(0.883, 0.02), state::met, {}, ""},
               {"accuracy of day", 0.9, within(0.91, 0.02), state::met, {}, ""},
               open,
               {"accuracy of rain",
                0.9,
                within(0.791, 0.03),
                state::out_of_reach,
                {},
                "The curve of rain levels off at 86 % (84 % to 87.5 %), whatever is spent."},
               {"precision at 90 % recall", 0.8, {}, state::unknown, {}, "No evaluation has measured it yet."}};
  r.verdict = {false, "1 of 4 rules says stop, and all of them are asked for."};
  r.end = {open.expected, "accuracy of night reaches 85 %"};
  r.next = {"Label the 38 items of round 12 that are outstanding.",
            "Decide on rain: lower its target, or write a guideline for it.",
            "Run `poolwise campaign query` for round 13: 60 picks for 720 cents."};
}

inline void add_slices(campaign_report& r) {
  r.slices = {{"day", 420, within(0.91, 0.02), 0.9, {}, 500},
              {"night", 250, within(0.823, 0.03), 0.85, 200, {}},
              {"rain", 110, within(0.791, 0.045), 0.9, 150, 300},
              {"tunnel", 12, {}, {}, {}, {}}};
  r.distributions = {
      {"data type", {{"image", 41200, 620, 588}, {"video", 8800, 200, 194}}, "chi-squared", 0.0004, 0.0007},
      {"class", {{"car", {}, 0, 310}, {"person", {}, 0, 290}, {"bicycle", {}, 0, 182}}, "", {}, {}}};
}

inline void add_map(campaign_report& r, index_t rounds, index_t pool) {
  const auto place = [](index_t i) {
    const double angle = 6.2832 * scattered(3 * i), radius = std::sqrt(-2 * std::log(1 - scattered(3 * i + 1)));
    return std::pair{radius * std::cos(angle) + 3 * double(i % 3),
                     radius * std::sin(angle) + double(i % 3 == 1)};
  };
  r.map.pool_rows = 50000;
  r.map.explained_variance = 0.412;
  for (index_t i = 0; i < pool; ++i) {
    const auto [x, y] = place(i);
    r.map.background.push_back(
        {x, y, "img-" + std::to_string(i % 60), 2 + 6 * scattered(i) * scattered(i + 1)});
  }
  for (index_t i = 0; i < 60 * rounds; ++i) {
    const auto [x, y] = place(100000 + i);
    r.map.picks.push_back({x, y, i / 60 + 1, "img-" + std::to_string(i), i + 38 < 60 * rounds ? "car" : ""});
  }
}

inline report_watch watch_of(const std::string& name, index_t rounds, double start, double step,
                             double threshold, bool holds, const std::string& sentence) {
  report_watch watch{name, {}, threshold, holds, sentence};
  for (index_t round = 1; round <= rounds; ++round)
    watch.points.push_back({round, start + step * (double(round) + scattered(round)), {}});
  return watch;
}

inline void add_watches(campaign_report& r, index_t rounds) {
  for (index_t round = 1; round <= rounds; ++round) {
    const bool last = round == rounds;
    r.lead_times.push_back(
        {round, last ? 22 : 60, last ? 38 : 0, 20 + 6 * scattered(round), 4, 50 + 9 * scattered(round + 1)});
    if (round > 2)
      r.past_forecasts.push_back({"accuracy of night", round - 2, round,
                                  within(0.7 + 0.01 * double(round), 0.02),
                                  0.7 + 0.01 * double(round) + 0.04 * (scattered(round) - 0.5)});
    r.rounds.push_back(
        {round, first_day_ms + round * 5 * day_ms, round % 2 ? "margin, cut by cost" : "badge", 60, 6,
         last ? 22 : 60, 720, "Night items are worth twice their price.",
         last ? "" : "Night rose by 1.2 points, as expected.",
         round == 3 ? std::vector<std::string>{"2 rows with a NaN were left out", "floor of rain raised"}
                    : std::vector<std::string>{}});
  }
  r.drift = {watch_of("PSI of the scores", rounds, 0.02, 0.004, 0.2, false, "The scores keep their shape."),
             watch_of("KS of the features", rounds, 0.03, 0.008, 0.1, true,
                      "Since round 9 the new items differ from the first pool."),
             watch_of("MMD of the features", rounds, 0.001, 0.0001, 0.01, false, "")};
  r.drift[1].points.back().p = 0.0004;
  r.stopping = {watch_of("kappa on the stop set", rounds, 0.9, 0.008, 0.99, true,
                         "Kappa was at least 0.99 in the last 3 rounds."),
                watch_of("mean uncertainty", rounds, 0.4, -0.02, 0.1, false, "0.16 is above 0.1."),
                watch_of("gain of the next 1,000 labels", rounds, 900, -40, 100, false,
                         "They cost 12,000 cents and gain 38,000."),
                {"the money is spent", {}, {}, false, "10,840 of 20,000 cents are spent."}};
}

/// Every part, over so many rounds.
inline campaign_report full_report(index_t rounds = 12) {
  campaign_report r;
  r.name = "Street scenes, spring 2026";
  r.hypothesis = "Night items buy more accuracy for their price than day items.";
  r.at_ms = first_day_ms + (rounds * 5 + 1) * day_ms;
  r.money = {"EUR", 2};
  r.now = progress_at(rounds);
  r.budgets = {{report_budget::kind::money, 10840, 456, 20000},
               {report_budget::kind::hours, 24.6, 1.2, 40},
               {report_budget::kind::labels, 820, 38, {}},
               {report_budget::kind::days, 61, 0, 90}};
  add_targets(r);
  add_curves(r, rounds);
  add_slices(r);
  add_map(r, rounds, 1500);
  add_watches(r, rounds);
  r.tables = {{"A video costs three times an image",
               "Of the labels in the ledger.",
               {"Data type", "Labels", "Cents a label", "Seconds a label"},
               {{"image", "588", "8", "71"}, {"video", "194", "24", "214"}}}};
  r.versions = {
      {"pool",
       "version 3, 50,000 rows, sha256 0f3ac1d29be477e51c6f0b6a1d09d1b1e0f9a4c8e3d2b7a6f5e4d3c2b1a09f8e"},
      {"model", "12, of pool 3, git 1f2e3d4"},
      {"guideline", "2"},
      {"head of the log", "1904:9b74c9897bac770ffc029102a200c5de9b74c9897bac770ffc029102a200c5de"},
      {"library", "poolwise 0.9.0"}};
  return r;
}

inline const std::string hostile = "</script><script>alert(1)</script><!--<b a=\"x\" c='y'>&amp;%{y}";

/// Foreign texts in every place, names without end, budgets of nothing, figures that are unknown or one for
/// all.
inline campaign_report awkward_report() {
  auto r = full_report(3);
  const std::string endless = "slice_" + std::string(300, 'x');
  r.name = r.hypothesis = r.money.unit = hostile;
  r.budgets = {{report_budget::kind::money, 0, 0, 0},
               {report_budget::kind::hours, 50, 10, 40},
               {report_budget::kind::labels, 1, 0, 1e15}};
  for (auto& t : r.targets) t.name = t.why = hostile + endless;
  r.targets.resize(2);
  for (int i = 0; i < 30; ++i) r.targets.push_back({endless, 0.5, report_estimate{NAN}, {}, {}, ""});
  r.verdict = {true, hostile};
  r.end->reason = hostile;
  r.next = {hostile, endless};
  for (auto& c : r.curves)
    if (c.slice == "night") c.slice = hostile;
  for (auto& c : r.curves)
    if (c.slice == "rain") c.slice = endless;
  r.arms.sentence = hostile;
  r.slices[0].name = hostile;
  for (int i = 0; i < 60; ++i) r.slices.push_back({endless, i, within(0.5, 0.1), 0.4, {}, i + 10});
  r.distributions[0].name = r.distributions[0].test = r.distributions[0].groups[0].name = hostile;
  for (int i = 0; i < 90; ++i) r.distributions[1].groups.push_back({endless, i, i % 7, i % 5});
  r.map.picks[0].id = r.map.picks[0].label = r.map.background[0].nearest = hostile;
  for (auto* watches : {&r.drift, &r.stopping})
    for (int i = 0; i < 20; ++i) watches->push_back({endless, {{1, NAN, {}}}, 0, false, hostile});
  r.drift[0].name = r.stopping[0].name = hostile;
  r.past_forecasts[0].of = hostile;
  r.rounds[0].strategy = r.rounds[0].hypothesis = r.rounds[0].outcome = hostile;
  r.rounds[1].remarks = {hostile, endless};
  r.tables[0] = {hostile, hostile, {hostile}, {{hostile}}};
  r.versions = {{hostile, hostile}, {endless, endless}};
  return r;
}

}  // namespace poolwise::example
