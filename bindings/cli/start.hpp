// What happens before main().
#pragma once

#include <optional>

namespace poolwise::cli {

/// Under a limit on memory (ulimit -v or -d) OpenBLAS, which asks for some for each thread as it is loaded, may
/// find none and spin. Before it is loaded, the command then starts anew with OMP_NUM_THREADS=1. This puts the
/// environment back, and says on how many threads it would have computed; nothing where it was not started
/// anew.
std::optional<int> threads_before_restart();

}  // namespace poolwise::cli
