// A selection under way, in other row numbers.
#pragma once

#include <span>
#include <vector>

#include "poolwise/diverse/batch_run.hpp"

namespace poolwise {

/// The run of a selection among some rows, as part of a run among more: row i here is row numbers[i] there.
/// What leaves it, for a file say, speaks of the rows there.
class renumbered_run {
 public:
  /// outer    null for none
  /// numbers  ascending, kept by the caller; empty where the numbers are the same
  /// throws value_error where `outer` goes on from a row that is not among them.
  renumbered_run(batch_run* outer, std::span<const index_t> numbers);
  ~renumbered_run();
  renumbered_run(const renumbered_run&) = delete;
  renumbered_run& operator=(const renumbered_run&) = delete;

  /// What a kernel is given.
  batch_run* view() { return outer_ != nullptr ? &inner_ : nullptr; }

 private:
  batch_run* outer_;
  std::span<const index_t> numbers_;
  batch_run inner_;
};

}  // namespace poolwise
