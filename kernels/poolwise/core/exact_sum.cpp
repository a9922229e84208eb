#include "poolwise/core/exact_sum.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "poolwise/core/detail/state_bytes.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

constexpr state_kind sum_bytes{{'p', 'w', 'e', 'x', 's', 'u', 'm', 1}, "exact_sum"};
constexpr state_kind moments_bytes{{'p', 'w', 'm', 'o', 'm', 'n', 't', 1}, "moments"};

constexpr int limb_bits = 32, mantissa_bits = 53, lowest_exponent = -1074;
constexpr std::int64_t limb_mask = (std::int64_t{1} << limb_bits) - 1;
/// A limb takes less than 2^32 from a value, and has 63 bits.
constexpr std::int64_t most_pending = std::int64_t{1} << 30;

/// The three doubles that add up to nearly all of a sum: its first 159 bits.
std::array<double, 3> parts_of(exact_sum sum) {
  std::array<double, 3> parts{};
  for (double& part : parts) {
    part = sum.value();
    sum.add(-part);
  }
  return parts;
}

void add_product(double a, double b, exact_sum& into) {
  const double product = a * b;
  into.add(product);
  into.add(std::fma(a, b, -product));
}

}  // namespace

void exact_sum::add(double value) {
  if (!std::isfinite(value))
    throw value_error("exact_sum::add: a value is " + std::to_string(value) + "; pass finite numbers");
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const auto exponent = std::int64_t(bits >> 52 & 2047);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  if (exponent > 0) mantissa |= std::uint64_t{1} << 52;
  const std::int64_t place = exponent > 0 ? exponent - 1 : 0;
  const auto shift = unsigned(place % limb_bits);
  const std::int64_t sign = bits >> 63 != 0 ? -1 : 1;
  const std::uint64_t low = mantissa << shift;  // and what passes its upper end
  const std::uint64_t high = shift == 0 ? 0 : mantissa >> (64 - shift);
  std::int64_t* const to = limb_.data() + place / limb_bits;
  to[0] += sign * (std::int64_t(low) & limb_mask);
  to[1] += sign * std::int64_t(low >> limb_bits);
  to[2] += sign * std::int64_t(high);
  if (++pending_ < most_pending) return;
  limb_ = carried();
  pending_ = 0;
}

void exact_sum::merge(const exact_sum& other) {
  const number theirs = other.carried();
  limb_ = carried();
  for (std::size_t i = 0; i < limbs; ++i) limb_[i] += theirs[i];
  limb_ = carried();
  pending_ = 0;
}

exact_sum::number exact_sum::carried() const {
  number of = limb_;
  for (std::size_t i = 0; i + 1 < limbs; ++i) {
    of[i + 1] += of[i] >> limb_bits;
    of[i] &= limb_mask;
  }
  return of;
}

bool exact_sum::is_sum(const number& digits) {
  exact_sum read;
  read.limb_ = digits;
  // No 2^63 values reach further.
  return read.carried() == digits && std::abs(digits.back()) < std::int64_t{1} << limb_bits;
}

double exact_sum::value() const {
  number of = carried();
  const bool negative = of.back() < 0;
  if (negative) {
    exact_sum opposite;
    for (std::size_t i = 0; i < limbs; ++i) opposite.limb_[i] = -of[i];
    of = opposite.carried();
  }
  std::size_t top = limbs;
  while (top > 0 && of[top - 1] == 0) --top;
  if (top == 0) return 0;
  const auto bit = [&](std::int64_t place) {
    return of[std::size_t(place / limb_bits)] >> place % limb_bits & 1;
  };
  const std::int64_t highest =
      std::int64_t(top - 1) * limb_bits + std::int64_t(std::bit_width(std::uint64_t(of[top - 1]))) - 1;
  const std::int64_t last = std::max<std::int64_t>(0, highest - (mantissa_bits - 1));
  std::uint64_t mantissa = 0;
  for (std::int64_t place = highest; place >= last; --place)
    mantissa = mantissa << 1 | std::uint64_t(bit(place));
  bool beyond_half = false;
  for (std::int64_t place = last - 2; place >= 0 && !beyond_half; --place) beyond_half = bit(place) != 0;
  if (last > 0 && bit(last - 1) != 0 && (beyond_half || (mantissa & 1) != 0)) ++mantissa;
  const double size = std::ldexp(double(mantissa), int(last) + lowest_exponent);
  return negative ? -size : size;
}

std::vector<std::byte> exact_sum::to_bytes() const {
  state_writer out(sum_bytes);
  const number of = carried();
  out.values(std::span<const std::int64_t>(of));
  return out.finish();
}

exact_sum exact_sum::from_bytes(std::span<const std::byte> bytes) {
  state_reader in(sum_bytes, bytes);
  exact_sum read;
  in.values(std::span<std::int64_t>(read.limb_));
  in.require_end();
  if (!is_sum(read.limb_)) in.refuse("its digits are out of range");
  return read;
}

bool operator==(const exact_sum& a, const exact_sum& b) { return a.carried() == b.carried(); }

void moments::add(double value) {
  if (!(std::abs(value) <= 0x1p500))
    throw value_error("moments::add: a value is " + std::to_string(value) +
                      "; pass numbers between -2^500 and 2^500");
  ++items_;
  sum_.add(value);
  add_product(value, value, squares_);
}

void moments::merge(const moments& other) {
  if (other.items_ > std::numeric_limits<index_t>::max() - items_)
    throw value_error("moments::merge: there would be 2^63 items or more; merge parts that share no items");
  items_ += other.items_;
  sum_.merge(other.sum_);
  squares_.merge(other.squares_);
}

double moments::mean() const { return sum_.value() / double(items_); }

double moments::variance() const {
  // n sum x^2 - (sum x)^2 cancels where values are alike: it is formed without rounding, too.
  const auto n = double(items_);
  exact_sum spread;
  const auto sum = parts_of(sum_);
  for (const double square : parts_of(squares_)) add_product(n, square, spread);
  for (const double one : sum)
    for (const double other : sum) add_product(-one, other, spread);
  return std::max(0.0, spread.value()) / n / n;
}

std::vector<std::byte> moments::to_bytes() const {
  state_writer out(moments_bytes);
  out.number(std::uint64_t(items_));
  for (const exact_sum* one : {&sum_, &squares_}) {
    const auto of = one->carried();
    out.values(std::span<const std::int64_t>(of));
  }
  return out.finish();
}

moments moments::from_bytes(std::span<const std::byte> bytes) {
  state_reader in(moments_bytes, bytes);
  moments read;
  read.items_ = index_t(in.number());
  for (exact_sum* one : {&read.sum_, &read.squares_}) {
    in.values(std::span<std::int64_t>(one->limb_));
    if (!exact_sum::is_sum(one->limb_)) in.refuse("its digits are out of range");
  }
  in.require_end();
  if (read.items_ < 0 || read.squares_.value() < 0)
    in.refuse("it counts " + std::to_string(read.items_) + " items");
  return read;
}

}  // namespace poolwise
