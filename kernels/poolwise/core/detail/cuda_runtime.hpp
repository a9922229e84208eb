// The ground of every CUDA driver: errors as exceptions, and memory, streams and events that free themselves.
// Host code: messages are made in cuda_runtime_cuda.cpp, so that .cu files stay quick to compile.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "poolwise/core/device_memory.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// Throws cuda_error, "CALL: DOING failed: CUDA's words", unless `result` is success. memory_error where memory
/// ran out. The runtime's own record of the error is cleared, so that the caller's next cudaGetLastError does
/// not find it.
void check(cudaError_t result, const char* call, const char* doing);

/// Makes `device` current, and on leaving the one that was, if it has a context: going back to a device makes
/// one there, hundreds of megabytes that its other users would miss. throws cuda_error if there is no such
/// device.
class current_device {
 public:
  current_device(int device, const char* call);
  ~current_device();
  current_device(const current_device&) = delete;
  current_device& operator=(const current_device&) = delete;

 private:
  int before_ = 0;
};

/// `size` elements on a device, allocated and freed in the order of a stream. See device_memory.
template <class T>
class device_array;

/// The device memory that one call may use. Allocations are stream-ordered, from a pool of ours that keeps what
/// is freed until release_device_memory, so that a second call finds the memory of the first, or from the
/// application's allocator (device_memory.hpp); they count against the ceiling.
class device_memory {
 public:
  /// The device of `on` must be current. `call` is what errors are reported in the name of.
  device_memory(const cuda& on, const char* call);
  device_memory(const device_memory&) = delete;
  device_memory& operator=(const device_memory&) = delete;

  /// throws memory_error above the ceiling or when the device has no more.
  template <class T>
  device_array<T> array(index_t size);

  /// Bytes that may still be allocated: the ceiling, or what the device has free, less what is in use. Tiles
  /// are cut to fit into it. Asks the driver where no ceiling is set: call it once, not in a loop.
  std::size_t left() const;

  const char* call() const { return call_; }
  cudaStream_t stream() const { return stream_; }

 private:
  template <class T>
  friend class device_array;
  void* allocate(std::size_t bytes);
  void release(void* data, std::size_t bytes) noexcept;

  const char* call_;
  int device_;
  cudaStream_t stream_;
  std::size_t ceiling_;  // 0: none
  std::size_t used_ = 0;
  device_allocator from_;         // the application's, if it has one
  cudaMemPool_t pool_ = nullptr;  // else of ours
};

template <class T>
class device_array {
 public:
  device_array() = default;
  device_array(device_memory& memory, index_t size)
      : memory_(&memory),
        data_(static_cast<T*>(size == 0 ? nullptr : memory.allocate(std::size_t(size) * sizeof(T)))),
        size_(size) {}
  ~device_array() { reset(); }
  device_array(device_array&& other) noexcept { swap(other); }
  device_array& operator=(device_array&& other) noexcept {
    swap(other);
    return *this;
  }

  T* data() const { return data_; }
  index_t size() const { return size_; }
  vector_view<T> view() const { return {data_, size_}; }

  void reset() noexcept {
    if (data_ != nullptr) memory_->release(data_, std::size_t(size_) * sizeof(T));
    data_ = nullptr;
    size_ = 0;
  }

 private:
  void swap(device_array& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  device_memory* memory_ = nullptr;  // outlives this
  T* data_ = nullptr;
  index_t size_ = 0;
};

template <class T>
device_array<T> device_memory::array(index_t size) {
  return device_array<T>(*this, size);
}

/// Host memory that a device copies from and to while the host goes on.
template <class T>
class pinned_array {
 public:
  pinned_array() = default;
  pinned_array(index_t size, const char* call);
  ~pinned_array();
  pinned_array(pinned_array&& other) noexcept { swap(other); }
  pinned_array& operator=(pinned_array&& other) noexcept {
    swap(other);
    return *this;
  }

  T* data() const { return data_; }
  index_t size() const { return size_; }
  T& operator[](index_t i) const { return data_[i]; }
  T* begin() const { return data_; }
  T* end() const { return data_ + size_; }

 private:
  void swap(pinned_array& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  T* data_ = nullptr;
  index_t size_ = 0;
};

/// cudaMallocHost and cudaFreeHost, untyped.
void* allocate_pinned(std::size_t bytes, const char* call);
void free_pinned(void* data) noexcept;

template <class T>
pinned_array<T>::pinned_array(index_t size, const char* call)
    : data_(static_cast<T*>(size == 0 ? nullptr : allocate_pinned(std::size_t(size) * sizeof(T), call))),
      size_(size) {}

template <class T>
pinned_array<T>::~pinned_array() {
  if (data_ != nullptr) free_pinned(data_);
}

/// A stream of our own, that does not wait for the legacy default stream. Its end waits for what is queued, so
/// that nothing on its way writes to the caller where a call ends early.
class own_stream {
 public:
  explicit own_stream(const char* call);
  ~own_stream();
  own_stream(own_stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  own_stream& operator=(own_stream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// An event that orders streams and is waited for, by a host thread that sleeps; it takes no time stamps.
class event {
 public:
  explicit event(const char* call);
  ~event();
  event(event&& other) noexcept : event_(std::exchange(other.event_, nullptr)), call_(other.call_) {}
  event& operator=(event&& other) noexcept {
    std::swap(event_, other.event_);
    std::swap(call_, other.call_);
    return *this;
  }

  void record(cudaStream_t stream);
  void wait() const;                     ///< the host waits
  void hold(cudaStream_t stream) const;  ///< the stream waits

 private:
  cudaEvent_t event_ = nullptr;
  const char* call_;
};

/// Copies that name the call. Neither waits: for host memory that is not pinned the runtime may.
template <class T>
void copy_async(T* to, const T* from, index_t size, const device_memory& memory) {
  if (size == 0) return;
  check(cudaMemcpyAsync(to, from, std::size_t(size) * sizeof(T), cudaMemcpyDefault, memory.stream()),
        memory.call(), "copying");
}

/// The blocks of `threads` that cover `items`, at most `most`; kernels launched so stride over the rest.
inline unsigned grid_of(index_t items, index_t threads, index_t most = 0x7fffffff) {
  return unsigned(std::min((items + threads - 1) / threads, most));
}

}  // namespace poolwise
