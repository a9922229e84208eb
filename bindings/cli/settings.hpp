// Options from a TOML file and from the environment.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace poolwise::cli {

/// The arguments of the command line, last first as CLI11 takes them, after adding those options of the
/// sub-command that were not given there but stand in the environment (POOLWISE_BATCH for --batch) or, below
/// that, in the TOML file named by --config or POOLWISE_CONFIG: at its top level, or in a table named after the
/// sub-command (the outermost: [campaign]), which goes first. Files that the TOML file names lie from its
/// folder on. throws CLI::ParseError: no such file, not TOML, an option that no sub-command has, in the file or
/// the environment.
std::vector<std::string> with_settings(const CLI::App& app, int argc, char** argv);

}  // namespace poolwise::cli
