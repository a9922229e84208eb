#include "poolwise/core/where.hpp"

#include <string>

#include "poolwise/core/error.hpp"

namespace poolwise {

cpu require_cpu(where on, const char* call) {
  if (const auto* host = std::get_if<cpu>(&on)) return *host;
  throw no_cuda_error(std::string(call) +
                      ": asked of a CUDA device, but this build has no CUDA kernel for it; pass cpu{}");
}

}  // namespace poolwise
