// Sums without rounding, whose bits do not hang on the order of what is added.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// The exact sum of doubles. Sums of disjoint values merge in any grouping and order with the same bits.
///
/// A fixed-point number that every double fits into (Kulisch 1981; Neal 2015, "small superaccumulator"): 544
/// bytes, and some 5 ns a value.
class exact_sum {
 public:
  /// throws value_error for a NaN or infinite value.
  void add(double value);
  void merge(const exact_sum& other);

  /// Rounded once, to the nearest double, ties to even; infinite beyond the largest.
  double value() const;

  std::vector<std::byte> to_bytes() const;
  /// throws format_error for bytes that `to_bytes` did not write.
  static exact_sum from_bytes(std::span<const std::byte> bytes);

  friend bool operator==(const exact_sum& a, const exact_sum& b);

 private:
  friend class moments;
  static constexpr std::size_t limbs = 68;  ///< 2^-1074 to 2^1023, and 2^63 values of that
  using number = std::array<std::int64_t, limbs>;

  /// The same with all limbs but the last in [0, 2^32).
  number carried() const;
  /// Whether bytes may hold it.
  static bool is_sum(const number& digits);

  number limb_{};             // limb i counts 2^(32 i - 1074)
  std::int64_t pending_ = 0;  // values since the last carry
};

/// How many values there are, their mean and variance. Moments of disjoint values merge in any grouping and
/// order with the same bits.
class moments {
 public:
  /// throws value_error for a value that is NaN or beyond +-2^500.
  void add(double value);
  void merge(const moments& other);

  index_t items() const { return items_; }
  /// NaN of no items.
  double mean() const;
  /// The sum of squared deviations from the mean, divided by the items; never below 0. NaN of no items.
  double variance() const;

  std::vector<std::byte> to_bytes() const;
  /// throws format_error for bytes that `to_bytes` did not write.
  static moments from_bytes(std::span<const std::byte> bytes);

 private:
  index_t items_ = 0;
  exact_sum sum_, squares_;
};

}  // namespace poolwise
