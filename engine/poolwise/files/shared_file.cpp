#include "poolwise/files/shared_file.hpp"

#include "poolwise/core/error.hpp"

namespace poolwise {

std::filesystem::path command_folder() {
  std::error_code failed;
  const auto command = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? std::filesystem::current_path() : command.parent_path();
}

std::filesystem::path find_shared_file(const char* call, const std::filesystem::path& folder,
                                       const std::string& name, const std::string& advice) {
  std::string tried;
  for (const auto* base : {"..", ""}) {
    const auto place = (folder / base / "share/poolwise" / name).lexically_normal();
    std::error_code ignored;
    if (std::filesystem::is_regular_file(place, ignored)) return place;
    tried += (tried.empty() ? "" : " or ") + place.string();
  }
  throw io_error(std::string(call) + ": there is no file " + tried + "; " + advice);
}

}  // namespace poolwise
