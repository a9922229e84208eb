// The charts of an experiment's report, as data for Plotly.
#pragma once

#include <string>
#include <vector>

#include "poolwise/report/report.hpp"

namespace poolwise {

/// How a strategy looks in every chart, and its swatch beside every mention.
struct series_style {
  std::string colour, dash, symbol, pattern;  ///< the pattern fills a bar; empty is solid
};

/// One style a strategy, in order: grey for the baseline, the colours of Okabe and Ito (2008) for the others,
/// which stay apart for colour-blind readers; from the seventh on the colours repeat with another dash and
/// pattern.
std::vector<series_style> series_styles(const experiment_report& report);

/// The strategy that the others are compared with; null if the report lacks it.
const strategy_summary* find_baseline(const experiment_report& report);

/// Where `curve` first reaches `accuracy`, linear between its points; none if it never does.
std::optional<double> interpolated_labels(const learning_curve& curve, double accuracy);

/// Which charts have data, and a JSON object that holds each of them under its name: Plotly's "data" and
/// "layout", and "toggles", sets of traces that the reader can show or hide. Safe inside a <script> element.
struct chart_set {
  bool curves = false, saved = false, classes = false;
  std::string json;
};
chart_set make_charts(const experiment_report& report);

}  // namespace poolwise
