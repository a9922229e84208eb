#include "poolwise/core/detail/cuda_runtime.hpp"

#include <cstdint>
#include <string>

#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

// An error of ours must not be the next thing that the caller's cudaGetLastError finds.
void forget() { cudaGetLastError(); }

std::string named(const char* call, const std::string& what) { return std::string(call) + ": " + what; }

std::size_t free_bytes() {
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) forget();
  return free;
}

// What the pool of the device holds without using it: ours to take, though the driver does not call it free.
std::size_t idle_bytes(int device) {
  cudaMemPool_t pool = nullptr;
  std::uint64_t reserved = 0, used = 0;
  if (cudaDeviceGetDefaultMemPool(&pool, device) != cudaSuccess ||
      cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &reserved) != cudaSuccess ||
      cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used) != cudaSuccess) {
    forget();
    return 0;
  }
  return std::size_t(reserved - used);
}

}  // namespace

void check(cudaError_t result, const char* call, const char* doing) {
  if (result == cudaSuccess) return;
  forget();
  const std::string message = named(
      call, std::string(doing) + " failed: " + cudaGetErrorName(result) + ", " + cudaGetErrorString(result));
  if (result == cudaErrorMemoryAllocation) throw memory_error(message);
  throw cuda_error(message);
}

current_device::current_device(int device, const char* call) {
  check(cudaGetDevice(&before_), call, "asking for the current device");
  if (device == before_) return;
  const std::string doing = "choosing device " + std::to_string(device);
  check(cudaSetDevice(device), call, doing.c_str());
}

current_device::~current_device() {
  if (cudaSetDevice(before_) != cudaSuccess) forget();
}

device_memory::device_memory(const cuda& on, const char* call)
    : call_(call), device_(on.device), stream_(on.stream), ceiling_(on.memory) {
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetDefaultMemPool(&pool, device_), call_, "finding the device's memory pool");
  std::uint64_t keep = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), call_,
        "setting the memory pool's release threshold");
}

std::size_t device_memory::left() const {
  if (ceiling_ > 0) return ceiling_ > used_ ? ceiling_ - used_ : 0;
  return free_bytes() + idle_bytes(device_);
}

void* device_memory::allocate(std::size_t bytes) {
  const auto refuse = [&](const std::string& why) {
    throw memory_error(named(call_, "device " + std::to_string(device_) + " was asked for " +
                                        std::to_string(bytes) + " bytes beside " + std::to_string(used_) +
                                        " in use; " + why));
  };
  const std::string ceiling = ceiling_ > 0 ? std::to_string(ceiling_) : "none";
  if (ceiling_ > 0 && bytes > ceiling_ - std::min(ceiling_, used_))
    refuse("the ceiling is " + ceiling + ", " + std::to_string(free_bytes()) + " are free; raise the ceiling");
  void* data = nullptr;
  const cudaError_t result = cudaMallocAsync(&data, bytes, stream_);
  if (result == cudaErrorMemoryAllocation) {
    forget();
    refuse(std::to_string(free_bytes() + idle_bytes(device_)) + " are free, the ceiling is " + ceiling +
           "; free memory, or set a ceiling to work in smaller tiles");
  }
  check(result, call_, "allocating device memory");
  used_ += bytes;
  return data;
}

void device_memory::release(void* data, std::size_t bytes) noexcept {
  if (cudaFreeAsync(data, stream_) != cudaSuccess) forget();
  used_ -= bytes;
}

void* allocate_pinned(std::size_t bytes, const char* call) {
  void* data = nullptr;
  const cudaError_t result = cudaMallocHost(&data, bytes);
  if (result == cudaErrorMemoryAllocation) {
    forget();
    throw memory_error(
        named(call, "the host was asked for " + std::to_string(bytes) +
                        " bytes of pinned memory and has not as much; free memory, or set a ceiling "
                        "to work in smaller tiles"));
  }
  check(result, call, "allocating pinned host memory");
  return data;
}

void free_pinned(void* data) noexcept {
  if (cudaFreeHost(data) != cudaSuccess) forget();
}

own_stream::own_stream(const char* call) {
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), call, "making a stream");
}

own_stream::~own_stream() {
  if (stream_ != nullptr && cudaStreamDestroy(stream_) != cudaSuccess) forget();
}

event::event(const char* call) : call_(call) {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), call, "making an event");
}

event::~event() {
  if (event_ != nullptr && cudaEventDestroy(event_) != cudaSuccess) forget();
}

void event::record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), call_, "recording an event"); }

void event::wait() const { check(cudaEventSynchronize(event_), call_, "waiting for the device"); }

void event::hold(cudaStream_t stream) const {
  check(cudaStreamWaitEvent(stream, event_, 0), call_, "ordering two streams");
}

}  // namespace poolwise
