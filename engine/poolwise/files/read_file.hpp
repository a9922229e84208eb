// Files that are read whole.
#pragma once

#include <filesystem>
#include <string>

namespace poolwise {

/// Reads everything there is, also from a pipe. throws io_error in the name of `call`.
std::string read_file(const char* call, const std::filesystem::path& file);

}  // namespace poolwise
