// Quotas of groups and, behind a line of three dashes, the groups of rows. The first byte says both files'
// ending.
#include "poolwise/files/groups.hpp"

#include "harness.hpp"

namespace poolwise::fuzz {
namespace {

void require_sound(const grouping& found) {
  for (const index_t group : found.group)
    require(group >= 0 && std::size_t(group) < found.quota.size(), "every row's group has a quota");
  for (const index_t quota : found.quota) require(quota >= 0, "no quota is negative");
  for (const index_t floor : found.floor) require(floor >= 0, "no floor is negative");
  require(found.floor.empty() || found.floor.size() == found.quota.size(), "every group has a floor, or none");
  require(found.names.size() == found.quota.size(), "every group has a name");
}

}  // namespace
}  // namespace poolwise::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  using namespace poolwise::fuzz;
  std::string_view input = text_of(data, size);
  const std::string endings[] = {".csv", ".tsv", ".jsonl", ""};
  const std::string& ending = endings[take_choice(input, std::size(endings))];
  constexpr std::string_view line = "---\n";
  const std::size_t end = std::min(input.find(line), input.size());
  const std::string_view rest = input.substr(std::min(end + line.size(), input.size()));
  const auto quota_file = file_of(input.substr(0, end), ".quota" + ending), group_file = file_of(rest, ending);
  accepted([&] {
    const quota_list quotas(quota_file, 10);
    accepted([&] { require_sound(quotas.applied_to(group_file, {1 << 20})); });
    const std::int64_t numbers[] = {0, 1, -1, 1};
    array by_number;
    by_number.type = dtype::i8;
    by_number.shape = {4};
    by_number.data = reinterpret_cast<const std::byte*>(numbers);
    by_number.name = "numbers";
    accepted([&] { require_sound(quotas.applied_to(by_number, cpu{1})); });
  });
  accepted([&] { quota_list(quota_file, {}); });
  return 0;
}
