// Errors. A message says, on one line, which call failed, what it got, what it needs and what to do.
#pragma once

#include <stdexcept>

namespace poolwise {

struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Sizes that do not fit each other.
struct shape_error : error {
  using error::error;
};

/// Numbers outside what the call is defined for: NaN, a negative cost, a row out of range.
struct value_error : error {
  using error::error;
};

/// A request that no data would make right: an unknown word, parts that contradict each other, one that is
/// missing.
struct usage_error : value_error {
  using value_error::value_error;
};

/// A file that is not what its format says.
struct format_error : error {
  using error::error;
};

/// The operating system refused: no such file, no space, no permission.
struct io_error : error {
  using error::error;
};

/// Another process is at it.
struct conflict_error : error {
  using error::error;
};

/// A budget that buys nothing.
struct budget_error : error {
  using error::error;
};

/// The caller's own program failed or did not answer.
struct command_error : error {
  using error::error;
};

/// CUDA was asked of a build, or of a call, that has none.
struct no_cuda_error : error {
  using error::error;
};

/// The CUDA runtime or cuBLAS refused: the message names the call, what was being done, and CUDA's own words.
struct cuda_error : error {
  using error::error;
};

/// A device has not the memory that a call needs: the message names the bytes asked for, those free, and the
/// ceiling.
struct memory_error : error {
  using error::error;
};

}  // namespace poolwise
