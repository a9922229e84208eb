#include "poolwise/report/detail/png.hpp"

#include <zlib.h>

#include <limits>
#include <new>
#include <string_view>

#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

void append_big_endian(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += char(value >> shift & 255);
}

const Bytef* as_zlib(std::string_view bytes) { return reinterpret_cast<const Bytef*>(bytes.data()); }

/// Length, type, data, and the CRC of type and data.
void append_chunk(std::string& png, std::string_view type, std::string_view data) {
  append_big_endian(png, std::uint32_t(data.size()));
  const std::size_t start = png.size();
  png.append(type).append(data);
  const auto covered = std::string_view(png).substr(start);
  append_big_endian(png, std::uint32_t(crc32_z(0, as_zlib(covered), covered.size())));
}

std::string header(index_t height, index_t width) {
  std::string data;
  append_big_endian(data, std::uint32_t(width));
  append_big_endian(data, std::uint32_t(height));
  data +=
      {char(8), char(0), char(0), char(0), char(0)};  // 8 bits, grey, deflate, adaptive filters, not interlaced
  return data;
}

/// Each row after its filter type; type 0 leaves the row as it is.
std::string filtered_rows(index_t height, index_t width, std::span<const std::uint8_t> pixels) {
  std::string rows;
  rows.reserve(std::size_t(height * (width + 1)));
  for (index_t y = 0; y < height; ++y) {
    rows += '\0';
    const auto row = pixels.subspan(std::size_t(y * width), std::size_t(width));
    rows.append(row.begin(), row.end());
  }
  return rows;
}

std::string deflated(std::string_view bytes) {
  uLongf size = compressBound(uLong(bytes.size()));
  std::string out(size, '\0');
  const int status = compress2(reinterpret_cast<Bytef*>(out.data()), &size, as_zlib(bytes), uLong(bytes.size()),
                               Z_BEST_COMPRESSION);
  if (status != Z_OK) throw std::bad_alloc();  // with compressBound() places, memory is all that can lack
  out.resize(size);
  return out;
}

void require_sides(index_t height, index_t width, std::size_t bytes) {
  // The format writes a side in 31 bits and a chunk's length too; the product of two such sides fits index_t.
  constexpr index_t limit = std::numeric_limits<std::int32_t>::max();
  const bool sides = height > 0 && width > 0 && height <= limit && width <= limit;
  if (sides && height * width <= limit / 2 && std::size_t(height * width) == bytes) return;
  throw shape_error("grey_png: got " + std::to_string(bytes) + " bytes for an image of " +
                    std::to_string(height) + " x " + std::to_string(width) +
                    "; pass height * width bytes, between 1 and 2^30");
}

}  // namespace

std::string grey_png(index_t height, index_t width, std::span<const std::uint8_t> pixels) {
  require_sides(height, width, pixels.size());
  std::string png = "\x89PNG\r\n\x1a\n";
  append_chunk(png, "IHDR", header(height, width));
  append_chunk(png, "IDAT", deflated(filtered_rows(height, width, pixels)));
  append_chunk(png, "IEND", {});
  return png;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) bits = bits << 8 | (k < group.size() ? std::uint8_t(group[k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += k <= group.size() ? alphabet[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace poolwise
