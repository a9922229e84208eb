#include "poolwise/core/where.hpp"

#include <algorithm>
#include <sstream>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/devices.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

// The 0, 2 and 3 of "cuda:0,2,3"; none if that is not what it says.
std::vector<int> indices_of(const std::string& text) {
  if (text.rfind("cuda:", 0) != 0 || text.back() == ',') return {};
  std::vector<int> indices;
  std::istringstream list(text.substr(5));
  for (std::string index; std::getline(list, index, ',');) {
    if (index.empty() || index.size() > 3 || index.find_first_not_of("0123456789") != std::string::npos)
      return {};
    indices.push_back(std::stoi(index));
  }
  return indices;
}

// The devices that `text` names; none for a word.
std::vector<int> named_devices(const std::string& text) {
  for (const char* word : {"cpu", "auto", "cuda", "cuda:all"})
    if (text == word) return {};
  const auto indices = indices_of(text);
  if (indices.empty())
    throw value_error("\"" + text + "\" is no device; use cpu, cuda, cuda:1, cuda:0,1, cuda:all or auto");
  auto sorted = indices;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    throw value_error("\"" + text + "\" names a device twice; name each once");
  return indices;
}

}  // namespace

const bool built_with_cuda = has_cuda;

cpu host_of(const where& on) {
  if (const auto* host = std::get_if<cpu>(&on)) return *host;
  const auto* devices = std::get_if<offload>(&on);
  return devices != nullptr ? devices->host : cpu{};
}

void check_where(const std::string& text) { named_devices(text); }

where parse_where(const std::string& text, cpu host, std::size_t memory, const char* option) {
  std::vector<int> devices = named_devices(text);
  if (text == "cpu" || (text == "auto" && !has_cuda)) return host;
  require_build_for(offload{}, option);
  const std::string named = std::string(option) + " " + text;
  const cuda_status found = list_cuda_devices();
  std::vector<int> present;
  for (const cuda_device& d : found.devices) present.push_back(d.index);
  if (text == "auto" && present.empty()) return host;
  if (present.empty()) throw no_cuda_error(named + ": " + found.missing);
  if (text == "auto" || text == "cuda:all") devices = present;
  if (text == "cuda") devices = {0};
  for (const int index : devices)
    if (std::find(present.begin(), present.end(), index) == present.end())
      throw no_cuda_error(named + ": there is no cuda:" + std::to_string(index) +
                          "; `poolwise devices` lists those that there are");
  return offload{devices, memory, host};
}

cpu require_cpu(const where& on, const char* call) {
  if (const auto* host = std::get_if<cpu>(&on)) return *host;
  require_build_for(on, call);
  throw no_cuda_error(std::string(call) +
                      ": asked of a CUDA device, but it has no CUDA kernel; compute on the CPU");
}

void require_build_for(const where& on, const char* call) {
  if (has_cuda || std::holds_alternative<cpu>(on)) return;
  throw no_cuda_error(
      std::string(call) +
      ": asked of a CUDA device, but this build has no CUDA kernels; compute on the CPU, or configure with "
      "-DPOOLWISE_CUDA=ON where the CUDA toolkit is installed");
}

}  // namespace poolwise
