// Arrays on a CUDA device for the tests of tests/cuda, allocated to the byte: a read past the end is a defect
// that the simulator, or compute-sanitizer, reports.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "poolwise/core/types.hpp"

namespace reference {

inline void succeed(cudaError_t result) {
  if (result != cudaSuccess) ADD_FAILURE() << cudaGetErrorName(result) << ": " << cudaGetErrorString(result);
}

/// A copy of host values in device memory; `offset` elements are left free before them, to misalign them.
template <class T>
class on_device {
 public:
  explicit on_device(const std::vector<T>& values, std::size_t offset = 0) : on_device(values.size(), offset) {
    if (size_ > 0) succeed(cudaMemcpy(data(), values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  /// Room for results, never written.
  static on_device room(poolwise::index_t size, std::size_t offset = 0) { return {std::size_t(size), offset}; }

  ~on_device() { cudaFree(data_); }
  on_device(const on_device&) = delete;
  on_device& operator=(const on_device&) = delete;

  T* data() const { return data_ + offset_; }
  poolwise::vector_view<T> view() const { return {data(), poolwise::index_t(size_)}; }
  poolwise::matrix_view<const T> rows(poolwise::index_t rows, poolwise::index_t cols) const {
    return {data(), rows, cols};
  }

  /// Waits for the whole device.
  std::vector<T> to_host() const {
    std::vector<T> values(size_);
    succeed(cudaDeviceSynchronize());
    if (size_ > 0) succeed(cudaMemcpy(values.data(), data(), size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  on_device(std::size_t size, std::size_t offset) : offset_(offset), size_(size) {
    void* data = nullptr;
    succeed(cudaMalloc(&data, (offset + size + (offset + size == 0)) * sizeof(T)));
    data_ = static_cast<T*>(data);
  }

  T* data_ = nullptr;
  std::size_t offset_, size_;
};

}  // namespace reference
