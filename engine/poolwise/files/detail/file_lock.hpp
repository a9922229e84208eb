// One process at a time at a file. Not part of the public interface.
#pragma once

#include <filesystem>
#include <string>

#include "poolwise/files/detail/temporary.hpp"

namespace poolwise {

/// Holds `.NAME.lock` beside `file`, from the constructor to the destructor, which removes it. The system lets
/// it go when the process ends, however it ends. Where the file system has no locks nobody is kept off. throws
/// conflict_error in the name of `call` while another process holds it, or another part of this one; io_error.
class file_lock {
 public:
  file_lock(const char* call, const std::filesystem::path& file);

 private:
  temporary_file lock_;
};

}  // namespace poolwise
