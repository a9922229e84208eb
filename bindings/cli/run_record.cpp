#include "run_record.hpp"

#include <omp.h>

#include "cli.hpp"
#include "poolwise/core/cpu_info.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise::cli {

std::vector<std::pair<std::string, std::string>> environment(const std::string& seeds, double seconds) {
  return {{"Poolwise", POOLWISE_VERSION},
          {"Compiler", POOLWISE_COMPILER},
          {"Processor", cpu_name()},
          {"SIMD", simd_target()},
          {"Threads", std::to_string(omp_get_max_threads())},
          {"Seeds", seeds},
          {"Time in all", human_seconds(seconds)}};
}

void write_json(const std::filesystem::path& file, const std::string& command,
                const nlohmann::ordered_json& body) {
  write_text(file, json_text(command, body));
}

}  // namespace poolwise::cli
