// Where a call computes. None of these values brings a CUDA header with it.
#pragma once

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

struct CUstream_st;  // what cudaStream_t points to

namespace poolwise {

class mapped_pages;

/// On the host, with `threads` OpenMP threads; 0 means as many as OpenMP would take (OMP_NUM_THREADS). The
/// thread that comes out of a fork computes alone, whatever is asked: OpenMP's others stay in the parent.
struct cpu {
  int threads = 0;
  /// Files among the inputs whose pages are given back on the way (mapped_pages.hpp); null for none.
  mapped_pages* pages = nullptr;
};

/// On one CUDA device, in the order of `stream`. Every view of the call lies in memory that the device reads,
/// and the call may return before its results are ready; a call that returns picks waits for them.
struct cuda {
  int device = 0;
  CUstream_st* stream = nullptr;
  /// Bytes of device memory that the call may allocate for itself; 0 for all that is free.
  std::size_t memory = 0;
};

/// On CUDA devices, from arrays that stay in host memory. Tiles of rows travel through pinned buffers while
/// others are computed on, and rows are shared out over the devices; the call returns when its results are in
/// host memory. The same results for any number of devices and any size of tile.
struct offload {
  std::vector<int> devices = {0};
  /// Bytes of memory that the call may allocate on each device; 0 for all that is free. What does not fit is
  /// sent again.
  std::size_t memory = 0;
  /// What of a call no device does, and what reads the rows that travel.
  cpu host = {};
};

using where = std::variant<cpu, cuda, offload>;

/// The CPU that takes part in a call: `on` itself, or what stands beside the devices.
cpu host_of(const where& on);

/// Reads "cpu", "cuda" (device 0), "cuda:1", "cuda:0,2" or "cuda:all", or "auto": all devices, or the CPU where
/// there is none. Devices take rows from host memory and may allocate `memory` bytes each; 0 for all that is
/// free. throws  value_error for another text; no_cuda_error, in the name of `option`, for a device that is not
/// there.
where parse_where(const std::string& text, cpu host = {}, std::size_t memory = 0,
                  const char* option = "device");

/// throws value_error for a text that parse_where does not read. Asks the machine for nothing.
void check_where(const std::string& text);

/// The CPU that `on` names; throws no_cuda_error, in the name of `call`, when it names a device, for a call
/// that has no kernel for one. Nothing moves to another device silently.
cpu require_cpu(const where& on, const char* call);

/// Throws no_cuda_error, in the name of `call`, when `on` names a device and this build was made without CUDA.
void require_build_for(const where& on, const char* call);

/// Whether this build has the CUDA kernels.
extern const bool built_with_cuda;

}  // namespace poolwise
