// Launches of kernels, whose failures are their own.
#pragma once

#include <cuda_runtime.h>

#include <string>
#include <type_traits>

#include "poolwise/core/detail/cuda_runtime.hpp"

namespace poolwise {

struct launch_shape {
  dim3 blocks;
  unsigned threads;
  std::size_t shared_bytes;
  cudaStream_t stream;
};

/// throws cuda_error, in the name of `call`, where this launch is refused; an error that the caller left behind
/// before stays where it is, which the <<<>>> of CUDA would have found.
template <class... Parameters>
void launch(const char* call, const char* kernel_name, const launch_shape& shape, void (*kernel)(Parameters...),
            std::type_identity_t<Parameters>... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = shape.blocks;
  config.blockDim = shape.threads;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = shape.stream;
  const cudaError_t result = cudaLaunchKernelEx(&config, kernel, arguments...);
  if (result != cudaSuccess) check(result, call, (std::string("launching ") + kernel_name).c_str());
}

}  // namespace poolwise
