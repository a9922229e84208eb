// What device_memory.hpp says, in a build with CUDA.
#pragma once

#include "poolwise/core/device_memory.hpp"

namespace poolwise {

void use_allocator_cuda(const device_allocator& to);
void trim_pools_cuda();

}  // namespace poolwise
