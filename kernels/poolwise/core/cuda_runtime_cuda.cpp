#include "poolwise/core/detail/cuda_runtime.hpp"

#include <cuda.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "poolwise/core/detail/device_memory_cuda.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/device_memory.hpp"
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

// Whether the device has the context that its runtime works in. Where the driver cannot be asked: yes.
bool has_context(int device) {
  using ask = CUresult (*)(CUdevice, unsigned*, int*);
  static const auto state_of = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult how{};
#if CUDART_VERSION >= 12050
    const auto asked =
        cudaGetDriverEntryPointByVersion("cuDevicePrimaryCtxGetState", &found, 7000, cudaEnableDefault, &how);
#else
    const auto asked = cudaGetDriverEntryPoint("cuDevicePrimaryCtxGetState", &found, cudaEnableDefault, &how);
#endif
    if (asked != cudaSuccess) forget();
    return asked == cudaSuccess && how == cudaDriverEntryPointSuccess ? reinterpret_cast<ask>(found) : nullptr;
  }();
  unsigned flags = 0;
  int active = 1;
  return state_of == nullptr || state_of(device, &flags, &active) != CUDA_SUCCESS || active != 0;
}

// As where CPU and GPU share their page tables.
bool reads_pageable_memory(int device) {
  int reads = 0;
  if (cudaDeviceGetAttribute(&reads, cudaDevAttrPageableMemoryAccess, device) != cudaSuccess) forget();
  return reads != 0;
}

// A pool a device, made when first asked for. They are never destroyed: at exit the driver may have gone before
// them.
class memory_pools {
 public:
  cudaMemPool_t of(int device, const char* call) {
    const std::lock_guard lock(mutex_);
    cudaMemPool_t& pool = pools_[device];
    if (pool != nullptr) return pool;
    cudaMemPoolProps wanted{};
    wanted.allocType = cudaMemAllocationTypePinned;
    wanted.location = {cudaMemLocationTypeDevice, device};
    check(cudaMemPoolCreate(&pool, &wanted), call, "making a memory pool");
    std::uint64_t keep = UINT64_MAX;
    check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), call,
          "setting the memory pool's release threshold");
    return pool;
  }

  void trim() {
    const std::lock_guard lock(mutex_);
    for (const auto& [device, pool] : pools_)
      if (pool != nullptr && cudaMemPoolTrimTo(pool, 0) != cudaSuccess) forget();
  }

 private:
  std::mutex mutex_;
  std::map<int, cudaMemPool_t> pools_;
};

memory_pools& pools() {
  static auto* const all = new memory_pools;
  return *all;
}

std::mutex allocator_mutex;
device_allocator application;  // guarded by it

device_allocator current_allocator() {
  const std::lock_guard lock(allocator_mutex);
  return application;
}

// What the pool of the device holds without using it: ours to take, though the driver does not call it free.
std::size_t idle_bytes(cudaMemPool_t pool) {
  std::uint64_t reserved = 0, used = 0;
  if (pool == nullptr ||
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
  if (!has_context(before_)) return;
  if (cudaSetDevice(before_) != cudaSuccess) forget();
}

device_memory::device_memory(const cuda& on, const char* call)
    : call_(call), device_(on.device), stream_(on.stream), ceiling_(on.memory), from_(current_allocator()) {
  if (from_.allocate == nullptr) pool_ = pools().of(device_, call_);
}

std::size_t device_memory::left() const {
  if (ceiling_ > 0) return ceiling_ > used_ ? ceiling_ - used_ : 0;
  return free_bytes() + idle_bytes(pool_);
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
  if (from_.allocate != nullptr) {
    data = from_.allocate(bytes, device_, stream_, from_.context);
    if (data == nullptr) refuse("the application's allocator has not as much; free memory, or set a ceiling");
    used_ += bytes;
    return data;
  }
  const cudaError_t result = cudaMallocFromPoolAsync(&data, bytes, pool_, stream_);
  if (result == cudaErrorMemoryAllocation) {
    forget();
    refuse(std::to_string(free_bytes() + idle_bytes(pool_)) + " are free, the ceiling is " + ceiling +
           "; free memory, or set a ceiling to work in smaller tiles");
  }
  check(result, call_, "allocating device memory");
  used_ += bytes;
  return data;
}

void device_memory::release(void* data, std::size_t bytes) noexcept {
  used_ -= bytes;
  if (from_.release != nullptr) return from_.release(data, bytes, device_, stream_, from_.context);
  if (cudaFreeAsync(data, stream_) == cudaSuccess) return;
  forget();  // the caller has destroyed the stream; what was queued there need not have ended
  if (cudaDeviceSynchronize() != cudaSuccess || cudaFree(data) != cudaSuccess) forget();
}

void use_allocator_cuda(const device_allocator& to) {
  const std::lock_guard lock(allocator_mutex);
  application = to;
}

void trim_pools_cuda() { pools().trim(); }

void require_reachable_cuda(const where& on, const char* call, std::initializer_list<named_memory> all) {
  const auto* const device = std::get_if<cuda>(&on);
  const auto* const devices = std::get_if<offload>(&on);
  if (devices != nullptr && devices->devices.empty()) return;
  const current_device here(device != nullptr ? device->device : devices->devices.front(),
                            call);  // no other opens
  for (const named_memory& memory : all) {
    if (memory.data == nullptr) continue;
    cudaPointerAttributes found{};
    check(cudaPointerGetAttributes(&found, memory.data), call, "asking where an argument lies");
    const auto refuse = [&](const std::string& why) {
      throw value_error(std::string(call) + ": " + memory.argument + " " + why);
    };
    const bool on_device = found.type == cudaMemoryTypeDevice;
    if (device == nullptr && on_device)
      refuse("lies on device " + std::to_string(found.device) + ", but offload takes host memory; pass cuda{" +
             std::to_string(found.device) + "}, or copy it to the host");
    if (device != nullptr && on_device && found.device != device->device)
      refuse("lies on device " + std::to_string(found.device) + ", the call is for device " +
             std::to_string(device->device) + "; copy it there, or name its device");
    if (device != nullptr && found.type == cudaMemoryTypeUnregistered && !reads_pageable_memory(device->device))
      refuse("lies in host memory, which device " + std::to_string(device->device) +
             " does not read; copy it to the device, or pass offload{}");
  }
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
  if (stream_ == nullptr) return;
  if (cudaStreamSynchronize(stream_) != cudaSuccess) forget();
  if (cudaStreamDestroy(stream_) != cudaSuccess) forget();
}

event::event(const char* call) : call_(call) {
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming | cudaEventBlockingSync), call,
        "making an event");
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
