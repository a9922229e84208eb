// The bytes of a top_k_state: as they are, and once their checksum is put right; and of the other states that
// travel, behind their first eight.
#include <algorithm>
#include <limits>

#include "harness.hpp"
#include "poolwise/committee/committee.hpp"
#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/detail/number_bytes.hpp"
#include "poolwise/core/exact_sum.hpp"
#include "poolwise/core/histogram.hpp"
#include "poolwise/metrics/drift.hpp"
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

/// The same as a state of the kind of `example`.
template <class State>
void read_as(const State& example, std::span<const std::byte> input) {
  std::vector<std::byte> bytes = example.to_bytes();
  bytes.resize(8);
  bytes.insert(bytes.end(), input.begin(), input.end());
  append_number(bytes, fnv1a(bytes));
  accepted([&] {
    require(State::from_bytes(bytes).to_bytes() == bytes, "a state that is read is written as it was");
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
  const auto behind = input.subspan(8);
  fuzz::read_as(histogram({1}), behind);
  fuzz::read_as(exact_sum(), behind);
  fuzz::read_as(moments(), behind);
  constexpr disagreement all[] = {disagreement::bald, disagreement::vote_entropy, disagreement::mean_std};
  fuzz::read_as(committee_accumulator(1, 2, all), behind);
  const double reference[] = {1, 2, 3};
  fuzz::read_as(stability_bins(reference), behind);
  return 0;
}
