// Counts that merge: a histogram, a confusion matrix, items by slice or by bin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Items counted in the places of a grid. Histograms of disjoint items merge in any grouping and order with the
/// same result; items that two of them count are counted twice.
class histogram {
 public:
  /// All counts are 0. shape is the extent of each axis, the last one contiguous.
  /// throws shape_error for no axis, a negative extent and more than 2^40 places.
  explicit histogram(std::vector<index_t> shape);

  /// throws value_error for a place that is not there, fewer than 0 items, and a count above 2^63 - 1.
  void add(index_t place, std::int64_t items = 1);

  /// Adds what `other` counts. throws shape_error unless both have one shape; value_error for a count above
  /// 2^63 - 1. Nothing is added then.
  void merge(const histogram& other);

  std::span<const index_t> shape() const { return shape_; }
  std::span<const std::int64_t> counts() const { return counts_; }
  /// All counts together. throws value_error above 2^63 - 1.
  std::int64_t items() const;

  /// Version 1: the axes, their extents, the counts.
  std::vector<std::byte> to_bytes() const;
  /// throws format_error for bytes that `to_bytes` did not write.
  static histogram from_bytes(std::span<const std::byte> bytes);

  friend bool operator==(const histogram&, const histogram&) = default;

 private:
  std::vector<index_t> shape_;
  std::vector<std::int64_t> counts_;
};

}  // namespace poolwise
