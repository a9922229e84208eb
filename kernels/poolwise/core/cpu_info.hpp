// The host's processor, for people and for records of runs.
#pragma once

#include <string>

namespace poolwise {

/// The processor's name as the system gives it; "unknown" where it gives none.
std::string cpu_name();

/// The SIMD instructions that the kernels will be dispatched to, such as "AVX3" (AVX-512) or "AVX2".
std::string simd_target();

}  // namespace poolwise
