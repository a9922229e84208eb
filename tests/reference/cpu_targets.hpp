// Every instruction set the kernels are compiled for, forced in turn.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdint>

namespace reference {

/// Calls `body` once for each instruction set that this machine has.
template <class Body>
void for_each_cpu_target(Body&& body) {
#if HWY_ARCH_X86
  const std::int64_t targets[] = {HWY_AVX3 | HWY_AVX3_DL, HWY_AVX3, HWY_AVX2, HWY_SCALAR};
#else
  const std::int64_t targets[] = {HWY_NEON, HWY_SCALAR};
#endif
  const std::int64_t supported = hwy::SupportedTargets() | HWY_SCALAR;
  for (const std::int64_t target : targets) {
    if ((supported & target) != target) continue;
    SCOPED_TRACE(hwy::TargetName(target & -target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().DeInit();
}

}  // namespace reference
