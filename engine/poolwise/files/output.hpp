// Files that are written whole or not at all.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Bytes on their way to `target`. They gather in a temporary file beside it (`.NAME.PID-COUNTER.tmp`), which
/// `commit` syncs and renames; a file dropped without `commit`, by an exception or by SIGINT or SIGTERM (see
/// `remove_unfinished_outputs_on_signals`), leaves nothing and the old target untouched. A process that is
/// killed outright leaves the temporary file. A replaced target keeps neither its mode nor its owner; one
/// that may not be written is refused. A symbolic link stays and what it names is replaced.
/// A target that is not a regular file (a device, a pipe) is written directly; "-" and /dev/stdout are
/// standard output, wherever that leads.
/// throws io_error that names the file and the reason, at the first write that fails or in `commit`; for more
/// than 128 unfinished outputs at a time; for a write after `commit`.
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

/// For a command's main(): SIGINT and SIGTERM unlink unfinished temporary files, then end the process as
/// the signal would have.
void remove_unfinished_outputs_on_signals();

void write_text(const std::filesystem::path& target, std::string_view text);

/// An array as .npy version 1.0; open_npy() is its counterpart.
void write_npy(const std::filesystem::path& target, vector_view<const float> values);
void write_npy(const std::filesystem::path& target, matrix_view<const float> values);
void write_npy(const std::filesystem::path& target, vector_view<const std::int64_t> values);
void write_npy(const std::filesystem::path& target, vector_view<const std::int32_t> values);

}  // namespace poolwise
