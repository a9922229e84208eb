// Outputs that would destroy an input, or each other.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace poolwise::cli {

/// Whether the option takes files or folders, by what its help calls them.
bool names_files(const CLI::Option& option);

/// A file that a command is going to write, and the option that says so.
struct output_name {
  std::string option;
  std::filesystem::path file;
};

/// throws CLI::ValidationError where two of `outputs`, or one and an input of the command, are the same file,
/// by whatever names and links.
void require_own_files(const CLI::App& command, const std::vector<output_name>& outputs);

/// The same for --out and --checkpoint, where these are files, and for standard output beside the inputs.
void require_own_files(const CLI::App& command);

}  // namespace poolwise::cli
