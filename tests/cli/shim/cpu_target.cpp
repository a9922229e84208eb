// Preloaded into the command, it lets the kernels take the code of one instruction set: CPU_TARGET=avx2.
#include <hwy/targets.h>

#include <cstdlib>
#include <string_view>

namespace hwy {

int64_t SupportedTargets() {
  const char* const name = std::getenv("CPU_TARGET");
  const std::string_view wanted = name != nullptr ? name : "";
  std::int64_t targets = HWY_STATIC_TARGET | HWY_SCALAR | HWY_EMU128;
#if HWY_ARCH_X86
  if (wanted == "avx512_vnni") targets |= HWY_AVX3 | HWY_AVX3_DL;
  if (wanted == "avx512") targets |= HWY_AVX3;
  if (wanted == "avx2") targets |= HWY_AVX2;
  if (wanted == "sse4") targets |= HWY_SSE4;
#endif
  return targets;
}

}  // namespace hwy
