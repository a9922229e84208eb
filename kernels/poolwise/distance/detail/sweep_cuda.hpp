// Many canonical distances at once on a CUDA device: every row of a pool against a few hundred centres, of
// which only the nearest matters.
//
// The canonical distance decides, and that alone is written. Where shapes make it pay, tensor cores
// first exclude the pairs that cannot matter. With an origin o, y = x - o and z = c - o, bf16 roundings y^ and
// z^, and r_y >= |y - y^|, r_z >= |z - z^|, the triangle inequality gives
//
//   |x - c| >= |y^ - z^| - r_y - r_z,        |y^ - z^|^2 = |y^|^2 + |z^|^2 - 2 y^.z^,
//
// so a pair cannot come below a bound m once |y^ - z^|^2 >= (sqrt(m) + r_y + r_z)^2. (It is the bound
// 2 (|r_y||z| + |y^||r_z|) of the error of a product, but grows with the distance instead of the norms.) What
// rounding does to either side is added, generously, where it is computed; sums in tensor cores are trusted to
// (k + 16) 2^-22 |y^||z^|, four times what truncated addends of 24 bits would lose. The nearest centre of a
// tile, by the same bound from above, lowers m before the tile is filtered.
//
// The pairs that are left are decided by the canonical distance: listed one by one, or, where a tile leaves
// many, all pairs of the tile by the canonical kernel. That kernel is also the path for short rows, for few
// centres and for devices before sm_80. No choice among these changes a result.
#pragma once

#include <cstdint>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/distance/detail/canonical_tiles_cuda.hpp"
#include "poolwise/distance/detail/round_rows_cuda.hpp"

namespace poolwise {

/// Sweeps of rows of one width. The device of the memory is current in every call; nothing waits. Views lie in
/// device memory.
class canonical_sweep {
 public:
  /// Which kernels may be used: by shape, or, for tests, the canonical ones only.
  enum class path { by_shape, canonical };

  /// The most centres of a call.
  static constexpr index_t most_centers = 4096;

  /// rows, centers: the most of a later call, for which room is made. Without tensor cores where the memory
  /// left does not suffice for them.
  canonical_sweep(device_memory& memory, int device, index_t cols, index_t rows, index_t centers,
                  path allowed = path::by_shape);

  /// Bytes that bf16 copies of that many rows take.
  static std::size_t rounded_bytes(index_t cols, index_t rows);
  /// Bytes for tensor cores beside those copies, with as many centres a sweep.
  static std::size_t scratch_bytes(index_t cols, index_t rows, index_t centers);

  /// Whether tensor cores serve for as many centres.
  bool uses_tensor_cores(index_t centers) const;

  /// Takes the mean of some of these rows for the origin: bf16 keeps differences from it. Any origin gives the
  /// same results, but few pairs are excluded where |x - o| is large beside the distances.
  void set_origin(matrix_view<const float> points);

  /// Copies to keep between sweeps of the same rows, with as many centres; none where tensor cores do not serve
  /// or memory does not suffice. The origin must not change after.
  rounded_rows keep(matrix_view<const float> points, index_t centers);

  /// The centres of the calls that follow, at most as many as said; `c` must stay.
  void set_centers(matrix_view<const float> c);

  /// m[i] = min(m[i], the least canonical distance of row i to a centre). Negative m stay as they are. kept:
  /// copies of these rows from `keep`, or none.
  void lower(matrix_view<const float> points, const rounded_rows& kept, float* m);

  /// As lower, by keys; the centres count from first_reference on.
  void lower(matrix_view<const float> points, const rounded_rows& kept, nearest_key* nearest,
             std::uint32_t first_reference);

  /// d2[i * pitch + j] = the canonical distance of rows i and j of points.
  void all_pairs(matrix_view<const float> points, float* d2, index_t pitch);

  /// Pairs that tensor cores could not exclude, of all calls so far. Waits for the stream.
  index_t survivors() const;

 private:
  /// The kernels count here, on the device.
  struct counters {
    unsigned pairs, tiles;         ///< listed by the launch that is at work
    rounded_limits limits;         ///< the largest of the centres
    unsigned long long survivors;  ///< pairs that were not excluded, of all launches
  };

  template <class Sink>
  void sweep(matrix_view<const float> points, const rounded_rows& kept, Sink sink);
  /// rounded: of more rows, of which those of points begin at `first`.
  template <class Sink>
  void exclude_and_decide(matrix_view<const float> points, const rounded_rows& rounded, index_t first,
                          Sink sink);

  device_memory& memory_;
  index_t cols_, slab_ = 0, room_ = 0;
  int multiprocessors_ = 1;
  bool tensor_cores_ = false;
  matrix_view<const float> centers_;
  device_array<float> origin_;
  rounded_rows rounded_centers_, rounded_slab_;
  device_array<uint2> pairs_, tiles_;
  device_array<counters> counts_;
};

}  // namespace poolwise
