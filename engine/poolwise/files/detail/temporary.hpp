// Files that must not outlive their purpose. Not part of the public interface.
#pragma once

#include <sys/types.h>

#include <string>

#include "poolwise/files/detail/descriptor.hpp"

namespace poolwise {

struct temporary_slot;

/// A file under a name: unlinked by the destructor, and by a signal that ends the process
/// (`clean_up_on_signals`), unless it was renamed. throws io_error, about `name`, for more than 128 at a time.
class temporary_file {
 public:
  explicit temporary_file(const std::string& name);
  ~temporary_file();
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;

  /// Makes `path`, which must not be there, for reading and writing. Returns 0 or errno.
  int create(const std::string& path, mode_t mode);
  /// The file at `path` is open as `opened` and becomes temporary.
  int adopt(const std::string& path, descriptor opened);
  /// Returns 0 or errno; it is a temporary file no more if 0.
  int rename_to(const char* target);

  const char* path() const;
  descriptor file;

 private:
  temporary_slot* slot_;
};

}  // namespace poolwise
