// Pieces of charts that all pages share, as JSON for Plotly.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace poolwise::plotly {

// Visible on white and on black.
inline constexpr const char* grey = "#808080";
inline constexpr const char* grid = "rgba(128,128,128,0.25)";
inline constexpr double band_opacity = 0.18;

/// Of Okabe and Ito (2008): they stay apart for colour-blind readers.
inline constexpr std::array colours{"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"};
inline constexpr std::array dashes{"solid", "dash", "dot", "dashdot"};
inline constexpr std::array symbols{"circle", "square",        "diamond", "triangle-up",
                                    "cross",  "triangle-down", "x"};

/// Plotly reads names as HTML of its own kind: tags and entities, of which it knows the numbered ones.
std::string text(const std::string& text);

nlohmann::json axis(const std::string& title);

/// An axis of shares, in per cent.
nlohmann::json share_axis(const std::string& title);

/// An axis of counts or amounts: "20,000" instead of "20k".
nlohmann::json count_axis(const std::string& title);

/// The layout that all charts share. The page's style sheet gives texts the colour of the reader's theme.
nlohmann::json layout(nlohmann::json x, nlohmann::json y);

/// A dashed line across the chart, with a place in the legend.
nlohmann::json horizontal_line(double y, nlohmann::json name);

/// What `axis` includes beside its data, so that a line at `level` does not lie on the chart's edge.
nlohmann::json room_about(double level, double room);

/// Whiskers of a trace, so much above and below each point; a negative length is none.
nlohmann::json error_bars(std::vector<double> above, std::vector<double> below, const std::string& colour);

/// A line neither in the legend nor under the pointer.
void make_quiet(nlohmann::json& trace);

/// There and back again: x, and then x backwards.
template <class T>
std::vector<T> outline(std::vector<T> there, const std::vector<T>& back) {
  there.insert(there.end(), back.rbegin(), back.rend());
  return there;
}

/// Makes `trace`, a line, the area between the points (x, low) and (x, high).
template <class X>
void make_band(nlohmann::json& trace, const std::vector<X>& x, const std::vector<double>& low,
               const std::vector<double>& high) {
  make_quiet(trace);
  trace["x"] = outline(x, x);
  trace["y"] = outline(high, low);
  trace["fill"] = "toself";
  trace["fillcolor"] = trace["line"]["color"];
  trace["line"]["width"] = 0;
  trace["opacity"] = band_opacity;
}

/// No `<` can end a <script> element or open a comment in it; JSON has another way to write one.
std::string script_safe(const nlohmann::json& value);

}  // namespace poolwise::plotly
