// Values in the bytes that ranks exchange. All ranks have one version and one byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "poolwise/core/error.hpp"

namespace poolwise {

class message_writer {
 public:
  template <class T>
  requires std::is_trivially_copyable_v<T> message_writer& add(const T& value) {
    return add_bytes(&value, sizeof value);
  }
  message_writer& add(const std::string& text) {
    add(std::uint64_t(text.size()));
    return add_bytes(text.data(), text.size());
  }
  /// Values without their number, which the reader knows.
  template <class T>
  message_writer& add_row(const T* values, std::size_t count) {
    return add_bytes(values, count * sizeof(T));
  }
  template <class T>
  message_writer& add_all(std::span<const T> values) {
    add(std::uint64_t(values.size()));
    return add_row(values.data(), values.size());
  }
  template <class T>
  message_writer& add_all(const std::vector<T>& values) {
    return add_all(std::span<const T>(values));
  }

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  message_writer& add_bytes(const void* from, std::size_t count) {
    const auto* const first = static_cast<const std::byte*>(from);
    bytes_.insert(bytes_.end(), first, first + count);
    return *this;
  }

  std::vector<std::byte> bytes_;
};

/// throws format_error where the bytes are not what is read.
class message_reader {
 public:
  explicit message_reader(std::span<const std::byte> bytes) : left_(bytes) {}

  bool done() const { return left_.empty(); }

  template <class T>
  requires std::is_trivially_copyable_v<T> T value() {
    T read;
    take(&read, sizeof read);
    return read;
  }
  std::string text() {
    std::string read(counted(1), '\0');
    take(read.data(), read.size());
    return read;
  }
  template <class T>
  void row(T* values, std::size_t count) {
    take(values, count * sizeof(T));
  }
  template <class T>
  std::vector<T> all() {
    std::vector<T> read(counted(sizeof(T)));
    row(read.data(), read.size());
    return read;
  }

 private:
  std::size_t counted(std::size_t bytes) {
    const auto count = value<std::uint64_t>();
    if (count > left_.size() / bytes) refuse();
    return std::size_t(count);
  }
  void take(void* to, std::size_t count) {
    if (count > left_.size()) refuse();
    if (count > 0) std::memcpy(to, left_.data(), count);
    left_ = left_.subspan(count);
  }
  [[noreturn]] static void refuse() {
    throw format_error("a rank gave fewer bytes than it should; start all ranks with the same query");
  }

  std::span<const std::byte> left_;
};

}  // namespace poolwise
