// Whether the CUDA drivers (*_cuda.cpp, *.cu) are part of this build.
#pragma once

namespace poolwise {

/// A call of a CUDA driver stands under `if constexpr (has_cuda)`: a discarded statement needs no definition of
/// what it names, so a build without CUDA links without a stub for each driver.
#ifdef POOLWISE_HAS_CUDA
inline constexpr bool has_cuda = true;
#else
inline constexpr bool has_cuda = false;
#endif

}  // namespace poolwise
