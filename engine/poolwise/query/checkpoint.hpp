// A selection that survives its process: what it has picked so far, in a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {

class file_lock;

/// 64 bits of all that the picks of a query depend on: its spec, every value of the pool, and whether devices
/// compute. Reads the pool once. Not for telling friend from foe.
std::uint64_t fingerprint(const where& on, const query& asked);

/// The file of one selection, whose rows are those of the pool. It is replaced as a whole: whenever the process
/// ends, a whole state is there, or none yet.
///
/// A symbolic link is written through. An empty file holds no state yet.
class checkpoint {
 public:
  /// `fingerprint` says of which selection.
  /// throws usage_error where the name is no place for a file (check_place).
  checkpoint(std::filesystem::path file, std::uint64_t fingerprint);

  /// Keeps other selections off the file, as long as this object lives.
  /// throws conflict_error while another one holds it; io_error.
  void lock();

  /// The state in the file; nothing where there is no file, or an empty one.
  /// throws value_error for that of another selection; format_error for what `write` did not write; io_error.
  std::optional<batch_state> read() const;

  /// throws io_error.
  void write(const batch_state& state) const;

  /// throws usage_error for "-", /dev/stdout, a folder, a device or a pipe; io_error for a name that cannot be
  /// looked up.
  static void check_place(const std::filesystem::path& file);

 private:
  std::filesystem::path file_;
  std::shared_ptr<const file_lock> lock_;
  std::uint64_t fingerprint_;
};

/// The selection is over, and its result is safe. A link stays, and a state that another selection holds.
void remove_checkpoint(const std::filesystem::path& file);

}  // namespace poolwise
