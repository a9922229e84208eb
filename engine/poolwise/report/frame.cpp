#include "poolwise/report/detail/frame.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "poolwise/core/error.hpp"
#include "poolwise/files/shared_file.hpp"
#include "poolwise/report/detail/page.hpp"
#include "poolwise/report/detail/text.hpp"

namespace poolwise {
namespace {

// The browser lets the page load nothing that does not stand in it.
constexpr const char* content_policy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'";

constexpr const char* how_to_get_plotly =
    "run `make setup`, or `pip download --no-deps plotly`, unzip plotly/package_data/plotly.min.js from the "
    "wheel and set POOLWISE_PLOTLY to that file";

std::string read_plotly(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();  // fails on a directory and on an empty file, too
  if (!in || !text)
    throw io_error("render_html: cannot read the Plotly script " + file.string() + "; " + how_to_get_plotly);
  auto script = std::move(text).str();
  // Either would change how a browser reads the rest of the page.
  for (const char* breaking : {"</script", "<!--"})
    if (script.find(breaking) != std::string::npos)
      throw format_error("render_html: " + file.string() + " has '" + breaking +
                         "' in it, so it cannot stand inside a page; " + how_to_get_plotly);
  return script;
}

}  // namespace

std::filesystem::path find_plotly(const std::filesystem::path& folder) {
  const char* named = std::getenv("POOLWISE_PLOTLY");
  if (!named || !*named) return find_shared_file("find_plotly", folder, "plotly.min.js", how_to_get_plotly);
  std::error_code ignored;
  if (std::filesystem::is_regular_file(named, ignored)) return named;
  throw io_error(std::string("find_plotly: there is no file ") + named + "; " + how_to_get_plotly);
}

std::filesystem::path find_plotly() { return find_plotly(command_folder()); }

namespace html {

std::string element(const std::string& name, const std::string& attributes, const std::string& content) {
  return "<" + name + (attributes.empty() ? "" : " " + attributes) + ">" + content + "</" + name + ">";
}

std::string caption(const std::string& content) { return element("p", "class=\"caption\"", content); }

std::string swatch(const std::string& colour) {
  return "<span class=\"swatch\" style=\"background:" + colour + "\"></span>";
}

std::string section(const std::string& id, const std::string& heading, const std::string& content) {
  return element("section", id.empty() ? "" : "id=\"" + id + "\"", "\n<h2>" + heading + "</h2>\n" + content) +
         "\n";
}

std::string figure_of(const figure& f) {
  const auto height = f.height > 0 ? " style=\"height:" + std::to_string(f.height) + "px\"" : "";
  return "<figure><div class=\"chart\" id=\"" + f.chart + "\"" + height + " role=\"img\" aria-label=\"" +
         f.alt + "\"></div>" + f.controls + "\n" +
         (f.text.empty() ? "" : element("figcaption", "", caption(f.text))) + f.table + "</figure>";
}

std::string table_of(const report_table& table, const std::string& style_class) {
  std::string head, rows;
  for (const auto& name : table.header) head += element("th", "scope=\"col\"", escape(name));
  for (const auto& row : table.rows) {
    if (row.size() != table.header.size())
      throw shape_error("render_html: the table '" + table.heading + "' has a row of " +
                        std::to_string(row.size()) + " cells and a header of " +
                        std::to_string(table.header.size()) + "; pass rows as wide as the header");
    std::string cells;
    for (std::size_t j = 0; j < row.size(); ++j)
      cells += element(j == 0 ? "th" : "td", j == 0 ? "scope=\"row\"" : "", escape(row[j]));
    rows += element("tr", "", cells) + "\n";
  }
  return "<div class=\"scroll\"><table" + (style_class.empty() ? "" : " class=\"" + style_class + "\"") +
         ">\n<thead>" + element("tr", "", head) + "</thead>\n<tbody>\n" + rows + "</tbody></table></div>\n";
}

report_table without_empty_columns(report_table table) {
  for (std::size_t j = table.header.size(); j-- > 0;) {
    const bool empty = std::all_of(table.rows.begin(), table.rows.end(),
                                   [&](const auto& row) { return row[j].empty() || row[j] == dash; });
    if (!empty) continue;
    table.header.erase(table.header.begin() + std::ptrdiff_t(j));
    for (auto& row : table.rows) row.erase(row.begin() + std::ptrdiff_t(j));
  }
  return table;
}

std::string folded_table(const report_table& table, const std::string& summary) {
  return element("details", "", element("summary", "", summary) + table_of(table, "figures"));
}

std::string table_section(const report_table& table) {
  return section("", escape(table.heading),
                 table_of(table) + (table.caption.empty() ? "" : caption(escape(table.caption))));
}

std::string pairs_table(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string rows;
  for (const auto& [name, value] : pairs)
    rows += element("tr", "", element("th", "scope=\"row\"", escape(name)) + element("td", "", escape(value))) +
            "\n";
  return "<div class=\"scroll\"><table class=\"environment\"><tbody>\n" + rows + "</tbody></table></div>";
}

std::string page(const std::string& title, const std::string& main, const std::string& charts,
                 const std::filesystem::path& plotly_script) {
  const auto plotly = read_plotly(plotly_script);
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"" +
         std::string(content_policy) +
         "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" + title +
         "</title>\n<style>" + page_style + "</style>\n</head>\n<body>\n<main>\n" + main +
         "</main>\n<script type=\"application/json\" id=\"charts\">" + charts + "</script>\n<script>\n" +
         plotly + "\n</script>\n<script>" + page_script + "</script>\n</body>\n</html>\n";
}

}  // namespace html
}  // namespace poolwise
