// poolwise devices: where this build can compute.
#include <omp.h>

#include <cstdio>
#include <memory>

#include "cli.hpp"
#include "poolwise/core/cpu_info.hpp"
#include "poolwise/core/devices.hpp"

namespace poolwise::cli {
namespace {

nlohmann::ordered_json as_json(const cuda_status& cuda_found) {
  nlohmann::ordered_json gpus = nlohmann::ordered_json::array();
  for (const cuda_device& d : cuda_found.devices)
    gpus.push_back(
        {{"index", d.index},
         {"name", d.name},
         {"capability", std::to_string(d.capability_major) + "." + std::to_string(d.capability_minor)},
         {"multiprocessors", d.multiprocessors},
         {"memory_bytes", d.memory_bytes},
         {"free_bytes", d.free_bytes}});
  return {{"cpu", {{"name", cpu_name()}, {"simd", simd_target()}, {"threads", omp_get_max_threads()}}},
          {"cuda", std::move(gpus)},
          {"cuda_missing", cuda_found.missing},
          {"kernels", built_with_cuda ? nlohmann::ordered_json{"cpu", "cuda"} : nlohmann::ordered_json{"cpu"}}};
}

void print_table(const cuda_status& cuda_found) {
  std::printf("cpu       %s, %s, %d threads\n", cpu_name().c_str(), simd_target().c_str(),
              omp_get_max_threads());
  for (const cuda_device& d : cuda_found.devices)
    std::printf("cuda:%-4d %s, compute capability %d.%d, %s of %s free\n", d.index, d.name.c_str(),
                d.capability_major, d.capability_minor, human_bytes(double(d.free_bytes)).c_str(),
                human_bytes(double(d.memory_bytes)).c_str());
  if (!cuda_found.missing.empty()) std::printf("cuda      none: %s\n", cuda_found.missing.c_str());
  if (!built_with_cuda) std::printf("This build's kernels run on the CPU; --device cuda is refused.\n");
}

}  // namespace

void add_devices(CLI::App& app) {
  auto common = std::make_shared<common_options>();
  CLI::App* command = app.add_subcommand("devices", "List where this build can compute, and why not elsewhere");
  add_common(*command, *common);
  command->footer("Example:\n  poolwise devices");
  command->callback([common] {
    common->on();
    if (common->json)
      print_json("devices", as_json(list_cuda_devices(true)));
    else
      print_table(list_cuda_devices(true));
  });
}

}  // namespace poolwise::cli
