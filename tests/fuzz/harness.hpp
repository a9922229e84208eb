// What the harnesses share. Each defines LLVMFuzzerTestOneInput: an input may be refused by a poolwise::error,
// and whatever else ends the process is a finding.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

#include "poolwise/core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace poolwise::fuzz {

/// Ends the run where a promise is broken.
inline void require(bool kept, const char* promise) {
  if (!kept) throw std::logic_error(std::string("broken: ") + promise);
}

/// Whether `read` gave something rather than refuse.
template <class Read>
bool accepted(Read read) {
  try {
    read();
    return true;
  } catch (const error& problem) {
    require(*problem.what() != '\0', "a refusal says why");
    return false;
  }
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Takes the first byte off, as a number below `count`: in a corpus it is a digit or a letter.
inline std::size_t take_choice(std::string_view& input, std::size_t count) {
  if (input.empty()) return 0;
  const std::size_t choice = (static_cast<unsigned char>(input.front()) - std::size_t{'0'}) % count;
  input.remove_prefix(1);
  return choice;
}

/// The folder of this process's files, in memory where the system has such a place.
class folder {
 public:
  folder() {
    const bool in_memory = ::access("/dev/shm", W_OK) == 0;
    std::string name = ((in_memory ? "/dev/shm" : std::filesystem::temp_directory_path()) / "poolwise-XXXXXX");
    require(::mkdtemp(name.data()) != nullptr, "a folder for files");
    path_ = name;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() { std::filesystem::remove_all(path_); }

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// A file with these bytes, at the place where the last one of this ending was.
inline std::filesystem::path file_of(std::string_view bytes, const std::string& ending) {
  static const folder files;
  const std::filesystem::path file = files / ("input" + ending);
  std::ofstream(file, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
  return file;
}

inline std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace poolwise::fuzz
