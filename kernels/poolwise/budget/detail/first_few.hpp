// The first few of many, in constant time for each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// The first `most` of those that were added, by a strict total order: which they are does not depend on the
/// order in which they came.
template <class T>
class first_few {
 public:
  explicit first_few(index_t most) : most_(std::size_t(most)) {}

  void add(const T& one) {
    if (most_ == 0 || (full_ && !(one < last_))) return;
    kept_.push_back(one);
    if (kept_.size() >= 2 * most_ + 64) cut();
  }

  /// The last of them, once none that comes after it would be kept.
  const T* last() const { return full_ ? &last_ : nullptr; }

  /// In any order.
  std::vector<T>& all() {
    if (kept_.size() > most_) cut();
    return kept_;
  }

 private:
  void cut() {
    const auto end = kept_.begin() + std::ptrdiff_t(most_);
    std::nth_element(kept_.begin(), end - 1, kept_.end());
    kept_.erase(end, kept_.end());
    last_ = kept_.back();
    full_ = true;
  }

  std::size_t most_;
  std::vector<T> kept_;
  T last_{};  // once full_, nothing that comes after it is kept
  bool full_ = false;
};

}  // namespace poolwise
