// Records of runs: where they ran, and their figures as a file.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace poolwise::cli {

/// Rows of a report's environment: this build, this machine, the seeds in words, the time that all took.
std::vector<std::pair<std::string, std::string>> environment(const std::string& seeds, double seconds);

/// Writes one JSON object, its schema first, as print_json prints it.
void write_json(const std::filesystem::path& file, const std::string& command,
                const nlohmann::ordered_json& body);

}  // namespace poolwise::cli
