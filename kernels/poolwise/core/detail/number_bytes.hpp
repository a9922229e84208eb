// Numbers as bytes of a file: little-endian on any machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace poolwise {

/// Appends the lowest `size` bytes of `value`.
inline void append_number(std::vector<std::byte>& bytes, std::uint64_t value, std::size_t size = 8) {
  for (std::size_t i = 0; i < size; ++i) bytes.push_back(std::byte(value >> 8 * i));
}

/// The number in the first `size` of `bytes`, which then begin behind it.
inline std::uint64_t take_number(std::span<const std::byte>& bytes, std::size_t size = 8) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value |= std::uint64_t(bytes[i]) << 8 * i;
  bytes = bytes.subspan(size);
  return value;
}

}  // namespace poolwise
