// Accuracy over the course of a campaign, and by slice.
#include <cmath>
#include <functional>

#include "poolwise/report/detail/campaign_parts.hpp"
#include "poolwise/report/detail/plotly.hpp"

namespace poolwise::campaign_page {
namespace {

using html::counted, html::escape, html::grouped, html::percent;
using nlohmann::json;
using points = std::vector<report_curve::point>;

// ---- The horizontal axis: labels, money or hours

struct course {
  std::string id, title, hover;
  double report_progress::*at;
  double divisor;
};

std::vector<course> courses(const report_money& money) {
  const std::string unit = plotly::text(money.unit);
  return {
      {"labels", "Labels", "%{x:,.0f} labels", &report_progress::labels, 1},
      {"money", "Money (" + unit + ")", "%{x:,} " + unit, &report_progress::money, 1 / whole_units(1, money)},
      {"hours", "Hours of people", "%{x:,.1f} hours", &report_progress::hours, 1}};
}

std::vector<double> places(const points& of, const course& along) {
  std::vector<double> x;
  for (const auto& point : of) x.push_back(point.at.*along.at / along.divisor);
  return x;
}

bool is_known(const course& along, const std::vector<const points*>& lines) {
  return std::any_of(lines.begin(), lines.end(), [&](const points* line) {
    return std::any_of(line->begin(), line->end(), [&](const auto& p) { return p.at.*along.at > 0; });
  });
}

// ---- Lines of accuracy with their bands

struct accuracy_line {
  std::string name, colour, symbol, dash;
  const points* of = nullptr;
};

bool has_band(const points& of) {
  return of.size() > 1 &&
         std::any_of(of.begin(), of.end(), [](const auto& p) { return p.accuracy.low < p.accuracy.high; });
}

/// Traces, and the points that each shows: a band has its points there and back.
struct accuracy_chart {
  std::string id;
  std::vector<course> along;  ///< those that are known
  json data = json::array();
  std::vector<const points*> shown;
  std::vector<bool> is_band;

  accuracy_chart(std::string name, const std::vector<const points*>& lines, const report_money& money)
      : id(std::move(name)) {
    for (auto& c : courses(money))
      if (c.id == "labels" || is_known(c, lines)) along.push_back(std::move(c));
  }

  void add(const accuracy_line& line) {
    const auto& of = *line.of;
    json t = {{"type", "scatter"},
              {"name", plotly::text(line.name)},
              {"legendgroup", plotly::text(line.name)},
              {"line", {{"color", line.colour}, {"dash", line.dash}, {"width", 2}}},
              {"marker", {{"color", line.colour}, {"symbol", line.symbol}, {"size", 7}}}};
    if (has_band(of)) add_band(t, of);
    std::vector<double> y;
    json texts = json::array();
    for (const auto& point : of) {
      y.push_back(point.accuracy.value);
      texts.push_back(with_interval(point.accuracy, percent));
    }
    t["mode"] = of.size() > most_markers ? "lines" : "lines+markers";
    t["x"] = places(of, along.front());
    t["y"] = std::move(y);
    t["customdata"] = std::move(texts);
    t["hovertemplate"] = "%{customdata}";
    // One point has no band.
    if (of.size() == 1)
      t["error_y"] = plotly::error_bars({of.front().accuracy.high - of.front().accuracy.value},
                                        {of.front().accuracy.value - of.front().accuracy.low}, line.colour);
    append(std::move(t), of, false);
  }

  void add_band(json t, const points& of) {
    std::vector<double> low, high;
    for (const auto& point : of) {
      low.push_back(point.accuracy.low);
      high.push_back(point.accuracy.high);
    }
    plotly::make_band(t, places(of, along.front()), low, high);
    append(std::move(t), of, true);
  }

  void append(json t, const points& of, bool band) {
    data.push_back(std::move(t));
    shown.push_back(&of);
    is_band.push_back(band);
  }

  json layout() const {
    auto x = plotly::count_axis(along.front().title);
    x["unifiedhovertitle"] = {{"text", along.front().hover}};
    auto shape = plotly::layout(x, plotly::share_axis("Accuracy (%)"));
    shape["showlegend"] = true;
    return shape;
  }

  json axis_choice() const {
    json choice = json::object();
    for (const auto& c : along) {
      json x = json::array();
      for (std::size_t i = 0; i < shown.size(); ++i) {
        const auto there = places(*shown[i], c);
        x.push_back(is_band[i] ? plotly::outline(there, there) : there);
      }
      choice[c.id] = {{"traces", {{"x", std::move(x)}}},
                      {"layout",
                       {{"xaxis.title.text", c.title},
                        {"xaxis.unifiedhovertitle.text", c.hover},
                        {"xaxis.autorange", true}}}};
    }
    return choice;
  }

  std::string axis_control() const {
    std::vector<view> views;
    for (const auto& c : along) views.push_back({c.id, c.title});
    return choice_of(id, "axis", "Against", views);
  }
};

// ---- Learning curves

std::string name_of(const report_curve& curve) { return curve.slice.empty() ? "all items" : curve.slice; }

bool is_measured(const report_curve& curve) { return curve.of == report_curve::kind::measured; }

std::vector<std::string> slices_of(const std::vector<report_curve>& curves) {
  std::vector<std::string> names;
  for (const auto& curve : curves)
    if (std::find(names.begin(), names.end(), curve.slice) == names.end()) names.push_back(curve.slice);
  return names;
}

accuracy_line line_of(const report_curve& curve, std::size_t slice) {
  const bool measured = is_measured(curve);
  return {.name = name_of(curve) + (measured ? "" : ", forecast"),
          .colour = plotly::colours[slice % plotly::colours.size()],
          .symbol = measured ? plotly::symbols[slice % plotly::symbols.size()] : "circle-open",
          .dash = measured ? "solid" : "dash",
          .of = &curve.points};
}

/// The target of a slice as changes of the layout.
json target_line(const std::vector<report_curve>& curves, const std::string& slice) {
  json shapes = json::array(), room = json::array();
  for (const auto& curve : curves)
    if (shapes.empty() && curve.slice == slice && curve.target) {
      shapes.push_back(plotly::horizontal_line(*curve.target, "target " + percent(*curve.target)));
      room = plotly::room_about(*curve.target, 0.01);
    }
  return {{"shapes", shapes}, {"yaxis.autorangeoptions.include", room}, {"yaxis.autorange", true}};
}

/// One view a slice, and one of all their lines where they are few.
json slice_choice(const accuracy_chart& chart, const std::vector<report_curve>& curves,
                  const std::vector<std::string>& slices, const std::vector<std::size_t>& slice_of_trace) {
  json choice = json::object();
  const auto add = [&](const std::string& value, auto&& shows, json layout) {
    json visible = json::array();
    for (std::size_t i = 0; i < slice_of_trace.size(); ++i) visible.push_back(shows(i));
    choice[value] = {{"traces", {{"visible", std::move(visible)}}}, {"layout", std::move(layout)}};
  };
  for (std::size_t s = 0; s < slices.size(); ++s)
    add(
        std::to_string(s), [&](std::size_t i) { return slice_of_trace[i] == s; },
        target_line(curves, slices[s]));
  add(
      "every", [&](std::size_t i) { return !chart.is_band[i]; }, target_line({}, ""));
  return choice;
}

std::string slice_control(const std::vector<std::string>& slices) {
  constexpr std::size_t most_together = 12;
  std::vector<view> views;
  for (std::size_t s = 0; s < slices.size(); ++s)
    views.push_back({std::to_string(s), slices[s].empty() ? "all items" : html::short_name(slices[s])});
  if (slices.size() > 1 && slices.size() <= most_together) views.push_back({"every", "each slice"});
  return choice_of("accuracy", "slice", "Slice", views);
}

std::string curves_heading(const std::vector<report_curve>& curves) {
  const auto measured = std::find_if(curves.begin(), curves.end(), is_measured);
  if (measured == curves.end()) {
    const auto& last = curves.front().points.back();
    return "Accuracy of " + html::short_name(name_of(curves.front())) + " is forecast to be " +
           percent(last.accuracy.value) + " at " + counted(std::round(last.at.labels), "label");
  }
  const auto &first = measured->points.front(), &last = measured->points.back();
  const auto at = counted(last.at.labels, "label");
  if (measured->points.size() == 1)
    return "Accuracy of " + html::short_name(name_of(*measured)) + " is " + percent(last.accuracy.value) +
           " at " + at;
  return "Accuracy of " + html::short_name(name_of(*measured)) + " went from " + percent(first.accuracy.value) +
         " to " + percent(last.accuracy.value) + " with " + at;
}

report_table table_of_points(const report_money& money) {
  return {"", "", {"Of", "Kind", "Round", "Labels", money.unit, "Hours", "Accuracy", "Low", "High"}, {}};
}

void add_rows(report_table& table, const std::string& of, const std::string& kind, const points& all,
              const report_money& money) {
  for (const auto& [at, accuracy] : all)
    table.rows.push_back({of, kind, std::to_string(at.round), grouped(std::round(at.labels)),
                          grouped(whole_units(at.money, money), money.decimals), grouped(at.hours, 1),
                          percent(accuracy.value), percent(accuracy.low), percent(accuracy.high)});
}

}  // namespace

void add_curves(const campaign_report& report, page& page) {
  auto curves = report.curves;
  std::erase_if(curves, [](const auto& curve) { return curve.points.empty(); });
  if (curves.empty()) return;
  const auto slices = slices_of(curves);
  std::vector<const points*> lines;
  for (const auto& curve : curves) lines.push_back(&curve.points);

  accuracy_chart chart("accuracy", lines, report.money);
  std::vector<std::size_t> slice_of_trace;
  auto table = table_of_points(report.money);
  for (const auto& curve : curves) {
    const auto slice = std::size_t(std::find(slices.begin(), slices.end(), curve.slice) - slices.begin());
    chart.add(line_of(curve, slice));
    slice_of_trace.resize(chart.data.size(), slice);
    add_rows(table, name_of(curve), is_measured(curve) ? "measured" : "forecast", curve.points, report.money);
  }
  for (std::size_t i = 0; i < slice_of_trace.size(); ++i) chart.data[i]["visible"] = slice_of_trace[i] == 0;
  auto shape = chart.layout();
  const auto target = target_line(curves, slices.front());
  shape["shapes"] = target["shapes"];
  shape["yaxis"]["autorangeoptions"]["include"] = target["yaxis.autorangeoptions.include"];
  page.charts[chart.id] = {
      {"data", chart.data},
      {"layout", shape},
      {"choices",
       {{"axis", chart.axis_choice()}, {"slice", slice_choice(chart, curves, slices, slice_of_trace)}}}};
  const auto heading = curves_heading(curves);
  const auto text = "Accuracy on held-out data after each evaluation, with intervals of " +
                    percent(report.interval_level) + ". A forecast is dashed; its band is of " +
                    percent(report.forecast_level) + ".";
  page.add("curves", "Accuracy", heading,
           html::figure_of({.chart = chart.id,
                            .alt = heading,
                            .controls = controls_of(chart.axis_control() + slice_control(slices)),
                            .text = text,
                            .table = last_rows(std::move(table))}));
}

namespace {

std::string arms_heading(const std::optional<report_estimate>& saved) {
  if (!saved) return "Active selection against random picks";
  if (!(saved->low < saved->high) || (saved->low <= 0 && saved->high >= 0))
    return "Active selection has not been shown to save labels yet";
  const auto text =
      with_interval({std::abs(saved->value), std::min(std::abs(saved->low), std::abs(saved->high)),
                     std::max(std::abs(saved->low), std::abs(saved->high))},
                    [](double n) { return grouped(std::round(n)); });
  return saved->low > 0 ? "Active selection saved " + text + " labels against random picks"
                        : "Active selection cost " + text + " labels more than random picks";
}

}  // namespace

void add_arms(const campaign_report& report, page& page) {
  const auto& arms = report.arms;
  const auto heading = arms_heading(arms.saved_labels);
  if (arms.active.empty() && arms.random.empty()) {
    if (!arms.sentence.empty() || arms.saved_labels)
      page.add("against-random", "Against random", heading, html::element("p", "", escape(arms.sentence)));
    return;
  }
  accuracy_chart chart("arms", {&arms.active, &arms.random}, report.money);
  auto table = table_of_points(report.money);
  const auto add = [&](const points& of, const accuracy_line& line) {
    if (of.empty()) return;
    chart.add(line);
    add_rows(table, line.name, "measured", of, report.money);
  };
  add(arms.active, {"active picks", plotly::colours[0], plotly::symbols[0], "solid", &arms.active});
  add(arms.random, {"random audit picks", plotly::grey, plotly::symbols[1], "dot", &arms.random});
  page.charts[chart.id] = {
      {"data", chart.data}, {"layout", chart.layout()}, {"choices", {{"axis", chart.axis_choice()}}}};
  page.add("against-random", "Against random", heading,
           html::figure_of({.chart = chart.id,
                            .alt = heading,
                            .controls = controls_of(chart.axis_control()),
                            .text = escape(arms.sentence),
                            .table = last_rows(std::move(table))}));
}

// ---- Slices

namespace {

constexpr std::size_t most_slices = 24;  // a page of paper holds that chart

bool meets(const report_slice& slice) {
  return slice.accuracy && slice.target && slice.accuracy->value >= *slice.target;
}

/// How far below its target a slice is; those without one come last.
double shortfall(const report_slice& slice) {
  return slice.accuracy && slice.target ? *slice.target - slice.accuracy->value : -2;
}

/// All of them in their order or, of too many, those that miss their targets most.
std::vector<report_slice> shown_slices(std::vector<report_slice> slices) {
  if (slices.size() <= most_slices) return slices;
  std::stable_sort(slices.begin(), slices.end(),
                   [](const auto& a, const auto& b) { return shortfall(a) > shortfall(b); });
  slices.resize(most_slices);
  return slices;
}

std::vector<std::string> names_of(const std::vector<report_slice>& slices) {
  std::vector<std::string> names;
  for (const auto& slice : slices) names.push_back(slice.name);
  return names;
}

/// A short line across the row of a slice.
json marks(const std::string& name, const char* colour, const char* symbol) {
  return {{"type", "scatter"},
          {"mode", "markers"},
          {"name", name},
          {"x", json::array()},
          {"y", json::array()},
          {"hovertemplate", "%{x}"},
          {"marker",
           {{"symbol", symbol}, {"size", 18}, {"color", colour}, {"line", {{"width", 3}, {"color", colour}}}}}};
}

json dots(const std::string& name, const char* colour, const char* symbol) {
  return {{"type", "scatter"},
          {"mode", "markers"},
          {"name", name},
          {"x", json::array()},
          {"y", json::array()},
          {"customdata", json::array()},
          {"hovertemplate", "%{customdata}<extra></extra>"},
          {"error_x", plotly::error_bars({}, {}, colour)},
          {"marker", {{"color", colour}, {"symbol", symbol}, {"size", 10}}}};
}

void add_dot(json& t, const report_slice& slice, std::size_t row) {
  const auto& a = *slice.accuracy;
  t["x"].push_back(a.value);
  t["y"].push_back(row);
  t["error_x"]["array"].push_back(std::max(0.0, a.high - a.value));
  t["error_x"]["arrayminus"].push_back(std::max(0.0, a.value - a.low));
  t["customdata"].push_back(plotly::text(slice.name) + ": " + with_interval(a, percent));
}

json slices_chart(const std::vector<report_slice>& slices) {
  auto met = dots("meets its target", plotly::colours[0], "circle"),
       missed = dots("below its target", plotly::colours[1], "diamond"),
       free = dots("without a target", plotly::grey, "circle-open"),
       targets = marks("target", plotly::grey, "line-ns");
  targets["hovertemplate"] = "target %{x:.1%}<extra></extra>";
  for (std::size_t row = 0; row < slices.size(); ++row) {
    const auto& slice = slices[row];
    if (slice.accuracy) add_dot(!slice.target ? free : meets(slice) ? met : missed, slice, row);
    if (slice.target) targets["x"].push_back(*slice.target), targets["y"].push_back(row);
  }
  json data = json::array();
  for (auto* t : {&targets, &met, &missed, &free})
    if (!(*t)["x"].empty()) data.push_back(std::move(*t));
  auto shape = plotly::layout(plotly::share_axis("Accuracy (%)"), category_axis(names_of(slices)));
  shape["hovermode"] = "closest";
  shape["showlegend"] = true;
  return {{"data", data}, {"layout", shape}};
}

json slice_labels_chart(const std::vector<report_slice>& slices) {
  json bars = {{"type", "bar"},
               {"orientation", "h"},
               {"name", "labels"},
               {"x", json::array()},
               {"y", json::array()},
               {"hovertemplate", "%{x:,} labels<extra></extra>"},
               {"marker", {{"color", plotly::colours[5]}}}};
  auto floors = marks("floor", plotly::colours[1], "line-ns"), quotas = marks("quota", plotly::grey, "line-ns");
  floors["hovertemplate"] = "floor %{x:,}<extra></extra>";
  quotas["hovertemplate"] = "quota %{x:,}<extra></extra>";
  for (std::size_t row = 0; row < slices.size(); ++row) {
    bars["x"].push_back(slices[row].labelled);
    bars["y"].push_back(row);
    if (slices[row].floor) floors["x"].push_back(*slices[row].floor), floors["y"].push_back(row);
    if (slices[row].quota) quotas["x"].push_back(*slices[row].quota), quotas["y"].push_back(row);
  }
  json data = json::array({bars});
  for (auto* t : {&floors, &quotas})
    if (!(*t)["x"].empty()) data.push_back(std::move(*t));
  auto x = plotly::count_axis("Labels");
  x["rangemode"] = "tozero";
  auto shape = plotly::layout(x, category_axis(names_of(slices)));
  shape["hovermode"] = "closest";
  shape["showlegend"] = true;
  return {{"data", data}, {"layout", shape}};
}

std::string slices_heading(const std::vector<report_slice>& slices) {
  const auto aimed = count_where(slices, [](const auto& s) { return s.target.has_value(); });
  if (aimed == 0) return counted(double(slices.size()), "slice");
  const auto met = count_where(slices, meets);
  return std::to_string(met) + " of " + counted(double(aimed), "slice") + " with a target " +
         (met == 1 ? "meets it" : "meet it");
}

report_table slices_table(const std::vector<report_slice>& slices) {
  report_table table{"", "", {"Slice", "Labels", "Accuracy", "Low", "High", "Target", "Floor", "Quota"}, {}};
  const auto share = [](const std::optional<double>& x) { return x ? percent(*x) : html::dash; };
  const auto count = [](const std::optional<index_t>& n) { return n ? grouped(double(*n)) : html::dash; };
  for (const auto& s : slices) {
    const auto& a = s.accuracy;
    table.rows.push_back({s.name, grouped(double(s.labelled)), a ? percent(a->value) : html::dash,
                          a ? percent(a->low) : html::dash, a ? percent(a->high) : html::dash, share(s.target),
                          count(s.floor), count(s.quota)});
  }
  return table;
}

}  // namespace

void add_slices(const campaign_report& report, page& page) {
  if (report.slices.empty()) return;
  const auto slices = shown_slices(report.slices);
  const auto heading = slices_heading(report.slices);
  std::string content;
  if (std::any_of(slices.begin(), slices.end(), [](const auto& s) { return s.accuracy || s.target; })) {
    page.charts["slice-accuracy"] = slices_chart(slices);
    content += html::figure_of(
        {.chart = "slice-accuracy",
         .alt = heading,
         .controls = "",
         .text = "Accuracy of each slice with Wilson's interval of " + percent(report.interval_level) +
                 "; an upright line is its target." +
                 (slices.size() < report.slices.size()
                      ? " Shown are the " + std::to_string(slices.size()) + " of " +
                            grouped(double(report.slices.size())) + " slices that miss their target most."
                      : ""),
         .table = "",
         .height = height_of_rows(slices.size(), 32)});
  }
  if (std::any_of(slices.begin(), slices.end(), [](const auto& s) { return s.floor || s.quota; })) {
    page.charts["slice-labels"] = slice_labels_chart(slices);
    content += html::figure_of({.chart = "slice-labels",
                                .alt = "Labels of each slice against its floor and its quota",
                                .controls = "",
                                .text = "Labels of each slice; upright lines are its floor and its quota.",
                                .table = "",
                                .height = height_of_rows(slices.size(), 32)});
  }
  page.add("slices", "Slices", heading, content + last_rows(slices_table(report.slices)));
}

}  // namespace poolwise::campaign_page
