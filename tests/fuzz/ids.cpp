// Ids of rows. The first byte says the file's ending, the second how many rows there are.
#include "poolwise/files/ids.hpp"

#include "harness.hpp"

namespace poolwise::fuzz {
namespace {

// The same ids, written as a table.
void require_round_trip(const row_ids& ids) {
  std::string text = "id\n";
  for (index_t i = 0; i < ids.size(); ++i) text += csv_field(ids[i]) + "\n";
  const row_ids again(file_of(text, ".written.csv"), ids.size());
  for (index_t i = 0; i < ids.size(); ++i) require(again[i] == ids[i], "an id goes through a table");
}

}  // namespace
}  // namespace poolwise::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  using namespace poolwise::fuzz;
  std::string_view input = text_of(data, size);
  const std::string endings[] = {".csv", ".tsv", ".jsonl", "", ".csv.gz"};
  const std::string& ending = endings[take_choice(input, std::size(endings))];
  const auto rows = index_t(take_choice(input, 10));
  const auto file = file_of(input, ending);
  accepted([&] { require_round_trip(row_ids(file, rows, "id", {1 << 20})); });
  // The file lists some of the rows.
  accepted([&] { row_ids().rows_in(file, rows, {1 << 20}); });
  accepted([&] { row_ids({"a", "b", "c", "7"}).rows_in(file, 4, {1 << 20}); });
  return 0;
}
