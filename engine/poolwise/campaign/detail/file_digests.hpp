// Digests of files that have not been touched since they were read. Not part of the public interface.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace poolwise {

/// Where a campaign keeps what can be made again: digests of files, scores.
std::filesystem::path kept_in(const std::filesystem::path& folder);

/// By what the system tells one state of a file from another.
struct file_state {
  std::uint64_t device = 0, inode = 0, bytes = 0;
  std::int64_t changed_ns = 0, modified_ns = 0;  ///< since 1970

  friend bool operator==(const file_state&, const file_state&) = default;
};

/// Nothing for what is no regular file.
std::optional<file_state> state_of(const std::filesystem::path& file);

/// What was read of files, kept in a file beside them. It can be removed at any time: all is read again.
///
/// A file counts as untouched while its size, its place and both its times are what they were, and these are
/// older than the record, as git has it of its index: what is written within one tick of the clock is read
/// again. To change a file and put even its time of change back takes another clock, and `replay` reads all.
class file_digests {
 public:
  /// Of the campaign in `folder`.
  explicit file_digests(const std::filesystem::path& folder);

  /// The SHA-256 of the array `spec`, where its file is in this state and was read in it.
  std::optional<std::string> find(const std::string& spec, const file_state& now) const;
  void add(const std::string& spec, const file_state& state, const std::string& sha256);

  /// Nothing is lost where it cannot be written: then all is read again.
  void save() const noexcept;

 private:
  struct entry {
    file_state state;
    std::string sha256;
    bool settled = false;  // whether its times are older than the record
  };
  std::filesystem::path file_;
  std::map<std::string, entry> entries_;
  bool changed_ = false;
};

}  // namespace poolwise
