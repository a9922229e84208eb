#include "poolwise/core/where.hpp"

#include <string>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {

const bool built_with_cuda = has_cuda;

cpu require_cpu(const where& on, const char* call) {
  if (const auto* host = std::get_if<cpu>(&on)) return *host;
  require_build_for(on, call);
  throw no_cuda_error(std::string(call) +
                      ": asked of a CUDA device, but it has no CUDA kernel; compute on the CPU");
}

void require_build_for(const where& on, const char* call) {
  if (has_cuda || std::holds_alternative<cpu>(on)) return;
  throw no_cuda_error(
      std::string(call) +
      ": asked of a CUDA device, but this build has no CUDA kernels; compute on the CPU, or configure with "
      "-DPOOLWISE_CUDA=ON where the CUDA toolkit is installed");
}

}  // namespace poolwise
