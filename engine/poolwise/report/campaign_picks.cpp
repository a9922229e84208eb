// The picks against the pool: by group, and in the plane.
#include <cmath>

#include "poolwise/report/detail/campaign_parts.hpp"
#include "poolwise/report/detail/plotly.hpp"

namespace poolwise::campaign_page {
namespace {

using html::counted, html::escape, html::grouped, html::percent;
using nlohmann::json;
using groups = std::vector<report_distribution::group>;

// ---- Distributions

struct totals {
  double pool = 0, picked = 0, labelled = 0;
};

totals totals_of(const groups& all) {
  totals t;
  for (const auto& g : all) {
    t.pool += double(g.pool.value_or(0));
    t.picked += double(g.picked);
    t.labelled += double(g.labelled);
  }
  return t;
}

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

/// All of them in their order or, of too many, those whose share the picks change most.
groups shown_groups(groups all) {
  constexpr std::size_t most = 18;  // a page of paper holds that chart
  if (all.size() <= most) return all;
  const auto whole = totals_of(all);
  const auto change = [&](const auto& g) {
    return std::abs(share(double(g.picked), whole.picked) - share(double(g.pool.value_or(0)), whole.pool));
  };
  std::stable_sort(all.begin(), all.end(), [&](const auto& a, const auto& b) { return change(a) > change(b); });
  all.resize(most);
  return all;
}

template <class Count>
json bars(const std::string& name, const char* colour, const char* pattern, const groups& shown, double whole,
          Count count) {
  json x = json::array(), y = json::array(), texts = json::array();
  for (std::size_t row = 0; row < shown.size(); ++row) {
    const auto n = double(count(shown[row]));
    x.push_back(share(n, whole));
    y.push_back(row);
    texts.push_back(plotly::text(shown[row].name) + ", " + name + ": " + percent(share(n, whole)) + " (" +
                    grouped(n) + ")");
  }
  return {{"type", "bar"},
          {"orientation", "h"},
          {"name", name},
          {"x", x},
          {"y", y},
          {"customdata", texts},
          {"hovertemplate", "%{customdata}<extra></extra>"},
          {"marker", {{"color", colour}, {"pattern", {{"shape", pattern}}}}}};
}

json distribution_chart(const report_distribution& distribution, const groups& shown) {
  const auto whole = totals_of(distribution.groups);
  json data = json::array();
  if (whole.pool > 0)
    data.push_back(
        bars("pool", plotly::grey, "", shown, whole.pool, [](const auto& g) { return g.pool.value_or(0); }));
  if (whole.picked > 0)
    data.push_back(
        bars("picked", plotly::colours[0], "", shown, whole.picked, [](const auto& g) { return g.picked; }));
  if (whole.labelled > 0)
    data.push_back(bars("labelled", plotly::colours[4], "/", shown, whole.labelled,
                        [](const auto& g) { return g.labelled; }));
  std::vector<std::string> names;
  for (const auto& g : shown) names.push_back(g.name);
  auto shape = plotly::layout(plotly::share_axis("Share (%)"), category_axis(names));
  shape["hovermode"] = "closest";
  shape["showlegend"] = true;
  shape["barmode"] = "group";
  shape["bargap"] = 0.25;
  // Read from the top, as the groups are.
  shape["legend"]["traceorder"] = "normal";
  return {{"data", data}, {"layout", shape}};
}

std::string distribution_heading(const report_distribution& d) {
  constexpr double significant = 0.05;
  const auto name = html::short_name(d.name);
  if (d.picked_p && std::isfinite(*d.picked_p))
    return "The picks " +
           std::string(*d.picked_p < significant ? "differ from the pool"
                                                 : "are not shown to differ from the pool") +
           " by " + name + " (p " + escape((*d.picked_p < 0.001 ? "" : "= ") + html::p_value(*d.picked_p)) +
           ")";
  const auto whole = totals_of(d.groups);
  const bool by_label = whole.picked == 0;
  const auto count = [&](const auto& g) { return by_label ? g.labelled : g.picked; };
  const auto most = std::max_element(d.groups.begin(), d.groups.end(),
                                     [&](const auto& a, const auto& b) { return count(a) < count(b); });
  return "By " + name + ", " + percent(share(double(count(*most)), by_label ? whole.labelled : whole.picked)) +
         " of the " + (by_label ? "labels" : "picks") + " are " + html::short_name(most->name);
}

std::string tests_of(const report_distribution& d) {
  std::string out;
  const auto add = [&](const char* what, const std::optional<double>& p) {
    if (p && std::isfinite(*p))
      out += (out.empty() ? " Against the pool" : ",") + std::string(" p ") + (*p < 0.001 ? "" : "= ") +
             html::p_value(*p) + " for the " + what;
  };
  add("picks", d.picked_p);
  add("labels", d.labelled_p);
  return out.empty() ? out : out + (d.test.empty() ? "." : " (" + d.test + ").");
}

report_table distribution_table(const report_distribution& d) {
  report_table table{"", "", {"Group", "Pool", "Picked", "Labelled"}, {}};
  for (const auto& g : d.groups)
    table.rows.push_back({g.name, g.pool ? grouped(double(*g.pool)) : html::dash, grouped(double(g.picked)),
                          grouped(double(g.labelled))});
  return table;
}

bool has_counts(const report_distribution& d) {
  const auto whole = totals_of(d.groups);
  return whole.picked + whole.labelled > 0;
}

}  // namespace

void add_distributions(const campaign_report& report, page& page) {
  std::string content;
  std::size_t number = 0;
  for (const auto& d : report.distributions) {
    if (!has_counts(d)) continue;
    const auto shown = shown_groups(d.groups);
    const auto id = "distribution-" + std::to_string(number++);
    auto chart = distribution_chart(d, shown);
    const auto series = int(chart["data"].size());
    page.charts[id] = std::move(chart);
    const auto heading = distribution_heading(d);
    const auto fewer = shown.size() < d.groups.size() ? " The chart has the " + std::to_string(shown.size()) +
                                                            " of " + grouped(double(d.groups.size())) +
                                                            " groups whose shares the picks change most."
                                                      : "";
    content += html::element("h3", "", heading) +
               html::figure_of(
                   {.chart = id,
                    .alt = heading,
                    .controls = "",
                    .text = "Shares of the pool, of all picks and of all labels." + escape(tests_of(d)) + fewer,
                    .table = last_rows(distribution_table(d)),
                    .height = height_of_rows(shown.size(), 10 + 12 * series)});
  }
  if (number > 0) page.add("distributions", "Distributions", "Pool, picks and labels", content);
}

// ---- The map

namespace {

constexpr std::size_t most_points = 3000;

// From blue over a dull rose to orange: as visible on white as on black, and apart for colour-blind readers.
json colour_scale() {
  return json::array({json::array({0, "#0072B2"}), json::array({0.5, "#A57F9C"}), json::array({1, "#E69F00"})});
}

/// Changes of the layout; with a tick for each of a few rounds.
json colour_bar(const std::string& title, bool few_rounds) {
  return {{"coloraxis.colorbar.title.text", title},
          {"coloraxis.colorbar.dtick", few_rounds ? json(1) : json(nullptr)}};
}

json point_trace(const std::string& name) {
  return {{"type", "scatter"},
          {"mode", "markers"},
          {"name", name},
          {"x", json::array()},
          {"y", json::array()},
          {"customdata", json::array()},
          {"marker", json::object()},
          {"hovertemplate", "%{customdata}<extra></extra>"}};
}

json background_trace(const std::vector<report_map::unlabelled>& points) {
  auto t = point_trace("unlabelled");
  json distances = json::array();
  for (const auto& p : points) {
    t["x"].push_back(p.x);
    t["y"].push_back(p.y);
    distances.push_back(p.distance);
    t["customdata"].push_back(p.nearest.empty() ? std::string("unlabelled")
                                                : "unlabelled, " + html::three_digits(p.distance) + " from " +
                                                      plotly::text(html::shortened(p.nearest, 60)));
  }
  t["marker"] = {{"size", 4}, {"opacity", 0.35}, {"color", plotly::grey}};
  t["meta"] = std::move(distances);
  return t;
}

json pick_trace(const std::string& name, const char* symbol, const std::vector<report_map::pick>& picks,
                bool labelled) {
  auto t = point_trace(name);
  json of_round = json::array();
  for (const auto& p : picks) {
    if (p.label.empty() == labelled) continue;
    t["x"].push_back(p.x);
    t["y"].push_back(p.y);
    of_round.push_back(p.round);
    t["customdata"].push_back(plotly::text(html::shortened(p.id, 60)) + ", round " + std::to_string(p.round) +
                              (labelled ? ": " + plotly::text(html::shortened(p.label, 60)) : ""));
  }
  t["marker"] = {{"size", 8}, {"symbol", symbol}, {"color", std::move(of_round)}, {"coloraxis", "coloraxis"}};
  return t;
}

/// Picks in the colour of their round over a grey pool; or the pool in the colour of its distance to a label.
json map_choice(const json& data, bool few_rounds) {
  json rounds, coverage;
  for (const auto& t : data) {
    const bool background = t.contains("meta");
    rounds["marker.color"].push_back(t["marker"]["color"]);
    rounds["marker.coloraxis"].push_back(background ? json(nullptr) : json("coloraxis"));
    rounds["marker.opacity"].push_back(background ? 0.35 : 1);
    rounds["marker.size"].push_back(background ? 4 : 8);
    coverage["marker.color"].push_back(background ? t["meta"] : json(plotly::grey));
    coverage["marker.coloraxis"].push_back(background ? json("coloraxis") : json(nullptr));
    coverage["marker.opacity"].push_back(background ? 0.9 : 0.6);
    coverage["marker.size"].push_back(background ? 7 : 5);
  }
  return {{"rounds", {{"traces", rounds}, {"layout", colour_bar("Round", few_rounds)}}},
          {"coverage", {{"traces", coverage}, {"layout", colour_bar("Distance", false)}}}};
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<double> known_distances(const report_map& map) {
  std::vector<double> distances;
  for (const auto& p : map.background)
    if (!p.nearest.empty() && std::isfinite(p.distance)) distances.push_back(p.distance);
  return distances;
}

/// From the first of the picks to the last.
index_t rounds_of(const std::vector<report_map::pick>& picks) {
  if (picks.empty()) return 0;
  const auto [first, last] = std::minmax_element(
      picks.begin(), picks.end(), [](const auto& a, const auto& b) { return a.round < b.round; });
  return last->round - first->round;
}

std::string map_heading(const report_map& map, const std::vector<double>& distances) {
  if (distances.empty()) return counted(double(map.picks.size()), "pick") + " among the pool";
  return "Half of the unlabelled items lie within " + html::three_digits(median(distances)) +
         " of a labelled one, the farthest at " +
         html::three_digits(*std::max_element(distances.begin(), distances.end()));
}

std::string map_caption(const report_map& map, std::size_t background, std::size_t picks) {
  std::string out = "The plane of the first two principal components";
  if (map.explained_variance) out += ", which hold " + percent(*map.explained_variance) + " of the variance";
  out += ". Picks have the colour of their round; open ones are not labelled yet. Shown are " +
         grouped(double(picks)) + " of " + counted(double(map.picks.size()), "pick");
  if (background > 0)
    out += " and " + grouped(double(background)) + " of " +
           counted(double(std::max(map.pool_rows, index_t(map.background.size()))), "row") +
           " of the pool. Distances are those in the whole space, not in the plane";
  return out + ".";
}

}  // namespace

void add_map(const campaign_report& report, page& page) {
  const auto& map = report.map;
  if (map.picks.empty() && map.background.empty()) return;
  const auto background = thinned(map.background, most_points);
  const auto picks = thinned(map.picks, most_points);
  json data = json::array();
  for (auto& t : {background_trace(background), pick_trace("not labelled yet", "circle-open", picks, false),
                  pick_trace("labelled", "circle", picks, true)})
    if (!t["x"].empty()) data.push_back(t);
  const bool few_rounds = rounds_of(picks) <= 10;
  auto shape = plotly::layout(plotly::axis("First component"), plotly::axis("Second component"));
  shape["hovermode"] = "closest";
  shape["showlegend"] = true;
  shape["coloraxis"] = {{"colorscale", colour_scale()},
                        {"colorbar",
                         {{"title", {{"text", "Round"}, {"side", "top"}}},
                          {"thickness", 12},
                          {"outlinewidth", 0},
                          {"len", 0.9}}}};
  if (few_rounds) shape["coloraxis"]["colorbar"]["dtick"] = 1;
  const auto distances = known_distances(map);
  std::string controls;
  if (!distances.empty())
    controls = choice_of("map", "colour", "Colour",
                         {{"rounds", "picks by round"}, {"coverage", "distance to the nearest label"}});
  page.charts["map"] = {
      {"data", data}, {"layout", shape}, {"choices", {{"colour", map_choice(data, few_rounds)}}}};
  const auto heading = map_heading(map, distances);
  page.add("picks", "Map", heading,
           html::figure_of({.chart = "map",
                            .alt = heading,
                            .controls = controls_of(controls),
                            .text = map_caption(map, background.size(), picks.size()),
                            .table = "",
                            .height = 560}));
}

}  // namespace poolwise::campaign_page
