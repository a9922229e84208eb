// numpy's default_rng, bit by bit: published splits are drawn with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace poolwise {

/// numpy.random.default_rng(seed): PCG64 (O'Neill 2014, XSL-RR 128/64), seeded by numpy's SeedSequence. The
/// draws are those of numpy 1.17 and every later one.
class numpy_random {
 public:
  explicit numpy_random(std::uint64_t seed);

  std::uint64_t next64();
  std::uint32_t next32();  ///< the lower half of a 64-bit draw; the next call gives its upper half

  /// Generator.integers(0, largest, endpoint=True) below 2^32, which draws nothing for 0: Lemire 2019, on
  /// 32-bit draws.
  std::uint32_t integer(std::uint32_t largest);

  /// Generator.shuffle of a one-dimensional array shorter than 2^32.
  template <class T>
  void shuffle(std::span<T> x) {
    for (std::size_t i = x.size(); i-- > 1;) std::swap(x[i], x[masked(std::uint32_t(i))]);
  }

 private:
  void step();
  std::uint32_t masked(std::uint32_t largest);

  __extension__ using uint128 = unsigned __int128;
  uint128 state_ = 0, increment_ = 0;
  bool has_half_ = false;
  std::uint32_t half_ = 0;
};

}  // namespace poolwise
