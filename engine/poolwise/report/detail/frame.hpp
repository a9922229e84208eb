// The frame that all pages share: elements, figures, tables, and the page around them. Texts that are named
// `html` or have no name are HTML already; those of a report_table are not.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/report/report.hpp"

namespace poolwise::html {

std::string element(const std::string& name, const std::string& attributes, const std::string& content);

/// A smaller paragraph that explains.
std::string caption(const std::string& content);

std::string swatch(const std::string& colour);

std::string section(const std::string& id, const std::string& heading, const std::string& content);

/// The place of a chart.
struct figure {
  std::string chart;     ///< its id, the name of its data
  std::string alt;       ///< for those who do not see it
  std::string controls;  ///< may be empty, as the others that follow
  std::string text;      ///< the caption
  std::string table;     ///< the same as figures
  int height = 0;        ///< in CSS pixels; 0: the style sheet's
};
std::string figure_of(const figure& f);

/// throws shape_error if a row is not as wide as the header.
std::string table_of(const report_table& table, const std::string& style_class = "");

/// The columns that hold more than dashes.
report_table without_empty_columns(report_table table);

/// A table that unfolds on demand.
std::string folded_table(const report_table& table, const std::string& summary = "The figures as a table");

/// Its heading and its caption about it.
std::string table_section(const report_table& table);

/// Names and values, escaped here.
std::string pairs_table(const std::vector<std::pair<std::string, std::string>>& pairs);

/// The whole page: `charts` is JSON that is safe in a <script> element.
/// throws io_error and format_error as render_html.
std::string page(const std::string& title, const std::string& main, const std::string& charts,
                 const std::filesystem::path& plotly_script);

}  // namespace poolwise::html
