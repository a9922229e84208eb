// gzip files, made without a library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reference/scratch.hpp"

namespace reference {

// CRC-32 bit by bit (RFC 1952, section 8).
inline std::uint32_t crc32_of(const std::string& bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0u);
  }
  return ~crc;
}

// RFC 1952 around one stored block of RFC 1951: gzip that compresses nothing.
inline std::string gzip(const std::string& bytes) {
  const auto size = std::uint16_t(bytes.size());
  std::string packed("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01", 11);
  packed += bytes_of(size) + bytes_of(std::uint16_t(~size)) + bytes;
  return packed + bytes_of(crc32_of(bytes)) + bytes_of(std::uint32_t(bytes.size()));
}

}  // namespace reference
