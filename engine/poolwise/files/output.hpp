// Files that are written whole or not at all.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Bytes on their way to `target`. They gather in a temporary file beside it (`.NAME.PID-COUNTER.tmp`), which
/// `commit` syncs and renames; a file dropped without `commit`, by an exception or by a signal (see
/// `clean_up_on_signals`), leaves nothing and the old target untouched. A process that is killed outright
/// leaves the temporary file, which the next output to the same target removes. A replaced target keeps its
/// mode, and its owner and group where the process may give them; one that may not be written is refused. A
/// symbolic link stays and what it names is replaced; other hard links keep the old file. A target that cannot
/// be replaced (a mount, a file in a folder that may not be written) is written over in place by `commit`,
/// which tells the listener of `on_output_note`. A target that is not a regular file (a device, a pipe) is
/// written directly; "-" and /dev/stdout are standard output, wherever that leads. throws io_error that names
/// the file and the reason, at the first write that fails or in `commit`; for more than 128 unfinished outputs
/// at a time; for a write after `commit`.
class output_file {
 public:
  explicit output_file(const std::filesystem::path& target);
  ~output_file();
  output_file(output_file&&) noexcept;
  output_file& operator=(output_file&&) = delete;

  void write(std::string_view bytes);
  void write(const void* bytes, std::size_t size);
  void commit();

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// `tell` hears, in a line, of an output that is written but not as it should be, once of each. None by
/// default.
void on_output_note(void (*tell)(const std::string& note));

/// The open descriptor that a name stands for: "-", /dev/stdout, /dev/fd/3.
std::optional<int> open_descriptor(const std::filesystem::path& target);

/// The file that an output named `target` is: where links lead, to a file that need not exist.
std::filesystem::path written_file(const std::filesystem::path& target);

/// What stdio still holds. throws io_error if standard output has lost anything.
void flush_standard_output();

void write_text(const std::filesystem::path& target, std::string_view text);

/// An array as .npy version 1.0; open_npy() is its counterpart.
void write_npy(const std::filesystem::path& target, vector_view<const float> values);
void write_npy(const std::filesystem::path& target, matrix_view<const float> values);
void write_npy(const std::filesystem::path& target, vector_view<const std::int64_t> values);
void write_npy(const std::filesystem::path& target, vector_view<const std::int32_t> values);

}  // namespace poolwise
