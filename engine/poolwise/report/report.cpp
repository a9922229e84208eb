#include "poolwise/report/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "poolwise/core/error.hpp"
#include "poolwise/report/detail/charts.hpp"
#include "poolwise/report/detail/frame.hpp"
#include "poolwise/report/detail/png.hpp"
#include "poolwise/report/detail/text.hpp"

namespace poolwise {
namespace {

using html::caption, html::dash, html::element, html::escape, html::fixed, html::p_value, html::percent,
    html::swatch;

// ---- Numbers as people read them

/// A difference in percentage points.
std::string signed_points(double difference) {
  const auto size = fixed(std::abs(difference) * 100, 2);
  if (size == "0.00" || size == dash) return size;
  return (difference < 0 ? "\u2212" : "+") + size;
}

std::string seconds(double s) {
  if (s == 0) return "0";
  if (s < 0.001) return "&lt; 0.001";
  return fixed(s, s < 1 ? 3 : s < 10 ? 2 : s < 100 ? 1 : 0);
}

std::string labels_needed(const strategy_summary& s) {
  if (s.labels_to_target)
    return fixed(*s.labels_to_target, *s.labels_to_target == std::floor(*s.labels_to_target) ? 0 : 1);
  index_t budget = 0;
  for (const auto& curve : s.curves) budget = std::max(budget, curve.labels.back());
  return budget > 0 ? "&gt; " + std::to_string(budget) : dash;
}

// ---- Checks of a report

[[noreturn]] void refuse(const strategy_summary& s, const std::string& what) {
  throw shape_error("render_html: strategy '" + s.name + "' has " + what);
}

void require_curves(const strategy_summary& s) {
  for (const auto& curve : s.curves) {
    if (curve.labels.size() != curve.accuracy.size())
      refuse(s, "a curve of " + std::to_string(curve.labels.size()) + " label counts and " +
                    std::to_string(curve.accuracy.size()) + " accuracies; pass one accuracy a label count");
    if (curve.labels.empty()) refuse(s, "a curve without points; pass the initial set's accuracy at least");
    if (curve.labels != s.curves.front().labels)
      refuse(s, "seeds at different label counts; pass curves of the same rounds");
    for (const double a : curve.accuracy)
      if (!(a >= 0 && a <= 1))
        throw value_error("render_html: strategy '" + s.name + "' has an accuracy of " + fixed(a, 3) +
                          "; pass shares from 0 to 1");
  }
}

void require_fitting(const experiment_report& report) {
  for (const auto& s : report.strategies) {
    require_curves(s);
    if (!s.class_counts.empty() && s.class_counts.size() != report.class_names.size())
      refuse(s, std::to_string(s.class_counts.size()) + " class counts but there are " +
                    std::to_string(report.class_names.size()) + " class names; pass one count a class");
  }
}

// ---- The parts of the page

/// Whether rounds were timed: a report of runs that were read back has no times to show.
bool is_timed(const experiment_report& report) {
  return std::any_of(report.strategies.begin(), report.strategies.end(), [](const strategy_summary& s) {
    return s.score_seconds + s.select_seconds + s.train_seconds > 0;
  });
}

std::string summary_row(const strategy_summary& s, const series_style& style, const strategy_summary* baseline,
                        bool timed) {
  const bool compared = baseline && &s != baseline, spread = s.curves.size() != 1;
  const auto cell = [](const std::string& text, bool first = false) {
    return element("td", first ? "class=\"first\"" : "", text);
  };
  return element("tr", "",
                 element("th", "scope=\"row\"", swatch(style.colour) + escape(s.name)) +
                     cell(fixed(s.aubc_mean * 100, 2), true) + cell(spread ? fixed(s.aubc_sd * 100, 2) : dash) +
                     cell(compared ? signed_points(s.minus_baseline) : dash, true) +
                     cell(compared && spread ? escape(p_value(s.p)) : dash) + cell(labels_needed(s), true) +
                     (timed ? cell(seconds(s.score_seconds), true) + cell(seconds(s.select_seconds)) +
                                  cell(seconds(s.train_seconds))
                            : "")) +
         "\n";
}

std::string summary_caption(const std::string& baseline, const std::string& target, bool timed) {
  return "AUBC is the area under the curve of test accuracy against labels, divided by the range of labels: "
         "the mean accuracy over the budget. Mean and standard deviation are over seeds. Against " +
         baseline +
         ": the mean difference of AUBC in percentage points, paired by seed, and p of a two-sided paired t "
         "test, not corrected for the number of strategies. Labels to " +
         target + ": the median over seeds of the labels at the first round whose test accuracy is at least " +
         target + "; &gt; means that the budget ended before." +
         (timed ? " Seconds are means over rounds and seeds." : "");
}

std::string summary_table(const experiment_report& report, const std::vector<series_style>& styles) {
  const auto target = percent(report.target), baseline = escape(report.baseline);
  const bool timed = is_timed(report);
  std::string rows;
  for (std::size_t k = 0; k < styles.size(); ++k)
    rows += summary_row(report.strategies[k], styles[k], find_baseline(report), timed);
  return "<section id=\"summary\">\n<h2>Summary</h2>\n<div class=\"scroll\"><table class=\"summary\">\n<thead>"
         "<tr><th rowspan=\"2\">Strategy</th><th colspan=\"2\" class=\"first group\">AUBC (%)</th>"
         "<th colspan=\"2\" class=\"first group\">Against " +
         baseline +
         "</th>"
         "<th rowspan=\"2\" class=\"first\">Labels to<br>" +
         target + "</th>" + (timed ? "<th colspan=\"3\" class=\"first group\">Seconds a round</th>" : "") +
         "</tr>\n<tr><th class=\"first\">mean</th><th>sd</th><th class=\"first\">points</th><th>p</th>" +
         (timed ? "<th class=\"first\">score</th><th>select</th><th>train</th>" : "") +
         "</tr></thead>\n<tbody>\n" + rows + "</tbody></table></div>\n" +
         caption(summary_caption(baseline, target, timed)) + "</section>\n";
}

std::string chart_section(const std::string& section, const std::string& heading, const std::string& chart,
                          const std::string& controls, const std::string& text) {
  return html::section(
      section, heading,
      html::figure_of({.chart = chart, .alt = heading, .controls = controls, .text = text, .table = ""}));
}

std::string curves_section(const experiment_report& report) {
  std::size_t fewest = SIZE_MAX, most = 0;
  for (const auto& s : report.strategies)
    if (!s.curves.empty()) fewest = std::min(fewest, s.curves.size()), most = std::max(most, s.curves.size());
  std::string text =
      "Accuracy on the test set after each round, against the labels bought so far, the initial set included. ";
  std::string controls;
  if (most > 1) {
    controls = R"(<div class="toggles">
<label><input type="checkbox" data-toggle="bands" autocomplete="off" checked> 95 % bands</label>
<label><input type="checkbox" data-toggle="seeds" autocomplete="off"> one line a seed</label></div>)";
    text += "A line is the mean over " +
            (fewest == most ? std::to_string(most) + " seeds" : std::string("seeds")) +
            "; its band is the 95 % Student interval of that mean, mean \u00b1 t\u00b7s/\u221an. ";
  } else {
    text += "There is one seed, so nothing is known of the spread between seeds. ";
  }
  return chart_section("learning", "Learning curves", "curves", controls,
                       text + "A click on a name hides its line, a double click shows it alone.");
}

std::string saved_section(const std::string& baseline) {
  return chart_section(
      "saving", "Labels saved against " + baseline, "saved", "",
      "For each level of test accuracy: the labels that " + baseline +
          " sampling needs to reach it, minus those the strategy needs. Above the dashed line the strategy is "
          "cheaper than " +
          baseline +
          ", below it dearer. Read off the mean learning curves where they first reach the level, linear "
          "between rounds. The rightmost level is the best accuracy that " +
          baseline +
          " reaches within the budget; a line that ends earlier belongs to a strategy that does not reach the "
          "next level.");
}

std::string classes_section() {
  return chart_section(
      "classes-picked", "Classes of the picks", "classes", "",
      "The share of each class among the rows a strategy picked, all seeds together. The dashed line "
      "is the share if it had picked every class equally often.");
}

std::string picture(const gallery& g, const gallery::image& image) {
  const auto png = grey_png(g.height, g.width, image.pixels);
  // Enlarged by a whole number, to about this side in CSS pixels.
  constexpr index_t side = 56;
  const index_t zoom = std::max<index_t>(1, side / std::max(g.height, g.width));
  const auto width = std::to_string(g.width * zoom), height = std::to_string(g.height * zoom);
  const auto text = escape(image.caption);
  return "<figure style=\"width:" + std::to_string(std::max(g.width * zoom, side) + 8) + "px\"><img width=\"" +
         width + "\" height=\"" + height + "\" alt=\"" + text + "\" src=\"data:image/png;base64," +
         base64(png) + "\"><figcaption>" + text + "</figcaption></figure>\n";
}

std::string colour_of(const std::string& name, const experiment_report& report,
                      const std::vector<series_style>& styles) {
  for (std::size_t k = 0; k < styles.size(); ++k)
    if (report.strategies[k].name == name) return styles[k].colour;
  return "transparent";
}

std::string galleries_section(const experiment_report& report, const std::vector<series_style>& styles) {
  std::string out = "<section id=\"pictures\">\n<h2>What was picked</h2>\n";
  for (const auto& g : report.galleries) {
    out += "<h3>" + swatch(colour_of(g.strategy, report, styles)) + escape(g.strategy) + "</h3>\n";
    if (!g.caption.empty()) out += caption(escape(g.caption)) + "\n";
    out += "<div class=\"pictures\">\n";
    for (const auto& image : g.images) out += picture(g, image);
    out += "</div>\n";
  }
  return out + "</section>\n";
}

std::string body(const experiment_report& report, const chart_set& charts) {
  const auto styles = series_styles(report);
  std::string out = "<h1>" + escape(report.title) + "</h1>\n<p>" + escape(report.protocol) + "</p>\n";
  out += "<noscript><p>The charts need JavaScript; the tables and pictures do not.</p></noscript>\n";
  if (!report.strategies.empty()) out += summary_table(report, styles);
  if (charts.curves) out += curves_section(report);
  if (charts.saved) out += saved_section(escape(report.baseline));
  if (charts.classes) out += classes_section();
  for (const report_table& table : report.tables) out += html::table_section(table);
  if (!report.galleries.empty()) out += galleries_section(report, styles);
  if (!report.environment.empty())
    out += html::section("environment", "Environment", html::pairs_table(report.environment));
  return out;
}

}  // namespace

std::string render_html(const experiment_report& report, const std::filesystem::path& plotly_script) {
  require_fitting(report);
  const auto charts = make_charts(report);
  return html::page(html::escape(report.title), body(report, charts), charts.json, plotly_script);
}

}  // namespace poolwise
