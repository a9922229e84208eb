// The occupancy of kernels on chips that are not here. Each line of the input holds a compute capability (90),
// the threads of a block, its registers a thread and its static and dynamic shared memory; each line of the
// output the share of a multiprocessor's threads that the kernel can occupy.
#include <cuda_occupancy.h>

#include <iostream>

int main() {
  int capability = 0, threads = 0, registers = 0;
  std::size_t static_shared = 0, dynamic_shared = 0;
  while (std::cin >> capability >> threads >> registers >> static_shared >> dynamic_shared) {
    // CUDA programming guide, "Technical Specifications per Compute Capability": alike on all server chips but
    // for the shared memory, of which a block cannot have the KiB that the system keeps.
    cudaOccDeviceProp chip;
    chip.computeMajor = capability / 10;
    chip.computeMinor = capability % 10;
    chip.maxThreadsPerBlock = 1024;
    chip.maxThreadsPerMultiprocessor = 2048;
    chip.regsPerBlock = chip.regsPerMultiprocessor = 64 * 1024;
    chip.warpSize = 32;
    chip.sharedMemPerMultiprocessor = std::size_t(capability >= 90 ? 228 : 164) * 1024;
    chip.reservedSharedMemPerBlock = 1024;
    chip.sharedMemPerBlockOptin = chip.sharedMemPerMultiprocessor - chip.reservedSharedMemPerBlock;
    chip.sharedMemPerBlock = 48 * 1024;
    chip.numSms = 108;

    cudaOccFuncAttributes kernel;
    kernel.maxThreadsPerBlock = threads;
    kernel.numRegs = registers;
    kernel.sharedSizeBytes = static_shared;
    kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
    kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    kernel.maxDynamicSharedSizeBytes = chip.sharedMemPerBlockOptin - static_shared;
    kernel.numBlockBarriers = 1;
    const cudaOccDeviceState state;
    cudaOccResult result;
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &chip, &kernel, &state, threads, dynamic_shared) !=
        CUDA_OCC_SUCCESS)
      return 1;
    std::cout << double(result.activeBlocksPerMultiprocessor * threads) / chip.maxThreadsPerMultiprocessor
              << '\n';
  }
}
