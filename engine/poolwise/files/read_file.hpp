// Files that are read whole, and whether mapped ones are as they were.
#pragma once

#include <filesystem>
#include <string>

namespace poolwise {

/// Reads everything there is, also from a pipe. throws io_error in the name of `call`.
std::string read_file(const char* call, const std::filesystem::path& file);

/// throws value_error in the name of `call` if a file that is mapped now has been written to since.
void require_unchanged_files(const char* call);

}  // namespace poolwise
