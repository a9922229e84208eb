// A selection that survives its process: what it has picked so far, in a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise {

/// 64 bits of all that the picks of `select` depend on: every value of the inputs, the limits, the strategy,
/// the seed, and whether devices compute. Reads the inputs once. Not for telling friend from foe.
std::uint64_t fingerprint(const where& on, const pool_inputs& pool, const selection_request& request);

/// The file of one selection. It is replaced as a whole: whenever the process ends, a whole state is there, or
/// none yet.
class checkpoint {
 public:
  /// `fingerprint` says of which selection.
  checkpoint(std::filesystem::path file, std::uint64_t fingerprint);

  /// The state in the file; nothing where there is no file.
  /// throws value_error for that of another selection; format_error for what `write` did not write; io_error.
  std::optional<batch_state> read() const;

  /// throws io_error.
  void write(const batch_state& state) const;

  /// The selection is over, and its result is safe.
  void remove() const;

 private:
  std::filesystem::path file_;
  std::uint64_t fingerprint_;
};

}  // namespace poolwise
