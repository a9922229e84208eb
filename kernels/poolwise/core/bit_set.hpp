// Sets of a few named things.
#pragma once

namespace poolwise {

/// A set of enumerators, each of which is a bit of its own.
template <class Bit>
class bit_set {
 public:
  constexpr bit_set() = default;
  constexpr bit_set(Bit one) : bits_(unsigned(one)) {}

  constexpr bool has(Bit one) const { return (bits_ & unsigned(one)) != 0; }
  constexpr bit_set operator|(bit_set other) const { return bit_set(bits_ | other.bits_); }
  constexpr bit_set without(bit_set other) const { return bit_set(bits_ & ~other.bits_); }
  friend constexpr bool operator==(bit_set, bit_set) = default;

 private:
  constexpr explicit bit_set(unsigned bits) : bits_(bits) {}
  unsigned bits_ = 0;
};

}  // namespace poolwise
