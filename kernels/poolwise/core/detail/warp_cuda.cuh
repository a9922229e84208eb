// The sums and extremes that the threads of a warp find together. All 32 reach every call.
#pragma once

#include <cstring>
#include <type_traits>

namespace poolwise {

/// The mask of every lane.
inline constexpr unsigned whole_warp = 0xffffffffu;

/// The value that the lane `lane ^ bits` holds, of any type that is made of 32-bit words.
template <class T>
__device__ __forceinline__ T from_lane_xor(const T& x, int bits) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(unsigned) == 0);
  unsigned words[sizeof(T) / sizeof(unsigned)];
  std::memcpy(words, &x, sizeof x);
#pragma unroll
  for (unsigned& word : words) word = __shfl_xor_sync(whole_warp, word, bits);
  T other;
  std::memcpy(&other, words, sizeof x);
  return other;
}

/// Joins the values of `lanes` threads, a power of two, that lie `step` lanes apart; each of them gets the
/// result. The far half is joined first, as in the canonical tree.
template <class T, class Join>
__device__ __forceinline__ T warp_reduce(T x, Join join, int lanes = 32, int step = 1) {
  for (int half = lanes / 2 * step; half >= step; half /= 2) x = join(x, from_lane_xor(x, half));
  return x;
}

struct sum_of {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return a + b;
  }
};

struct least_of {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return min(a, b);  // of floats: the number, where one is a NaN
  }
};

struct largest_of {
  template <class T>
  __device__ T operator()(const T& a, const T& b) const {
    return max(a, b);
  }
};

template <class T>
__device__ __forceinline__ T warp_sum(T x, int lanes = 32) {
  return warp_reduce(x, sum_of{}, lanes);
}

template <class T>
__device__ __forceinline__ T warp_min(T x, int lanes = 32, int step = 1) {
  return warp_reduce(x, least_of{}, lanes, step);
}

template <class T>
__device__ __forceinline__ T warp_max(T x, int lanes = 32) {
  return warp_reduce(x, largest_of{}, lanes);
}

/// The sum over the lanes before this one; `total` over all.
template <class T>
__device__ __forceinline__ T warp_sum_before(T x, T& total) {
  const unsigned lane = threadIdx.x % 32;
  T sum = x;
  for (unsigned reach = 1; reach < 32; reach *= 2) {
    const T other = __shfl_up_sync(whole_warp, sum, reach);
    if (lane >= reach) sum += other;
  }
  total = __shfl_sync(whole_warp, sum, 31);
  return sum - x;
}

}  // namespace poolwise
