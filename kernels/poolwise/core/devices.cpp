#include "poolwise/core/devices.hpp"

#ifdef POOLWISE_HAS_CUDA
#include <cuda_runtime_api.h>
#endif

namespace poolwise {

#ifdef POOLWISE_HAS_CUDA
namespace {

// An error of ours must not be the next thing that the caller's cudaGetLastError finds.
bool succeeds(cudaError_t result) {
  if (result != cudaSuccess) cudaGetLastError();
  return result == cudaSuccess;
}

std::size_t free_bytes_of(int index) {
  std::size_t free = 0, total = 0;
  return succeeds(cudaSetDevice(index)) && succeeds(cudaMemGetInfo(&free, &total)) ? free : 0;
}

const char* advice(cudaError_t why) {
  if (why == cudaErrorInsufficientDriver)
    return "install the NVIDIA driver, or a newer one (nvidia-smi prints its version)";
  if (why == cudaErrorNoDevice)
    return "check that nvidia-smi lists a GPU and that CUDA_VISIBLE_DEVICES does not hide it";
  return "check that nvidia-smi runs";
}

std::string reason(cudaError_t why) {
  return std::string("list_cuda_devices: the CUDA runtime finds no GPU: ") + cudaGetErrorString(why) + "; " +
         advice(why);
}

}  // namespace

cuda_status list_cuda_devices(bool free_memory) {
  cuda_status status;
  int count = 0, current = 0;
  cudaError_t result = cudaGetDeviceCount(&count);
  const bool restore = free_memory && succeeds(result) && succeeds(cudaGetDevice(&current));
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp found{};
    result = cudaGetDeviceProperties(&found, i);
    if (succeeds(result))
      status.devices.push_back({i, found.name, found.major, found.minor, found.totalGlobalMem,
                                free_memory ? free_bytes_of(i) : 0, found.multiProcessorCount});
  }
  if (restore) succeeds(cudaSetDevice(current));
  if (status.devices.empty()) status.missing = reason(result == cudaSuccess ? cudaErrorNoDevice : result);
  return status;
}

#else

cuda_status list_cuda_devices(bool) {
  return {.devices = {},
          .missing =
              "list_cuda_devices: this build has no CUDA runtime; it needs the CUDA toolkit 12.4 or newer, "
              "configure with -DPOOLWISE_CUDA=ON where that is installed"};
}

#endif

}  // namespace poolwise
