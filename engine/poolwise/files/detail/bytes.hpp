// The bytes of a mapped file, and buffers for arrays.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string_view>

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

/// `count` bytes from `begin` on, at an address that is a multiple of `alignment` (at most 64): in place
/// where they lie so, else copied into a buffer of their own.
file_bytes aligned_slice(const file_bytes& from, index_t begin, index_t count, std::size_t alignment);

/// throws io_error for a device other than a terminal: what is read to its end must have one.
void require_end(const char* call, const std::filesystem::path& file);

[[noreturn]] void throw_unreadable(const char* call, const std::filesystem::path& file, int code);

/// A buffer for an array, 64-byte aligned; a large one is placed and advised for huge pages.
std::shared_ptr<std::byte> allocate_buffer(std::size_t bytes);

}  // namespace poolwise
