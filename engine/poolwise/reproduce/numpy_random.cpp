#include "poolwise/reproduce/detail/numpy_random.hpp"

#include <array>
#include <bit>

namespace poolwise {
namespace {

using word = std::uint32_t;

/// numpy's SeedSequence of one integer: 4 words of entropy, hashed and mixed until each depends on all.
/// O'Neill 2015, "Developing a seed_seq alternative".
class seed_sequence {
 public:
  explicit seed_sequence(std::uint64_t seed) : pool_{word(seed), word(seed >> 32), 0, 0} {
    for (word& w : pool_) w = hash(w);
    for (std::size_t from = 0; from < pool_.size(); ++from)
      for (std::size_t to = 0; to < pool_.size(); ++to)
        if (from != to) pool_[to] = mix(pool_[to], hash(pool_[from]));
  }

  /// generate_state(4, uint64)
  std::array<std::uint64_t, 4> state() const {
    std::array<std::uint64_t, 4> out{};
    word multiplier = 0x8b51f9dd;
    for (std::size_t i = 0; i < 2 * out.size(); ++i) {
      word w = pool_[i % pool_.size()] ^ multiplier;
      multiplier *= 0x58f38ded;
      w *= multiplier;
      w ^= w >> 16;
      out[i / 2] |= std::uint64_t(w) << (32 * (i % 2));
    }
    return out;
  }

 private:
  word hash(word w) {
    w ^= multiplier_;
    multiplier_ *= 0x931e8875;
    w *= multiplier_;
    return w ^ w >> 16;
  }

  static word mix(word x, word y) {
    const word w = 0xca01f9dd * x - 0x4973f715 * y;
    return w ^ w >> 16;
  }

  word multiplier_ = 0x43b0d7e5;
  std::array<word, 4> pool_;
};

}  // namespace

numpy_random::numpy_random(std::uint64_t seed) {
  const auto words = seed_sequence(seed).state();
  increment_ = (uint128(words[2]) << 64 | words[3]) << 1 | 1;
  step();
  state_ += uint128(words[0]) << 64 | words[1];
  step();
}

void numpy_random::step() {
  constexpr uint128 multiplier = uint128(0x2360ed051fc65da4) << 64 | 0x4385df649fccf645;
  state_ = state_ * multiplier + increment_;
}

std::uint64_t numpy_random::next64() {
  step();
  const auto high = std::uint64_t(state_ >> 64), low = std::uint64_t(state_);
  return std::rotr(high ^ low, int(high >> 58));
}

std::uint32_t numpy_random::next32() {
  if (has_half_) {
    has_half_ = false;
    return half_;
  }
  const std::uint64_t both = next64();
  has_half_ = true;
  half_ = std::uint32_t(both >> 32);
  return std::uint32_t(both);
}

std::uint32_t numpy_random::integer(std::uint32_t largest) {
  if (largest == 0) return 0;
  const std::uint64_t count = std::uint64_t(largest) + 1;
  std::uint64_t scaled = next32() * count;
  // Draws below 2^32 mod count would make the first numbers likelier.
  const auto unfair = std::uint32_t((std::uint64_t(1) << 32) % count);
  while (std::uint32_t(scaled) < unfair) scaled = next32() * count;
  return std::uint32_t(scaled >> 32);
}

// Uniform in [0, largest]: the low bits of 32-bit draws until they fit. So numpy shuffles, though `integers`
// went over to Lemire's method.
std::uint32_t numpy_random::masked(std::uint32_t largest) {
  const std::uint32_t mask = std::uint32_t(std::bit_ceil(std::uint64_t(largest) + 1) - 1);
  std::uint32_t drawn = next32() & mask;
  while (drawn > largest) drawn = next32() & mask;
  return drawn;
}

}  // namespace poolwise
