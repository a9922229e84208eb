#include "poolwise/report/detail/plotly.hpp"

#include <algorithm>

#include "poolwise/report/detail/text.hpp"

namespace poolwise::plotly {

using nlohmann::json;

std::string text(const std::string& text) { return html::with_entities(text, "&<>"); }

json axis(const std::string& title) {
  return {{"title", {{"text", title}, {"standoff", 12}}},
          {"automargin", true},
          {"gridcolor", grid},
          {"zeroline", false},
          {"linecolor", grey},
          {"ticks", "outside"},
          {"tickcolor", grey}};
}

json share_axis(const std::string& title) {
  auto of = axis(title);
  of["tickformat"] = "~%";
  return of;
}

json count_axis(const std::string& title) {
  auto of = axis(title);
  of["separatethousands"] = true;
  of["exponentformat"] = "none";
  return of;
}

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

json room_about(double level, double room) { return json::array({level - room, level + room}); }

json error_bars(std::vector<double> above, std::vector<double> below, const std::string& colour) {
  for (auto* lengths : {&above, &below})
    for (auto& length : *lengths) length = std::max(length, 0.0);
  return {
      {"type", "data"},  {"symmetric", false}, {"array", std::move(above)}, {"arrayminus", std::move(below)},
      {"color", colour}, {"thickness", 1.5}};
}

void make_quiet(json& trace) {
  trace["mode"] = "lines";
  trace["showlegend"] = false;
  trace["hoverinfo"] = "skip";
}

std::string script_safe(const json& value) {
  std::string out;
  for (const char c : value.dump(-1, ' ', false, json::error_handler_t::replace)) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

}  // namespace poolwise::plotly
