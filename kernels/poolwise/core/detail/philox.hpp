// Random numbers as a function of (seed, stream, counter): no state, so that a draw does not depend on how
// many threads, chunks or ranks came before it. Philox4x32-10: Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

#include "poolwise/core/half.hpp"

namespace poolwise {

/// The purpose of a draw. Streams of one seed are independent of each other. Who draws gives the stream its
/// number, in a line such as `constexpr stream order_stream{8};`; tests/structure/streams.py keeps the numbers
/// apart.
enum class stream : std::uint32_t {};

POOLWISE_HD inline std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                           std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {std::uint32_t(p1 >> 32) ^ counter[1] ^ key[0], std::uint32_t(p1),
               std::uint32_t(p0 >> 32) ^ counter[3] ^ key[1], std::uint32_t(p0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

/// 64 random bits for place `index` of `purpose` under `seed`. `epoch` numbers repetitions (rounds).
POOLWISE_HD inline std::uint64_t random_bits(std::uint64_t seed, stream purpose, std::uint64_t index,
                                             std::uint32_t epoch = 0) {
  const auto word =
      philox4x32({std::uint32_t(index), std::uint32_t(index >> 32), std::uint32_t(purpose), epoch},
                 {std::uint32_t(seed), std::uint32_t(seed >> 32)});
  return std::uint64_t{word[1]} << 32 | word[0];
}

/// Uniform in [0, 1), on a grid of 2^-53.
POOLWISE_HD inline double random_unit(std::uint64_t seed, stream purpose, std::uint64_t index,
                                      std::uint32_t epoch = 0) {
  return double(random_bits(seed, purpose, index, epoch) >> 11) * 0x1p-53;
}

}  // namespace poolwise
