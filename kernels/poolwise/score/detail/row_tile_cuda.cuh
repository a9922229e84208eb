// Short rows in shared memory: what neighbours in memory arrives as one stream of 16-byte copies, whatever the
// rows' width and wherever they begin.
#pragma once

#include <cuda_pipeline_primitives.h>

#include <cstdint>

#include "poolwise/core/types.hpp"
#include "poolwise/score/detail/fold_cuda.cuh"
#include "poolwise/score/score.hpp"

namespace poolwise::device {

inline constexpr int tile_threads = 128;  ///< of every block that has a tile

/// Where byte `at` of a tile lies in shared memory. Rows of a multiple of 32 bytes would keep their threads in
/// a few banks; 16 bytes left free in every 144 spread them out.
inline __device__ int place_of(int at) { return at + (at >> 7 << 4); }

/// The shared memory that a tile takes, a multiple of 16.
POOLWISE_HD constexpr int tile_bytes(int rows, int row_bytes) {
  const int bytes = rows * row_bytes + 16;
  return (bytes + bytes / 8 + 31) / 16 * 16;
}

/// Rows in shared memory, one behind the other; the first begins at byte `shift`.
template <outputs Kind, class T>
class row_tile {
 public:
  /// The tile of the rows of `x` from `first` on, in `room`, which is aligned to 16 bytes.
  __device__ row_tile(const matrix_view<const T>& x, index_t first, unsigned char* room)
      : data_(room),
        shift_(dense(x) ? int(reinterpret_cast<std::uintptr_t>(x.row(first)) % 16) : 0),
        row_bytes_(int(x.cols) * int(sizeof(T))),
        cols_(int(x.cols)) {}

  /// The threads of the block begin to bring the rows. They are there after a wait for the pipeline's batch,
  /// which ends here, and a barrier.
  __device__ void begin_copy(const matrix_view<const T>& x, index_t first, int rows) const {
    if (dense(x))
      copy_dense(x.row(first), rows);
    else
      copy_apart(x.row(first), x.stride, rows);
    __pipeline_commit();
  }

  __device__ T element(int row, int c) const { return *at_byte(row * row_bytes_ + c * int(sizeof(T))); }
  /// The columns 2 p and 2 p + 1.
  __device__ pair<T> at(int row, int p) const {
    if constexpr (sizeof(T) == 2)
      if ((shift_ | row_bytes_) % 4 == 0)
        return *reinterpret_cast<const pair<T>*>(at_byte(row * row_bytes_ + 4 * p));
    return join(element(row, 2 * p), 2 * p + 1 < cols_ ? element(row, 2 * p + 1) : no_element<Kind, T>());
  }

 private:
  static __device__ bool dense(const matrix_view<const T>& x) { return x.stride == x.cols; }
  __device__ T* at_byte(int byte) const { return reinterpret_cast<T*>(data_ + place_of(shift_ + byte)); }

  /// Whole vectors of the source, and the elements beside these.
  __device__ void copy_dense(const T* from, int rows) const {
    constexpr int width = 16 / int(sizeof(T));
    const int size = rows * cols_;
    const int head = min(size, shift_ == 0 ? 0 : (16 - shift_) / int(sizeof(T)));
    const int vectors = (size - head) / width, tail = head + vectors * width;
    const auto to = [&](int element) { return at_byte(element * int(sizeof(T))); };
    for (int v = int(threadIdx.x); v < vectors; v += tile_threads)
      __pipeline_memcpy_async(to(head + v * width), from + head + v * width, 16);
    if (int(threadIdx.x) < head) *to(int(threadIdx.x)) = from[threadIdx.x];
    if (const int e = tail + int(threadIdx.x); e < size) *to(e) = from[e];
  }

  /// Rows with something between them, a warp a row.
  __device__ void copy_apart(const T* from, index_t stride, int rows) const {
    for (int r = int(threadIdx.x / 32); r < rows; r += tile_threads / 32)
#pragma unroll 1  // it is rare
      for (int c = int(threadIdx.x % 32); c < cols_; c += 32)
        *at_byte(r * row_bytes_ + c * int(sizeof(T))) = from[r * stride + c];
  }

  unsigned char* data_;
  int shift_, row_bytes_, cols_;
};

}  // namespace poolwise::device
