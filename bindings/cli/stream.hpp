// poolwise stream.
#pragma once

#include <CLI/CLI.hpp>

namespace poolwise::cli {

void add_stream(CLI::App& app);

}  // namespace poolwise::cli
