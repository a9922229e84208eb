#include "poolwise/core/detail/launch.cuh"
#include "poolwise/distance/detail/exclude_pairs_cuda.hpp"
#include "poolwise/distance/detail/exclusion.cuh"

namespace poolwise {
namespace {

using tuning = exclusion_tuning;
constexpr auto kernel = exclude_by_bf16_kernel<tuning>;
constexpr int ring_bytes = exclusion<tuning>::ring_bytes;

}  // namespace

bool ready_to_exclude(const char* call) {
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, kernel), call, "asking about a kernel");
  if (attributes.ptxVersion < 80) return false;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, ring_bytes), call,
        "asking for shared memory");
  return true;
}

index_t most_listed_tiles(index_t rows, index_t centers) {
  return grid_of(rows, tuning::rows) * (tuning::rows / listed_edge) * grid_of(centers, tuning::centers) *
         (tuning::centers / listed_edge);
}

void exclude_pairs(const device_memory& memory, const exclusion_job& job, int multiprocessors) {
  const index_t across = grid_of(job.rows, tuning::rows), deep = grid_of(job.centers, tuning::centers);
  const dim3 grid(unsigned(across), unsigned(std::clamp<index_t>(2 * multiprocessors / across, 1, deep)));
  launch(memory.call(), "exclude_by_bf16_kernel", {grid, tuning::rows, ring_bytes, memory.stream()}, kernel,
         job);
}

}  // namespace poolwise
