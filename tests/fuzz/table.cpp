// A table of features and classes. The first byte says the file's ending.
#include "poolwise/files/table.hpp"

#include <cmath>

#include "harness.hpp"

namespace poolwise::fuzz {
namespace {

void require_sound(const labelled_table& table) {
  require(table.rows > 0 && table.cols > 0, "a table has rows and features");
  require(table.features.size() == std::size_t(table.rows * table.cols), "a value for each place");
  require(table.labels.size() == std::size_t(table.rows), "a class for each row");
  for (const double value : table.features) require(std::isfinite(value), "values are finite");
  for (const std::int32_t label : table.labels)
    require(label >= 0 && label < table.classes(), "a label is that of a class");
  fingerprint(table);
  constant_columns(table);
}

}  // namespace
}  // namespace poolwise::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  using namespace poolwise::fuzz;
  std::string_view input = text_of(data, size);
  const std::string endings[] = {".csv", ".tsv", ".svm", ".csv.gz", ".svm.gz"};
  const std::string& ending = endings[take_choice(input, std::size(endings))];
  const auto file = file_of(input, ending);
  accepted([&] { require_sound(read_table(file)); });
  return 0;
}
