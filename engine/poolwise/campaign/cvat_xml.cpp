#include "poolwise/campaign/detail/cvat_xml.hpp"

#include <algorithm>
#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <sstream>
#include <string_view>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

namespace ptree = boost::property_tree;

/// Whether elements nest deeper than any file of CVAT: the parser goes down by recursion.
bool is_deep(std::string_view xml) {
  constexpr int most = 100;
  int level = 0;
  for (std::size_t i = 0; i + 1 < xml.size() && level <= most; ++i) {
    if (xml[i] == '<' && xml[i + 1] == '/')
      --level;
    else if (xml[i] == '<' && xml[i + 1] != '?' && xml[i + 1] != '!')
      ++level;
    else if (xml[i] == '/' && xml[i + 1] == '>')
      --level;
  }
  return level > most;
}

/// The lines at which images begin, in their order.
class image_lines {
 public:
  explicit image_lines(std::string_view xml) : xml_(xml) {}

  index_t next() {
    constexpr std::string_view tag = "<image ";
    const std::size_t found = std::min(xml_.find(tag, at_), xml_.size());
    line_ += std::count(xml_.begin() + std::ptrdiff_t(at_), xml_.begin() + std::ptrdiff_t(found), '\n');
    at_ = std::min(found + 1, xml_.size());
    return line_;
  }

 private:
  std::string_view xml_;
  std::size_t at_ = 0;
  index_t line_ = 1;
};

}  // namespace

std::vector<cvat_image> cvat_images(const char* call, const std::string& file, const std::string& xml) {
  const auto refuse = [&](index_t line, const std::string& why) {
    throw format_error(std::string(call) + ": " + file + " line " + std::to_string(line) + ": " + why +
                       "; export the task as \"CVAT for images 1.1\"");
  };
  if (is_deep(xml)) refuse(1, "its elements nest too deep");
  ptree::ptree tree;
  try {
    std::istringstream in(xml);
    ptree::read_xml(in, tree, ptree::xml_parser::no_comments);
  } catch (const ptree::xml_parser_error& problem) {
    refuse(index_t(problem.line()), "it is no XML: " + printable(problem.message()));
  }
  const auto all = tree.get_child_optional("annotations");
  if (!all) refuse(1, "it has no element <annotations>");
  std::vector<cvat_image> images;
  image_lines lines(xml);
  for (const auto& [name, element] : *all) {
    if (name == "track") refuse(1, "it is of a video");
    if (name != "image") continue;
    cvat_image& one = images.emplace_back();
    one.line = lines.next();
    one.name = element.get("<xmlattr>.name", "");
    for (const auto& [kind, tag] : element)
      if (kind == "tag") one.tags.push_back(tag.get("<xmlattr>.label", ""));
  }
  return images;
}

}  // namespace poolwise
