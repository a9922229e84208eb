#include "poolwise/report/detail/charts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace poolwise {
namespace {

using nlohmann::json;

// Visible on white and on black.
constexpr const char* grey = "#808080";
constexpr const char* grid = "rgba(128,128,128,0.25)";
constexpr double band_opacity = 0.18, seed_opacity = 0.45;

std::string escape(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) == std::string_view::npos)
      out += c;
    else
      out += "&#" + std::to_string(int(c)) + ";";
  }
  return out;
}

/// Plotly reads names as HTML of its own kind: tags and entities, of which it knows the numbered ones.
json plotly_text(const std::string& text) { return escape(text, "&<>"); }

json trace_of(const strategy_summary& s, const series_style& style) {
  return {{"type", "scatter"},
          {"name", plotly_text(s.name)},
          {"legendgroup", plotly_text(s.name)},
          {"line", {{"color", style.colour}, {"dash", style.dash}, {"width", 2}}},
          {"marker", {{"color", style.colour}, {"symbol", style.symbol}, {"size", 6}}}};
}

json axis(const char* title) {
  return {{"title", {{"text", title}, {"standoff", 12}}},
          {"automargin", true},
          {"gridcolor", grid},
          {"zeroline", false},
          {"linecolor", grey},
          {"ticks", "outside"},
          {"tickcolor", grey}};
}

/// The layout that all charts share. The page's style sheet gives texts the colour of the reader's theme.
json layout(json x, json y) {
  return {{"xaxis", std::move(x)},
          {"yaxis", std::move(y)},
          {"legend", {{"orientation", "h"}, {"x", 0}, {"y", 1.02}, {"yanchor", "bottom"}}},
          {"margin", {{"l", 56}, {"r", 16}, {"t", 16}, {"b", 48}}},
          {"font", {{"family", "system-ui, sans-serif"}, {"size", 14}}},
          {"hovermode", "x unified"},
          {"modebar", {{"color", grey}, {"activecolor", grey}, {"bgcolor", "rgba(0,0,0,0)"}}},
          {"paper_bgcolor", "rgba(0,0,0,0)"},
          {"plot_bgcolor", "rgba(0,0,0,0)"}};
}

/// A dashed line across the chart, with a place in the legend.
json horizontal_line(double y, json name) {
  return {{"type", "line"},
          {"xref", "paper"},
          {"x0", 0},
          {"x1", 1},
          {"y0", y},
          {"y1", y},
          {"name", std::move(name)},
          {"showlegend", true},
          {"line", {{"color", grey}, {"dash", "dash"}, {"width", 1.5}}},
          {"layer", "below"}};
}

struct curves_chart {
  const experiment_report& report;
  const std::vector<series_style>& styles;
  std::vector<json> bands, seeds, means;

  void add(std::size_t k) {
    const auto& s = report.strategies[k];
    if (s.curves.empty()) return;
    const auto mean = mean_over_seeds(s.curves);
    if (!mean.half_width.empty()) bands.push_back(band(k, mean));
    if (s.curves.size() > 1)
      for (const auto& curve : s.curves) seeds.push_back(seed_line(k, curve));
    means.push_back(mean_line(k, mean));
  }

  json band(std::size_t k, const mean_curve& mean) const {
    std::vector<index_t> x(mean.labels);
    std::vector<double> y;
    for (std::size_t i = 0; i < x.size(); ++i) y.push_back(mean.accuracy[i] + mean.half_width[i]);
    for (std::size_t i = mean.labels.size(); i-- > 0;) {
      x.push_back(mean.labels[i]);
      y.push_back(mean.accuracy[i] - mean.half_width[i]);
    }
    auto t = quiet_line(k);
    t["x"] = std::move(x);
    t["y"] = std::move(y);
    t["fill"] = "toself";
    t["fillcolor"] = styles[k].colour;
    t["line"]["width"] = 0;
    t["opacity"] = band_opacity;
    return t;
  }

  json seed_line(std::size_t k, const learning_curve& curve) const {
    auto t = quiet_line(k);
    t["x"] = curve.labels;
    t["y"] = curve.accuracy;
    t["line"]["width"] = 1;
    t["opacity"] = 0;
    return t;
  }

  json mean_line(std::size_t k, const mean_curve& mean) const {
    auto t = trace_of(report.strategies[k], styles[k]);
    t["mode"] = "lines+markers";
    t["x"] = mean.labels;
    t["y"] = mean.accuracy;
    t["hovertemplate"] = "%{y:.1%}";
    if (!mean.half_width.empty()) {
      t["customdata"] = mean.half_width;
      t["hovertemplate"] = "%{y:.1%} \u00b1 %{customdata:.1%}";
    }
    return t;
  }

  /// Neither in the legend nor under the pointer.
  json quiet_line(std::size_t k) const {
    auto t = trace_of(report.strategies[k], styles[k]);
    t["mode"] = "lines";
    t["showlegend"] = false;
    t["hoverinfo"] = "skip";
    return t;
  }

  /// Bands lie lowest, means on top.
  json chart() const {
    json data = json::array(), toggles = json::object();
    const auto append = [&](const std::vector<json>& traces) {
      json places = json::array();
      for (const auto& trace : traces) {
        places.push_back(data.size());
        data.push_back(trace);
      }
      return places;
    };
    if (!bands.empty()) {
      toggles["bands"] = {{"traces", append(bands)}, {"opacity", band_opacity}};
      toggles["seeds"] = {{"traces", append(seeds)}, {"opacity", seed_opacity}};
    }
    append(means);

    auto y = axis("Test accuracy (%)");
    y["tickformat"] = "~%";
    auto x = axis("Labels (items)");
    x["unifiedhovertitle"] = {{"text", "%{x} labels"}};
    auto shape = layout(x, y);
    shape["shapes"] = json::array({horizontal_line(report.target, "target " + percent(report.target))});
    return {{"data", data}, {"layout", shape}, {"toggles", toggles}};
  }
};

/// The multiples of the finest round step that gives at most 40 of them, and `highest` itself.
std::vector<double> accuracy_levels(double lowest, double highest) {
  int per_unit = 10;
  for (int finer : {20, 50, 100, 200, 500, 1000})
    if ((highest - lowest) * finer <= 40) per_unit = finer;
  std::vector<double> levels;
  for (double i = std::ceil(lowest * per_unit); i / per_unit < highest; ++i) levels.push_back(i / per_unit);
  levels.push_back(highest);
  return levels;
}

json saved_line(const strategy_summary& s, const series_style& style, const learning_curve& baseline) {
  const auto mean = mean_over_seeds(s.curves);
  json x = json::array(), y = json::array(), needs = json::array();
  for (double level : accuracy_levels(baseline.accuracy.front(),
                                      *std::max_element(baseline.accuracy.begin(), baseline.accuracy.end()))) {
    const auto by_baseline = interpolated_labels(baseline, level),
               by_strategy = interpolated_labels(mean, level);
    if (!by_baseline || !by_strategy) continue;
    x.push_back(level);
    y.push_back(*by_baseline - *by_strategy);
    needs.push_back({*by_strategy, *by_baseline});
  }
  auto t = trace_of(s, style);
  t["mode"] = "lines+markers";
  t["x"] = std::move(x);
  t["y"] = std::move(y);
  t["customdata"] = std::move(needs);
  t["hovertemplate"] = "%{y:.0f} (%{customdata[0]:.0f} instead of %{customdata[1]:.0f})";
  return t;
}

json saved_chart(const experiment_report& report, const std::vector<series_style>& styles,
                 const strategy_summary& baseline) {
  const auto mean = mean_over_seeds(baseline.curves);
  json data = json::array();
  for (std::size_t k = 0; k < styles.size(); ++k)
    if (&report.strategies[k] != &baseline) data.push_back(saved_line(report.strategies[k], styles[k], mean));
  auto x = axis("Test accuracy (%)");
  x["tickformat"] = "~%";
  x["hoverformat"] = ".1%";
  x["unifiedhovertitle"] = {{"text", "Labels saved at %{x:.1%}"}};
  auto shape = layout(x, axis("Labels saved (items)"));
  shape["shapes"] = json::array({horizontal_line(0, plotly_text(baseline.name))});
  shape["showlegend"] = true;
  return {{"data", data}, {"layout", shape}};
}

/// Null if no strategy has class counts.
json classes_chart(const experiment_report& report, const std::vector<series_style>& styles) {
  json names = json::array(), data = json::array();
  for (const auto& name : report.class_names) names.push_back(plotly_text(name));
  for (std::size_t k = 0; k < styles.size(); ++k) {
    const auto& counts = report.strategies[k].class_counts;
    const auto total = double(std::accumulate(counts.begin(), counts.end(), index_t(0)));
    if (total == 0) continue;
    std::vector<double> shares;
    for (const index_t n : counts) shares.push_back(double(n) / total);
    data.push_back({{"type", "bar"},
                    {"name", plotly_text(report.strategies[k].name)},
                    {"x", names},
                    {"y", shares},
                    {"customdata", counts},
                    {"hovertemplate", "%{y:.1%} (%{customdata})"},
                    {"marker", {{"color", styles[k].colour}, {"pattern", {{"shape", styles[k].pattern}}}}}});
  }
  if (data.empty()) return nullptr;
  const double uniform = 1 / double(report.class_names.size());
  auto x = axis("Class");
  x["type"] = "category";
  x["showgrid"] = false;
  auto y = axis("Share of the picks (%)");
  y["tickformat"] = "~%";
  auto shape = layout(x, y);
  shape["shapes"] = json::array({horizontal_line(uniform, "equal share, " + percent(uniform))});
  shape["shapes"][0]["layer"] = "above";
  shape["showlegend"] = true;
  shape["barmode"] = "group";
  shape["bargap"] = 0.25;
  return {{"data", data}, {"layout", shape}};
}

/// No `<` can end the element or open a comment in it; JSON has another way to write one.
std::string script_safe(const json& value) {
  std::string out;
  for (char c : value.dump(-1, ' ', false, json::error_handler_t::replace)) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string escape_html(std::string_view text) { return escape(text, "&<>\"'"); }

std::string percent(double share) {
  std::string text = json(std::round(share * 1000) / 10).dump();
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text + " %";
}

std::vector<series_style> series_styles(const experiment_report& report) {
  constexpr std::array colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"};
  constexpr std::array dashes{"solid", "dash", "dot", "dashdot"};
  constexpr std::array symbols{"circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "x"};
  constexpr std::array patterns{"", "/", ".", "x"};
  static_assert(dashes.size() == patterns.size());
  std::vector<series_style> styles;
  std::size_t k = 0;
  for (const auto& s : report.strategies) {
    if (s.name == report.baseline) {
      styles.push_back({grey, "solid", "circle-open", ""});
      continue;
    }
    const auto repeat = k / colours.size() % dashes.size();
    styles.push_back(
        {colours[k % colours.size()], dashes[repeat], symbols[k % symbols.size()], patterns[repeat]});
    ++k;
  }
  return styles;
}

const strategy_summary* find_baseline(const experiment_report& report) {
  const auto& all = report.strategies;
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& s) { return s.name == report.baseline; });
  return found == all.end() ? nullptr : &*found;
}

std::optional<double> interpolated_labels(const learning_curve& curve, double accuracy) {
  const auto& a = curve.accuracy;
  const auto found = std::find_if(a.begin(), a.end(), [&](double x) { return x >= accuracy; });
  if (found == a.end()) return std::nullopt;
  const auto i = std::size_t(found - a.begin());
  const auto labels = double(curve.labels[i]);
  if (i == 0) return labels;
  const auto before = double(curve.labels[i - 1]);
  return before + (labels - before) * (accuracy - a[i - 1]) / (a[i] - a[i - 1]);
}

chart_set make_charts(const experiment_report& report) {
  const auto styles = series_styles(report);
  json charts = json::object();

  curves_chart curves{report, styles, {}, {}, {}};
  for (std::size_t k = 0; k < styles.size(); ++k) curves.add(k);
  if (!curves.means.empty()) charts["curves"] = curves.chart();

  const auto* baseline = find_baseline(report);
  if (baseline && !baseline->curves.empty() && curves.means.size() > 1)
    charts["saved"] = saved_chart(report, styles, *baseline);

  auto classes = classes_chart(report, styles);
  if (!classes.is_null()) charts["classes"] = std::move(classes);
  return {charts.contains("curves"), charts.contains("saved"), charts.contains("classes"), script_safe(charts)};
}

}  // namespace poolwise
