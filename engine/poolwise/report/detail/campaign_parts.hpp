// The parts of a campaign's page. Each adds its section and its charts, or nothing where it has no data.
#pragma once

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/report/campaign_report.hpp"
#include "poolwise/report/detail/frame.hpp"
#include "poolwise/report/detail/text.hpp"

namespace poolwise::campaign_page {

/// A page as it grows.
struct page {
  std::string html;
  nlohmann::json charts = nlohmann::json::object();           ///< by id
  std::vector<std::pair<std::string, std::string>> contents;  ///< ids and short names of the sections

  void add(const std::string& id, const std::string& name, const std::string& heading,
           const std::string& content) {
    contents.emplace_back(id, name);
    html += html::section(id, heading, content);
  }
};

/// Status, targets, budgets, the end: what fits the first screen.
std::string first_screen(const campaign_report& report);

void add_curves(const campaign_report& report, page& page);
void add_arms(const campaign_report& report, page& page);
void add_slices(const campaign_report& report, page& page);
void add_distributions(const campaign_report& report, page& page);
void add_map(const campaign_report& report, page& page);
void add_lead_times(const campaign_report& report, page& page);
void add_drift(const campaign_report& report, page& page);
void add_stopping(const campaign_report& report, page& page);
void add_past_forecasts(const campaign_report& report, page& page);
void add_rounds(const campaign_report& report, page& page);

// ---- Texts and numbers

/// "1,234.56 EUR" of an amount in smallest units.
std::string money_text(double amount, const report_money& money);
double whole_units(double amount, const report_money& money);

/// "84.3 % (82 to 86 %)"; without the interval where it is not known; "1,040 (from 980)" where it has no end.
template <class Text>
std::string with_interval(const report_estimate& e, Text text) {
  const std::string value = text(e.value), low = text(e.low), high = text(e.high);
  if (!std::isfinite(e.high) && std::isfinite(e.low))
    return std::isfinite(e.value) ? value + " (from " + low + ")" : "from " + low;
  return low == high ? value : value + " (" + html::joined(low, " to ", high) + ")";
}

/// "1 of 4 targets is", "3 of 4 targets are".
std::string share_of(std::size_t part, std::size_t all, const std::string& one);

template <class Items, class Predicate>
std::size_t count_where(const Items& items, Predicate holds) {
  return std::size_t(std::count_if(items.begin(), items.end(), holds));
}

// ---- Lists too long for a chart or a table

/// At most `limit` of the items, evenly spread, the first and the last among them.
template <class T>
std::vector<T> thinned(const std::vector<T>& items, std::size_t limit) {
  if (items.size() <= limit) return items;
  std::vector<T> kept;
  for (std::size_t i = 0; i < limit; ++i) kept.push_back(items[i * (items.size() - 1) / (limit - 1)]);
  return kept;
}

/// Folded, and of a long table the last 1,000 rows.
std::string last_rows(report_table table);

/// More points than this are a line without markers.
inline constexpr std::size_t most_markers = 60;

/// A horizontal axis of categories with the first on top, their names cut where they are long.
nlohmann::json category_axis(const std::vector<std::string>& names);

/// The height of a chart of so many bars or rows of points, in CSS pixels.
int height_of_rows(std::size_t rows, int row_height);

/// One of several views of a chart: a value of the control `choice`.
struct view {
  std::string value, name;
};

/// A row of radio buttons, or a list where there are many; the first is chosen.
std::string choice_of(const std::string& chart, const std::string& choice, const std::string& label,
                      const std::vector<view>& views);

/// The row of a chart's choices; nothing where there is none.
std::string controls_of(const std::string& choices);

}  // namespace poolwise::campaign_page
