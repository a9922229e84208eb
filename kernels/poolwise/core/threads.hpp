// Threads that the system gives.
#pragma once

namespace poolwise {

/// How many of `wanted` threads the process can have at once, the calling one included: at least 1. It starts
/// and ends them, which takes some 20 us each: OpenMP ends the process where it cannot have those it is told to
/// take.
int threads_to_be_had(int wanted);

}  // namespace poolwise
