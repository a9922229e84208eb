#include "poolwise/report/detail/charts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "poolwise/report/detail/plotly.hpp"
#include "poolwise/report/detail/text.hpp"

namespace poolwise {
namespace {

using nlohmann::json;

using plotly::axis, plotly::band_opacity, plotly::grey, plotly::horizontal_line, plotly::layout,
    plotly::share_axis, html::percent;

constexpr double seed_opacity = 0.45;

json trace_of(const strategy_summary& s, const series_style& style) {
  return {{"type", "scatter"},
          {"name", plotly::text(s.name)},
          {"legendgroup", plotly::text(s.name)},
          {"line", {{"color", style.colour}, {"dash", style.dash}, {"width", 2}}},
          {"marker", {{"color", style.colour}, {"symbol", style.symbol}, {"size", 6}}}};
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
    std::vector<double> low, high;
    for (std::size_t i = 0; i < mean.labels.size(); ++i) {
      low.push_back(mean.accuracy[i] - mean.half_width[i]);
      high.push_back(mean.accuracy[i] + mean.half_width[i]);
    }
    auto t = trace_of(report.strategies[k], styles[k]);
    plotly::make_band(t, mean.labels, low, high);
    return t;
  }

  json seed_line(std::size_t k, const learning_curve& curve) const {
    auto t = trace_of(report.strategies[k], styles[k]);
    plotly::make_quiet(t);
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

    auto y = share_axis("Test accuracy (%)");
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
  auto x = share_axis("Test accuracy (%)");
  x["hoverformat"] = ".1%";
  x["unifiedhovertitle"] = {{"text", "Labels saved at %{x:.1%}"}};
  auto shape = layout(x, axis("Labels saved (items)"));
  shape["shapes"] = json::array({horizontal_line(0, plotly::text(baseline.name))});
  shape["showlegend"] = true;
  return {{"data", data}, {"layout", shape}};
}

/// Null if no strategy has class counts.
json classes_chart(const experiment_report& report, const std::vector<series_style>& styles) {
  json names = json::array(), data = json::array();
  for (const auto& name : report.class_names) names.push_back(plotly::text(name));
  for (std::size_t k = 0; k < styles.size(); ++k) {
    const auto& counts = report.strategies[k].class_counts;
    const auto total = double(std::accumulate(counts.begin(), counts.end(), index_t(0)));
    if (total == 0) continue;
    std::vector<double> shares;
    for (const index_t n : counts) shares.push_back(double(n) / total);
    data.push_back({{"type", "bar"},
                    {"name", plotly::text(report.strategies[k].name)},
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
  const auto y = share_axis("Share of the picks (%)");
  auto shape = layout(x, y);
  shape["shapes"] = json::array({horizontal_line(uniform, "equal share, " + percent(uniform))});
  shape["shapes"][0]["layer"] = "above";
  shape["showlegend"] = true;
  shape["barmode"] = "group";
  shape["bargap"] = 0.25;
  return {{"data", data}, {"layout", shape}};
}

}  // namespace

std::vector<series_style> series_styles(const experiment_report& report) {
  using plotly::colours, plotly::dashes, plotly::symbols;
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
  return {charts.contains("curves"), charts.contains("saved"), charts.contains("classes"),
          plotly::script_safe(charts)};
}

}  // namespace poolwise
