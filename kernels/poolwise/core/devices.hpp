// The CUDA devices of this machine, as the CUDA runtime sees them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace poolwise {

struct cuda_device {
  int index = 0;  ///< what cuda{index} names
  std::string name;
  int capability_major = 0, capability_minor = 0;
  std::size_t memory_bytes = 0;
  std::size_t free_bytes =
      0;  ///< now; 0 where nobody asked, or the device lets nobody in, as under another's exclusive use
  int multiprocessors = 0;
};

struct cuda_status {
  std::vector<cuda_device> devices;
  std::string missing;  ///< why there is none and what to do; empty where there is one
};

/// Never throws for want of a GPU: a build without CUDA, no driver and no device are reasons, in `missing`.
/// A device that does not answer is left out.
/// free_memory  whether each is asked how much of its memory is free: that makes a context on every device (a
/// second
///              or so, and some hundred MiB of it until the process ends) and leaves the current device as it
///              was
cuda_status list_cuda_devices(bool free_memory = false);

}  // namespace poolwise
