#include "poolwise/reproduce/detail/curve_file.hpp"

#include <array>
#include <charconv>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/csv.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise {
namespace {

constexpr const char* call = "run_benchmark";

std::string shortest(double value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

}  // namespace

void write_curve(const std::filesystem::path& file, const learning_curve& curve) {
  std::string text = "labels,accuracy\n";
  for (std::size_t r = 0; r < curve.labels.size(); ++r)
    text += std::to_string(curve.labels[r]) + "," + shortest(curve.accuracy[r]) + "\n";
  write_text(file, text);
}

std::optional<learning_curve> read_curve(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  const std::string name = printable(file.string()), text = read_file(call, file);
  csv_reader reader(call, text, name);
  const auto require = [&](bool valid, const char* expected) {
    if (!valid)
      throw format_error(std::string(call) + ": " + name + " line " + std::to_string(reader.line()) +
                         " is no " + expected + "; delete the file to run it again");
  };
  std::vector<std::string> fields;
  require(reader.next(fields) && fields == std::vector<std::string>{"labels", "accuracy"},
          "header line of labels and accuracy");
  learning_curve curve;
  while (reader.next(fields)) {
    const bool two = fields.size() == 2;
    const index_t labels = two ? number_in<index_t>(fields[0]).value_or(-1) : -1;
    const double accuracy = two ? number_in<double>(fields[1]).value_or(-1) : -1;
    require(
        labels >= 0 && (curve.labels.empty() || labels > curve.labels.back()) && accuracy >= 0 && accuracy <= 1,
        "rising number of labels and an accuracy from 0 to 1");
    curve.labels.push_back(labels);
    curve.accuracy.push_back(accuracy);
  }
  require(!curve.labels.empty() && text.ends_with('\n'), "curve, but its end");
  return curve;
}

}  // namespace poolwise
