// The best rows of a score in the total order, without sorting the pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// Rows whose score is NaN: the first of them (-1 if none) and how many.
struct nan_rows {
  index_t first = -1;
  index_t count = 0;

  /// Adds what another part of the pool holds.
  nan_rows& operator+=(const nan_rows& other);
  friend bool operator==(const nan_rows&, const nan_rows&) = default;
};

/// barred  [rows] or empty. Rows whose entry is not 0 are passed over: neither kept nor counted.
/// throws  shape_error, no_cuda_error. On a device it waits for the answer.
nan_rows find_nan(const where& on, vector_view<const float> scores,
                  vector_view<const std::uint8_t> barred = {});

/// Keeps the best `k` of all candidates shown to it. States merge in any grouping and order with the same
/// result, so a pool may come in chunks, files or ranks; a row that several of them keep, with one score, is
/// kept once, so a part that was computed twice does no harm.
/// Memory: at most 4k candidates of 16 B, and as many a thread while `add` runs; never more than were shown.
class top_k_state {
 public:
  /// throws value_error if k < 0.
  explicit top_k_state(index_t k);

  /// Shows rows first_row, first_row + 1, ... with their scores. A NaN score is never kept, nor is a row whose
  /// entry in `barred`, [rows] or empty, is not 0. Returns the NaN among the others, the first by its place in
  /// `scores`. On a device it waits: what is kept is kept on the host. There the rows that pass gather as
  /// 64-bit keys, 16 B each in device memory for some 1.5 k of them at least.
  nan_rows add(const where& on, vector_view<const float> scores, index_t first_row = 0,
               vector_view<const std::uint8_t> barred = {});
  void add(candidate c);

  /// Shows what `other` keeps. throws value_error unless both keep the same number.
  void merge(const top_k_state& other);

  /// From now on keeps only what comes before `c`: what is known not to be among the best need not be held.
  void keep_only_before(candidate c);

  /// What a candidate must come before to be kept; none as long as any may be.
  std::optional<candidate> threshold() const;

  /// How many it keeps.
  index_t k() const { return k_; }

  /// The best min(k, shown) candidates, best first, in a copy of what is kept. A score of -0 is given as 0,
  /// with which it ties.
  std::vector<candidate> best() const;

  /// What the state keeps, in a form that outlives the process and travels between machines: version 1, the
  /// number k, the candidates best first, a checksum; little-endian. Equal states give equal bytes.
  /// `keep_only_before` is not part of it.
  std::vector<std::byte> to_bytes() const;
  /// throws format_error for bytes that `to_bytes` did not write.
  static top_k_state from_bytes(std::span<const std::byte> bytes);

 private:
  nan_rows add_rows(vector_view<const float> scores, index_t first_row, const std::uint8_t* barred);
  void show(const top_k_state& other);
  void compact();

  index_t k_;
  std::vector<candidate> kept_;  // up to 4k; beyond k only until the next compaction
  candidate worst_;              // nothing that does not come before it is kept, once full_
  bool full_ = false;
  bool may_repeat_ = false;  // other states were merged, which may keep the same rows
};

/// The best min(k, scores.size) rows, best first.
/// throws value_error if k < 0, or if any score is NaN (names the first row, counts the rest); no_cuda_error.
/// Reads the scores once behind a threshold: O(N + k log k), in whatever order they come. The threshold comes
/// from a sample where k is small beside N; rows in an order made to deceive it cost one more read on the CPU.
/// On a device it waits for the answer, and takes 16 B for each row that passes the threshold.
std::vector<candidate> top_k(const where& on, vector_view<const float> scores, index_t k);

}  // namespace poolwise
