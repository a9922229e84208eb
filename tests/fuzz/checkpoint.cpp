// The file of a selection under way: as it is, and once its hash and fingerprint are put right.
#include "poolwise/query/checkpoint.hpp"

#include <bit>

#include "harness.hpp"
#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/detail/number_bytes.hpp"

namespace poolwise::fuzz {
namespace {

constexpr std::uint64_t fingerprint = 0x0123456789abcdef;

void put_number(std::string& bytes, std::size_t at, std::uint64_t number) {
  std::vector<std::byte> place;
  append_number(place, number);
  std::memcpy(bytes.data() + at, place.data(), place.size());
}

std::string put_right(std::string bytes) {
  if (bytes.size() < 24) return bytes;
  put_number(bytes, 8, fingerprint);
  hash sum;
  sum.add(bytes.data(), bytes.size() - 8);
  put_number(bytes, bytes.size() - 8, sum.value());
  return bytes;
}

bool same(const batch_state& a, const batch_state& b) {
  if (a.proposals != b.proposals || a.picks.size() != b.picks.size()) return false;
  for (std::size_t i = 0; i < a.picks.size(); ++i)
    if (a.picks[i].row != b.picks[i].row ||
        std::bit_cast<std::uint32_t>(a.picks[i].score) != std::bit_cast<std::uint32_t>(b.picks[i].score))
      return false;
  return true;
}

void read(const std::string& bytes) {
  const checkpoint file(file_of(bytes, ".state"), fingerprint);
  accepted([&] {
    const auto state = file.read();
    if (!state) return require(bytes.empty(), "a file without a state is empty");
    file.write(*state);
    const auto again = file.read();
    require(again && same(*state, *again), "a state that was written is read back");
  });
}

}  // namespace
}  // namespace poolwise::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise::fuzz;
  const std::string bytes(text_of(data, size));
  read(bytes);
  read(put_right(bytes));
  return 0;
}
