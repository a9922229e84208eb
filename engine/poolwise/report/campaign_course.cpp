// What is watched round by round: lead times, drift, rules that stop, forecasts, and the log of rounds.
#include <cmath>
#include <functional>

#include "poolwise/report/detail/campaign_parts.hpp"
#include "poolwise/report/detail/plotly.hpp"

namespace poolwise::campaign_page {
namespace {

using html::counted, html::element, html::escape, html::grouped, html::percent, html::three_digits;
using nlohmann::json;

/// Ticks at whole rounds alone, also where there are few.
json round_axis(index_t rounds) {
  auto x = plotly::axis("Round");
  if (rounds <= 10) x["dtick"] = 1;
  x["unifiedhovertitle"] = {{"text", "Round %{x}"}};
  return x;
}

json line(const std::string& name, const char* colour) {
  return {{"type", "scatter"},
          {"mode", "lines+markers"},
          {"name", name},
          {"x", json::array()},
          {"y", json::array()},
          {"customdata", json::array()},
          {"hovertemplate", "%{customdata}"},
          {"line", {{"color", colour}, {"width", 2}}},
          {"marker", {{"color", colour}, {"size", 7}}}};
}

void drop_markers_of_many(json& t) {
  if (t["x"].size() > most_markers) t["mode"] = "lines";
}

/// A chart among several small ones, without a legend.
json small_layout(index_t rounds, const std::string& y_format) {
  auto shape = plotly::layout(round_axis(rounds), plotly::axis(""));
  shape["showlegend"] = false;
  shape["font"]["size"] = 12;
  shape["margin"] = {{"l", 44}, {"r", 12}, {"t", 8}, {"b", 40}};
  if (!y_format.empty()) shape["yaxis"]["tickformat"] = y_format;
  return shape;
}

}  // namespace

// ---- Lead times

namespace {

std::string hours(double h) { return html::fixed(h, 1) + " hours"; }

std::string lead_heading(const std::vector<report_lead_time>& times) {
  index_t outstanding = 0;
  const report_lead_time* last = nullptr;
  for (const auto& t : times) {
    outstanding += t.outstanding;
    if (t.labelled > 0) last = &t;
  }
  const auto rest = outstanding == 0 ? std::string("nothing is outstanding")
                                     : counted(double(outstanding), "item is", "items are") + " outstanding";
  if (!last) return "No label has come back yet; " + rest;
  return "From handing out to labelling took " + hours(last->median_hours) + " at the median of round " +
         std::to_string(last->round) + "; " + rest;
}

}  // namespace

void add_lead_times(const campaign_report& report, page& page) {
  if (report.lead_times.empty()) return;
  auto t = line("median", plotly::colours[0]);
  std::vector<index_t> x;
  std::vector<double> low, high;
  report_table table{"", "", {"Round", "Labelled", "Outstanding", "Median (h)", "10 % (h)", "90 % (h)"}, {}};
  for (const auto& time : report.lead_times) {
    const bool known = time.labelled > 0;
    const auto text = [&](double h) { return known ? html::fixed(h, 1) : html::dash; };
    table.rows.push_back({std::to_string(time.round), grouped(double(time.labelled)),
                          grouped(double(time.outstanding)), text(time.median_hours), text(time.p10_hours),
                          text(time.p90_hours)});
    if (!known) continue;
    x.push_back(time.round);
    low.push_back(time.p10_hours);
    high.push_back(time.p90_hours);
    t["y"].push_back(time.median_hours);
    t["customdata"].push_back(hours(time.median_hours) + " (" + html::fixed(time.p10_hours, 1) + " to " +
                              html::fixed(time.p90_hours, 1) + ")");
  }
  t["x"] = x;
  const auto heading = lead_heading(report.lead_times);
  if (x.size() < 2) return page.add("lead-times", "Lead times", heading, last_rows(std::move(table)));
  auto band = line("from 10 % to 90 %", plotly::colours[0]);
  plotly::make_band(band, x, low, high);
  drop_markers_of_many(t);
  auto y = plotly::axis("Hours");
  y["rangemode"] = "tozero";
  page.charts["lead"] = {{"data", json::array({band, t})},
                         {"layout", plotly::layout(round_axis(x.back() - x.front()), y)}};
  page.add(
      "lead-times", "Lead times", heading,
      html::figure_of({.chart = "lead",
                       .alt = heading,
                       .controls = "",
                       .text = "Hours from handing out to labelling, by the round that picked the item: the "
                               "median, and a band from the fastest to the slowest tenth.",
                       .table = last_rows(std::move(table)),
                       .height = 340}));
}

// ---- Drift and stopping: small charts of watched figures

namespace {

constexpr std::size_t most_small_charts = 12;

/// How a page speaks of what it watches.
struct watched {
  const char *section, *name, *holds, *holds_not, *style;
};
constexpr watched drift{"drift", "Drift", "past its threshold", "within its threshold", "bad"};
constexpr watched stopping{"rules", "Stopping", "says stop", "says go on", "good"};

/// A line needs two points.
bool has_line(const report_watch& watch) {
  return count_where(watch.points, [](const auto& p) { return std::isfinite(p.value); }) > 1;
}

json watch_chart(const report_watch& watch) {
  auto t = line(plotly::text(watch.name), plotly::colours[0]);
  for (const auto& p : watch.points) {
    t["x"].push_back(p.round);
    t["y"].push_back(p.value);
    t["customdata"].push_back(three_digits(p.value) + (p.p ? ", p " + html::p_value(*p.p) : ""));
  }
  t["hovertemplate"] = "%{customdata}<extra></extra>";
  drop_markers_of_many(t);
  auto shape = small_layout(watch.points.back().round - watch.points.front().round, "");
  if (watch.threshold) {
    double room = 0;
    for (const auto& p : watch.points) room = std::max(room, 0.08 * std::abs(p.value - *watch.threshold));
    shape["shapes"] = json::array({plotly::horizontal_line(*watch.threshold, "threshold")});
    shape["yaxis"]["autorangeoptions"]["include"] = plotly::room_about(*watch.threshold, room);
  }
  return {{"data", json::array({t})}, {"layout", shape}};
}

std::string watch_item(const report_watch& watch, const watched& of, const std::string& id) {
  const auto heading = html::short_name(watch.name);
  const auto chip = element("span", std::string("class=\"chip ") + (watch.holds ? of.style : "unknown") + "\"",
                            watch.holds ? of.holds : of.holds_not);
  std::string text = escape(watch.sentence);
  const auto say = [&](const std::string& sentence) { text.append(text.empty() ? "" : " ").append(sentence); };
  const bool drawn = has_line(watch);
  if (!drawn && !watch.points.empty())
    say(three_digits(watch.points.back().value) + " in round " + std::to_string(watch.points.back().round) +
        ".");
  if (watch.threshold)
    say((drawn ? "Dashed: its threshold, " : "Its threshold is ") + three_digits(*watch.threshold) + ".");
  const auto body = drawn ? html::figure_of({.chart = id,
                                             .alt = heading + " by round",
                                             .controls = "",
                                             .text = text,
                                             .table = "",
                                             .height = 200})
                          : html::caption(text);
  return element("div", "", element("h3", "", heading + " " + chip) + body) + "\n";
}

report_table watch_table(const std::vector<report_watch>& watches) {
  report_table table{"", "", {"Figure", "Round", "Value", "p", "Threshold"}, {}};
  for (const auto& watch : watches)
    for (const auto& p : watch.points)
      table.rows.push_back({watch.name, std::to_string(p.round), three_digits(p.value),
                            p.p ? html::p_value(*p.p) : html::dash,
                            watch.threshold ? three_digits(*watch.threshold) : html::dash});
  return html::without_empty_columns(std::move(table));
}

/// Those that hold come first, as those of them that are not drawn would be missed.
void add_watches(const std::vector<report_watch>& all, const watched& of, const std::string& heading,
                 page& page) {
  auto watches = all;
  std::stable_sort(watches.begin(), watches.end(),
                   [](const auto& a, const auto& b) { return a.holds && !b.holds; });
  if (watches.size() > most_small_charts) watches.resize(most_small_charts);
  std::string items;
  for (std::size_t i = 0; i < watches.size(); ++i) {
    const auto id = std::string(of.section) + "-" + std::to_string(i);
    if (has_line(watches[i])) page.charts[id] = watch_chart(watches[i]);
    items += watch_item(watches[i], of, id);
  }
  auto content = element("div", "class=\"multiples\"", "\n" + items);
  if (watches.size() < all.size())
    content += html::caption("Shown are " + std::to_string(watches.size()) + " of " +
                             grouped(double(all.size())) + " figures; the table has all of them.");
  auto table = watch_table(all);
  page.add(of.section, of.name, heading, content + (table.rows.empty() ? "" : last_rows(std::move(table))));
}

}  // namespace

void add_drift(const campaign_report& report, page& page) {
  if (report.drift.empty()) return;
  const auto past = count_where(report.drift, [](const auto& w) { return w.holds; });
  add_watches(report.drift, drift,
              past == 0 ? "No drift is shown by " + counted(double(report.drift.size()), "figure")
                        : share_of(past, report.drift.size(), "figure") + " past " +
                              (past == 1 ? "its threshold of drift" : "their thresholds of drift"),
              page);
}

void add_stopping(const campaign_report& report, page& page) {
  if (report.stopping.empty()) return;
  const auto hold = count_where(report.stopping, [](const auto& w) { return w.holds; });
  add_watches(report.stopping, stopping,
              std::to_string(hold) + " of " + counted(double(report.stopping.size()), "stopping rule") +
                  (hold == 1 ? " says stop" : " say stop"),
              page);
}

// ---- Past forecasts

namespace {

bool held(const report_past_forecast& f) { return f.expected.low <= f.came && f.came <= f.expected.high; }

std::string figure_text(const report_past_forecast& f, double value) {
  return f.is_share ? percent(value) : three_digits(value);
}

json forecast_chart(std::vector<report_past_forecast> forecasts) {
  if (forecasts.size() > most_markers)
    forecasts.erase(forecasts.begin(), forecasts.end() - std::ptrdiff_t(most_markers));
  auto expected = line("forecast", plotly::colours[0]), came = line("came", plotly::colours[1]);
  expected["mode"] = came["mode"] = "markers";
  expected["marker"]["symbol"] = "circle-open";
  came["marker"]["symbol"] = "diamond";
  std::vector<double> up, down;
  for (const auto& f : forecasts) {
    expected["x"].push_back(f.about);
    came["x"].push_back(f.about);
    expected["y"].push_back(f.expected.value);
    came["y"].push_back(f.came);
    up.push_back(f.expected.high - f.expected.value);
    down.push_back(f.expected.value - f.expected.low);
    expected["customdata"].push_back(with_interval(f.expected, [&](double x) { return figure_text(f, x); }) +
                                     (f.made_in > 0 ? ", made in round " + std::to_string(f.made_in) : ""));
    came["customdata"].push_back(figure_text(f, f.came));
  }
  expected["error_y"] = plotly::error_bars(up, down, plotly::colours[0]);
  return {{"data", json::array({expected, came})},
          {"layout", small_layout(forecasts.back().about - forecasts.front().about,
                                  forecasts.front().is_share ? "~%" : "")}};
}

report_table forecast_table(const std::vector<report_past_forecast>& forecasts) {
  report_table table{
      "", "", {"Of", "Made in round", "About round", "Forecast", "Low", "High", "Came", "Error"}, {}};
  for (const auto& f : forecasts) {
    const auto text = [&](double x) { return figure_text(f, x); };
    table.rows.push_back({f.of, f.made_in > 0 ? std::to_string(f.made_in) : html::dash, std::to_string(f.about),
                          text(f.expected.value), text(f.expected.low), text(f.expected.high), text(f.came),
                          text(f.came - f.expected.value)});
  }
  return html::without_empty_columns(std::move(table));
}

}  // namespace

void add_past_forecasts(const campaign_report& report, page& page) {
  const auto& all = report.past_forecasts;
  if (all.empty()) return;
  std::vector<std::vector<report_past_forecast>> by_figure;
  for (const auto& f : all) {
    auto found = std::find_if(by_figure.begin(), by_figure.end(),
                              [&](const auto& group) { return group.front().of == f.of; });
    if (found == by_figure.end()) found = by_figure.insert(found, std::vector<report_past_forecast>{});
    found->push_back(f);
  }
  const auto shown = std::min(by_figure.size(), most_small_charts);
  std::string items;
  for (std::size_t i = 0; i < shown; ++i) {
    const auto id = "forecast-" + std::to_string(i), name = html::short_name(by_figure[i].front().of);
    page.charts[id] = forecast_chart(by_figure[i]);
    items +=
        element("div", "",
                element("h3", "", name) + html::figure_of({.chart = id,
                                                           .alt = "Forecasts of " + name + " and what came",
                                                           .controls = "",
                                                           .text = "",
                                                           .table = "",
                                                           .height = 220}));
  }
  page.add("forecasts", "Forecasts",
           std::to_string(count_where(all, held)) + " of " + counted(double(all.size()), "past forecast") +
               " held within " + (all.size() == 1 ? "its" : "their") + " " + percent(report.forecast_level) +
               " interval" + (all.size() == 1 ? "" : "s"),
           element("div", "class=\"multiples\"", "\n" + items) +
               html::caption(
                   "Open circles: the forecast with its interval. Diamonds: what came. A chart has the last " +
                   std::to_string(most_markers) + " at most.") +
               last_rows(forecast_table(all)));
}

// ---- The log

namespace {

std::string remarks_of(const report_round& r) {
  std::string out;
  for (const auto& remark : r.remarks) out += (out.empty() ? "" : "; ") + remark;
  return out;
}

report_table rounds_table(const std::vector<report_round>& rounds, const report_money& money) {
  report_table table{"",
                     "",
                     {"Round", "When", "Strategy", "Picks", "Of them random", "Labelled",
                      "Cost (" + money.unit + ")", "Hypothesis", "Outcome", "Remarks"},
                     {}};
  for (const auto& r : rounds)
    table.rows.push_back({std::to_string(r.round), r.at_ms > 0 ? html::date(double(r.at_ms)) : html::dash,
                          r.strategy, grouped(double(r.picks)), grouped(double(r.audit_picks)),
                          grouped(double(r.labelled)), grouped(whole_units(r.money, money), money.decimals),
                          r.hypothesis, r.outcome, remarks_of(r)});
  return html::without_empty_columns(std::move(table));
}

}  // namespace

void add_rounds(const campaign_report& report, page& page) {
  if (report.rounds.empty()) return;
  constexpr std::size_t shown = 12;
  double picks = 0, money = 0;
  for (const auto& r : report.rounds) {
    picks += double(r.picks);
    money += r.money;
  }
  std::vector<report_round> newest(report.rounds.rbegin(), report.rounds.rend()), older;
  if (newest.size() > shown) {
    older.assign(newest.begin() + shown, newest.end());
    newest.resize(shown);
  }
  auto content = html::table_of(rounds_table(newest, report.money), "log");
  if (!older.empty())
    content += element("details", "",
                       element("summary", "", counted(double(older.size()), "earlier round")) +
                           html::table_of(rounds_table(older, report.money), "log"));
  page.add("rounds", "Decisions",
           counted(double(report.rounds.size()), "round") + " picked " + counted(picks, "item") + " for " +
               escape(money_text(money, report.money)),
           content);
}

}  // namespace poolwise::campaign_page
