#include "poolwise/core/device_memory.hpp"

#include "poolwise/core/detail/device_memory_cuda.hpp"
#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {

void set_device_allocator(const device_allocator& to) {
  if ((to.allocate == nullptr) != (to.release == nullptr))
    throw value_error("set_device_allocator: got one function of the two; pass allocate and release");
  if constexpr (has_cuda) use_allocator_cuda(to);
}

void release_device_memory() {
  if constexpr (has_cuda) trim_pools_cuda();
}

}  // namespace poolwise
