// The bytes of a state that outlives its process or travels to another machine: eight letters, of which the
// last is the version; numbers; a checksum. Little-endian. Equal states give equal bytes.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/detail/number_bytes.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {

/// What the bytes of a kind of state begin with, and what messages call it.
struct state_kind {
  std::array<char, 8> magic;
  const char* name;
};

class state_writer {
 public:
  explicit state_writer(const state_kind& kind) : bytes_(kind.magic.size()) {
    std::memcpy(bytes_.data(), kind.magic.data(), kind.magic.size());
  }

  void number(std::uint64_t value, std::size_t size = 8) { append_number(bytes_, value, size); }

  template <class T>
  void values(std::span<const T> given) {
    static_assert(std::endian::native == std::endian::little);
    const auto from = std::as_bytes(given);
    bytes_.insert(bytes_.end(), from.begin(), from.end());
  }

  /// All of it, with its checksum. Nothing is written after it.
  std::vector<std::byte> finish() {
    append_number(bytes_, fnv1a(bytes_));
    return std::move(bytes_);
  }

 private:
  std::vector<std::byte> bytes_;
};

/// Every refusal is a format_error that names the state.
class state_reader {
 public:
  state_reader(const state_kind& kind, std::span<const std::byte> bytes) : kind_(kind) {
    const std::size_t before_version = kind.magic.size() - 1;
    if (bytes.size() < kind.magic.size() + 8 ||
        std::memcmp(bytes.data(), kind.magic.data(), before_version) != 0)
      refuse("got " + std::to_string(bytes.size()) + " bytes that are not a " + kind.name);
    if (const int version = int(bytes[before_version]), ours = kind.magic[before_version]; version != ours)
      refuse("got version " + std::to_string(version) + " of the bytes but this build reads version " +
             std::to_string(ours));
    auto checksum = bytes.last(8);
    const auto checked = bytes.first(bytes.size() - 8);
    if (take_number(checksum) != fnv1a(checked)) refuse("the checksum is wrong");
    rest_ = checked.subspan(kind.magic.size());
  }

  std::uint64_t number(std::size_t size = 8) {
    require(size);
    return take_number(rest_, size);
  }

  template <class T>
  void values(std::span<T> into) {
    static_assert(std::endian::native == std::endian::little);
    require(into.size_bytes());
    if (!into.empty()) std::memcpy(into.data(), rest_.data(), into.size_bytes());
    rest_ = rest_.subspan(into.size_bytes());
  }

  /// Bytes that have not been read: room is made for no more than they can fill.
  std::size_t left() const { return rest_.size(); }

  void require_end() const {
    if (left() > 0) refuse(std::to_string(left()) + " bytes are left over");
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw format_error(std::string(kind_.name) + "::from_bytes: " + why + "; pass what to_bytes wrote");
  }

 private:
  void require(std::size_t size) const {
    if (left() < size) refuse("its bytes end too early");
  }

  state_kind kind_;
  std::span<const std::byte> rest_;
};

}  // namespace poolwise
