// Where a call computes. Both values are tiny; neither brings a CUDA header with it.
#pragma once

#include <variant>

struct CUstream_st;  // what cudaStream_t points to

namespace poolwise {

/// On the host, with `threads` OpenMP threads; 0 means as many as OpenMP would take (OMP_NUM_THREADS).
struct cpu {
  int threads = 0;
};

/// On a CUDA device, in the order of `stream`; the call may return before its results are ready.
struct cuda {
  int device = 0;
  CUstream_st* stream = nullptr;
};

using where = std::variant<cpu, cuda>;

/// The CPU that `on` names; throws no_cuda_error, in the name of `call`, when it names a device that
/// this build has no kernel for. Nothing moves to another device silently.
cpu require_cpu(where on, const char* call);

}  // namespace poolwise
