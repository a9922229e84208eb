// Rows that come before a threshold, gathered in device memory as sortable keys.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/topk/detail/selection_cuda.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {

/// A score, then its row, counted from the filter's first, in as few bits as it has: the smaller, the better.
using row_key = std::uint64_t;
inline constexpr index_t most_filter_rows = index_t(1) << 32;

/// The state of a filter, in device memory.
struct filter_state {
  float score;                   ///< kept is what has a higher score ...
  index_t row;                   ///< ... or the same and a lower row
  unsigned long long count;      ///< kept, if all had room
  unsigned long long nans;       ///< NaN shown that are not barred
  unsigned long long first_nan;  ///< the lowest row of these
};

/// Everything but `best` returns at once, in the order of the stream.
class row_filter {
 public:
  /// For rows 0, ..., rows - 1, with room for `capacity` keys; bytes() of device memory.
  row_filter(device_memory& memory, index_t rows, index_t capacity);
  static std::size_t bytes(index_t capacity, const char* call);
  static constexpr std::size_t sharpen_bytes = sizeof(selection);

  index_t capacity() const { return keys_.size(); }

  /// Forgets everything and keeps from now on what comes before `limit`; everything where that is none.
  void start(const std::optional<candidate>& limit);

  /// Before anything is shown: keeps only what comes no later than the rank-th best of `count` rows as well, or
  /// shortly behind it. Row i * step has the score scores[i * stride]. Takes sharpen_bytes more of the memory.
  void sharpen(const float* scores, index_t stride, index_t count, index_t step, const std::uint8_t* barred,
               index_t rank);

  /// The rows row, row + 1, ...; `barred`, of the same rows, may be null.
  void show(vector_view<const float> scores, index_t row, const std::uint8_t* barred);

  struct result {
    std::vector<candidate> best;  ///< of those kept, best first, up to k
    index_t count = 0;            ///< kept; above the capacity some were lost
    nan_rows nan;                 ///< shown, unless barred
    candidate limit;              ///< what all that is kept comes before
  };
  /// Waits.
  result best(index_t k);

 private:
  void sort();

  device_memory& memory_;
  int row_bits_;
  device_array<row_key> keys_, sorted_;
  device_array<std::byte> scratch_;
  device_array<filter_state> state_;
};

}  // namespace poolwise
