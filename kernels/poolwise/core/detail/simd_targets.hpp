// Which instruction sets Highway compiles our kernels for. Include before any Highway header.
//
// The kernels promise the same bits on every target, so a target takes part only if its multiply-add rounds
// once, as std::fma does. AVX-512, AVX2 and NEON have that in hardware, the scalar fallback takes std::fma.
// The SSE and WebAssembly targets round twice. SVE and RVV have no vector size at compile time, on which the
// row tiles stand.
#pragma once

#ifdef HIGHWAY_HWY_DETECT_TARGETS_H_
#error "poolwise/core/detail/simd_targets.hpp must come before the Highway headers"
#endif

#define HWY_DISABLED_TARGETS                                                                     \
  (HWY_SSSE3 | HWY_SSE4 | HWY_SVE | HWY_SVE_256 | HWY_SVE2 | HWY_SVE2_128 | HWY_RVV | HWY_WASM | \
   HWY_WASM_EMU256)
