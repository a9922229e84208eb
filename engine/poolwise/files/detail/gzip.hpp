// Files that may be compressed by gzip. Not part of the public interface.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Reads a file front to back, decompressing what gzip wrote; other files as they are. throws, in the name of
/// `call`, io_error, and format_error for a damaged or truncated stream.
class gzip_reader {
 public:
  gzip_reader(const char* call, std::filesystem::path file);

  /// Fewer than `count` bytes only at the end of the file.
  index_t read(std::uint8_t* to, index_t count);

  /// All that is left. throws format_error where a line has many more than `longest_line` bytes, before it is
  /// read.
  std::string rest(index_t longest_line);

 private:
  struct closer {
    void operator()(gzFile file) const { ::gzclose(file); }
  };
  void require_sound(int got);

  const char* call_;
  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, closer> file_;
};

}  // namespace poolwise
