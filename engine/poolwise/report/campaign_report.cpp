#include "poolwise/report/campaign_report.hpp"

#include <cmath>

#include "poolwise/core/error.hpp"
#include "poolwise/report/detail/campaign_parts.hpp"
#include "poolwise/report/detail/plotly.hpp"

namespace poolwise {
namespace campaign_page {

using html::element, html::escape;
using nlohmann::json;

double whole_units(double amount, const report_money& money) { return amount / std::pow(10, money.decimals); }

std::string money_text(double amount, const report_money& money) {
  return html::grouped(whole_units(amount, money), money.decimals) + " " + money.unit;
}

std::string share_of(std::size_t part, std::size_t all, const std::string& one) {
  return std::to_string(part) + " of " + html::counted(double(all), one) + (part == 1 ? " is" : " are");
}

std::string last_rows(report_table table) {
  constexpr std::size_t limit = 1000;
  if (table.rows.size() <= limit) return html::folded_table(table);
  const auto all = html::grouped(double(table.rows.size()));
  table.rows.erase(table.rows.begin(), table.rows.end() - std::ptrdiff_t(limit));
  return html::folded_table(table, "The figures as a table, the last 1,000 of " + all + " rows");
}

json category_axis(const std::vector<std::string>& names) {
  constexpr std::size_t longest = 22;
  auto axis = plotly::axis("");
  json values = json::array(), texts = json::array();
  for (std::size_t i = 0; i < names.size(); ++i) {
    values.push_back(i);
    texts.push_back(plotly::text(html::shortened(names[i], longest)));
  }
  axis["tickvals"] = std::move(values);
  axis["ticktext"] = std::move(texts);
  axis["range"] = {double(names.size()) - 0.5, -0.5};
  axis["showgrid"] = false;
  axis["ticks"] = "";
  return axis;
}

int height_of_rows(std::size_t rows, int row_height) { return 120 + int(rows) * row_height; }

std::string choice_of(const std::string& chart, const std::string& choice, const std::string& label,
                      const std::vector<view>& views) {
  if (views.size() < 2) return {};
  constexpr std::size_t most_buttons = 4;
  const auto data = "data-chart=\"" + chart + "\" data-choice=\"" + choice + "\" autocomplete=\"off\"";
  std::string options;
  if (views.size() > most_buttons) {
    for (const auto& v : views) options += element("option", "value=\"" + v.value + "\"", v.name);
    return element("label", "", label + " " + element("select", data, options)) + "\n";
  }
  for (std::size_t i = 0; i < views.size(); ++i)
    options += element("label", "",
                       "<input type=\"radio\" name=\"" + chart + "-" + choice + "\" value=\"" + views[i].value +
                           "\" " + data + (i == 0 ? " checked> " : "> ") + views[i].name);
  return element("fieldset", "", element("legend", "", label) + options) + "\n";
}

std::string controls_of(const std::string& choices) {
  return choices.empty() ? choices : element("div", "class=\"controls\"", choices);
}

namespace {

void require_at_least_0(double value, const std::string& name) {
  if (value < 0) throw value_error("render_html: " + name + " is " + json(value).dump() + "; pass 0 or more");
}

void require_level(double level, const std::string& name) {
  if (!(level > 0 && level < 1))
    throw value_error("render_html: " + name + " is " + json(level).dump() + "; pass a share between 0 and 1");
}

void require_fitting(const campaign_report& report) {
  if (report.money.decimals < 0 || report.money.decimals > 6)
    throw value_error("render_html: money has " + std::to_string(report.money.decimals) +
                      " decimals; pass 0 to 6");
  require_level(report.interval_level, "interval_level");
  require_level(report.forecast_level, "forecast_level");
  for (const auto& budget : report.budgets) {
    require_at_least_0(budget.spent, "a budget's spent amount");
    require_at_least_0(budget.committed, "a budget's committed amount");
    require_at_least_0(budget.limit.value_or(0), "a budget's limit");
  }
  for (const auto& slice : report.slices)
    require_at_least_0(double(slice.labelled), "the labels of slice '" + slice.name + "'");
  for (const auto& distribution : report.distributions)
    for (const auto& group : distribution.groups)
      for (const auto count : {group.pool.value_or(0), group.picked, group.labelled})
        require_at_least_0(double(count), "a count of group '" + group.name + "'");
}

std::string navigation(const page& page) {
  std::string links;
  for (const auto& [id, name] : page.contents) links += element("a", "href=\"#" + id + "\"", name) + "\n";
  return links.empty() ? links : element("nav", "aria-label=\"On this page\"", "\n" + links) + "\n";
}

}  // namespace
}  // namespace campaign_page

std::string render_html(const campaign_report& report, const std::filesystem::path& plotly_script) {
  using namespace campaign_page;
  require_fitting(report);
  campaign_page::page page;
  for (const auto add : {add_curves, add_arms, add_slices, add_stopping, add_past_forecasts, add_distributions,
                         add_map, add_lead_times, add_drift})
    add(report, page);
  for (const report_table& table : report.tables) page.html += html::table_section(table);
  add_rounds(report, page);
  if (!report.versions.empty())
    page.add("versions", "Versions", "Versions and hashes", html::pairs_table(report.versions));
  const auto name = report.name.empty() ? std::string("Campaign") : escape(report.name);
  return html::page(name, html::unbroken(first_screen(report) + navigation(page) + page.html),
                    plotly::script_safe(page.charts), plotly_script);
}

}  // namespace poolwise
