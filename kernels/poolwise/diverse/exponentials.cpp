#include "poolwise/diverse/detail/exponentials.hpp"

#include <algorithm>

#include "poolwise/core/detail/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/diverse/exponentials.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/core/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {

HWY_INLINE void exp_lanes(float scale, float* x) {
  const floats_tag d;
  hn::StoreU(exp_clamped(clamp_exponent(hn::Mul(all(scale), hn::LoadU(d, x)))), d, x);
}

void exp_all(float scale, float* x, index_t size) {
  index_t i = 0;
  for (; i + lanes <= size; i += lanes) exp_lanes(scale, x + i);
  if (i == size) return;
  float last[lanes] = {};
  std::copy(x + i, x + size, last);
  exp_lanes(scale, last);
  std::copy_n(last, size - i, x + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {

HWY_EXPORT(exp_all);

void exponentials(float scale, float* x, index_t size) { HWY_DYNAMIC_DISPATCH(exp_all)(scale, x, size); }

}  // namespace poolwise
#endif
