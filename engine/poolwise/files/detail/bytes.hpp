// The bytes of a mapped file, and buffers for arrays.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

struct file_bytes {
  const std::byte* data = nullptr;  ///< null for an empty file
  index_t size = 0;
  std::shared_ptr<const void> owner;
  bool mapped = false;
  index_t held = 0;  ///< bytes of memory that `owner` holds

  std::string_view text(index_t begin, index_t count) const {
    return {reinterpret_cast<const char*>(data) + begin, std::size_t(count)};
  }
};

/// Maps a regular file for reading. throws io_error, in the name of `call`, for anything else.
file_bytes map_file(const char* call, const std::filesystem::path& file);

/// What to say where reading at `address` fails: it lies in a mapped file, which was cut short. Null for other
/// addresses. Async-signal-safe.
const char* about_mapped_file(const void* address) noexcept;

/// The bytes of an array, or nothing when an extent is negative or the bytes pass 2^63 - 1. A zero in the
/// shape hides no overflow: multiplying the extents in any order stays in range when this has a value.
std::optional<index_t> bytes_of(const std::vector<index_t>& shape, std::size_t element_bytes);

/// throws io_error for a device other than a terminal: what is read to its end must have one.
void require_end(const char* call, const std::filesystem::path& file);

[[noreturn]] void throw_unreadable(const char* call, const std::filesystem::path& file, int code);

/// A buffer for an array, 64-byte aligned; a large one is placed and advised for huge pages.
std::shared_ptr<std::byte> allocate_buffer(std::size_t bytes);

}  // namespace poolwise
