// Hashes whose values stand in files, in records and in published figures: each must go on giving the values
// that it gives now, so there are three. None tells friend from foe.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace poolwise {

/// Of arrays: eight words at a time, as fast as memory is read. A last word is filled up with zeros.
class hash {
 public:
  void add(const void* bytes, std::size_t size) {
    const auto* const from = static_cast<const char*>(bytes);
    std::size_t done = 0;
    for (; done + lanes * 8 <= size; done += lanes * 8)
      for (std::size_t lane = 0; lane < lanes; ++lane) mix(lane, word(from + done + lane * 8, 8));
    for (std::size_t lane = 0; done < size; ++lane, done += 8)
      mix(lane, word(from + done, std::min<std::size_t>(8, size - done)));
    mix(0, size);
  }

  template <class T>
  void add_value(const T& value) {
    add(&value, sizeof value);
  }

  std::uint64_t value() const {
    std::uint64_t all = 0;
    for (const std::uint64_t lane : lane_) all = scrambled(all ^ lane);
    return all;
  }

 private:
  static constexpr std::size_t lanes = 8;

  static std::uint64_t word(const char* from, std::size_t size) {
    std::uint64_t value = 0;
    std::memcpy(&value, from, size);
    return value;
  }

  /// A bijection in which every bit of the result depends on all bits.
  static std::uint64_t scrambled(std::uint64_t x) {
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
  }

  void mix(std::size_t lane, std::uint64_t value) {
    lane_[lane] = std::rotl(lane_[lane] ^ value, 29) * 0x9e3779b97f4a7c15u + lane + 1;
  }

  std::array<std::uint64_t, lanes> lane_{};
};

/// FNV-1a, a byte at a time: shows a slip of the disk or the wire.
inline std::uint64_t fnv1a(std::span<const std::byte> bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const std::byte b : bytes) hash = (hash ^ std::uint64_t(b)) * 0x100000001b3u;
  return hash;
}

/// One step of SplitMix64 (Steele et al. 2014) over the values before and the next one.
inline std::uint64_t splitmix64(std::uint64_t before, std::uint64_t next) {
  std::uint64_t z = (before ^ next) + 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

}  // namespace poolwise
