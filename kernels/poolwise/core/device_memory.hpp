// Where the memory comes from that calls allocate on CUDA devices, and how it is given back.
#pragma once

#include <cstddef>

struct CUstream_st;  // what cudaStream_t points to

namespace poolwise {

/// An application's own allocator, such as the caching one of PyTorch or a resource of RMM. Both functions are
/// called with the device current and must order their memory by the stream: what is allocated may be used at
/// once in that stream's order, and what is released while work on it is queued there may be given to no other
/// stream before that work has ended. Calls come from several threads.
struct device_allocator {
  /// `bytes` > 0 of memory of `device`, aligned to 256; null where there is none. Throws nothing.
  void* (*allocate)(std::size_t bytes, int device, CUstream_st* stream, void* context) = nullptr;
  void (*release)(void* data, std::size_t bytes, int device, CUstream_st* stream, void* context) = nullptr;
  void* context = nullptr;  ///< handed to both
};

/// Library-only. Calls allocate by `to` from now on; a default one puts Poolwise's own pools back. What was
/// allocated before is released to where it came from. throws value_error where one of the two functions is
/// missing.
void set_device_allocator(const device_allocator& to);

/// Gives back to the devices what Poolwise's own pools keep without using it: a pool keeps what calls free, so
/// that the next call does not wait for the driver. Memory that work still queued uses stays. Nothing to do
/// where no call has used a device, and in a build without CUDA.
void release_device_memory();

}  // namespace poolwise
