// The bytes of a top_k_state: as they are, and once their checksum is put right.
#include <limits>

#include "harness.hpp"
#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/detail/number_bytes.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise::fuzz {
namespace {

void read(std::span<const std::byte> bytes) {
  accepted([&] {
    top_k_state state = top_k_state::from_bytes(bytes);
    const auto written = state.to_bytes();
    require(top_k_state::from_bytes(written).to_bytes() == written, "a state that was written is read back");
    top_k_state other(state.k());
    other.merge(state);
    require(other.to_bytes() == written, "a state merged into an empty one is the same");
    other.merge(state);
    require(other.to_bytes() == written, "a state merged twice is the same");
    for (index_t row = 0; row < 20; ++row) state.add({row, float(row % 7)});
    require(index_t(state.best().size()) <= state.k(), "no more than k are kept");
  });
}

}  // namespace
}  // namespace poolwise::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  const auto input = std::as_bytes(std::span(data, size));
  fuzz::read(input);
  if (size < 8) return 0;
  std::vector<std::byte> right(input.begin(), input.end() - 8);
  append_number(right, fnv1a(right));
  fuzz::read(right);
  return 0;
}
