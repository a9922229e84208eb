// Files that come with Poolwise, in share/poolwise.
#pragma once

#include <filesystem>
#include <string>

namespace poolwise {

/// The folder of the running command; the working folder where the system does not tell.
std::filesystem::path command_folder();

/// share/poolwise/`name` beside `folder` or in it: an installed Poolwise, or its build tree.
/// throws io_error in the name of `call` that says where it looked, and `advice`.
std::filesystem::path find_shared_file(const char* call, const std::filesystem::path& folder,
                                       const std::string& name, const std::string& advice);

}  // namespace poolwise
