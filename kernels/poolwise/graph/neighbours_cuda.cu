#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/detail/launch.cuh"
#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/distance/detail/canonical_cuda.hpp"
#include "poolwise/distance/detail/error_bound.hpp"
#include "poolwise/graph/detail/neighbours_cuda.hpp"

namespace poolwise {
namespace {

constexpr int block_threads = 256;
constexpr int candidates_at_once = 1024;

/// A neighbour as one number that orders as the lists are ordered: squared distances are not negative, so their
/// bits order as they do; ties go to the lower reference.
using neighbour_key = unsigned long long;
constexpr neighbour_key nobody = ~neighbour_key{0};

__device__ neighbour_key key_of(float d2, index_t reference) {
  return neighbour_key(__float_as_uint(d2)) << 32 | neighbour_key(reference);
}
__device__ float d2_of(neighbour_key key) { return __uint_as_float(unsigned(key >> 32)); }

/// The threads of a block share this: the nearest so far, ascending, in one of two places, and the nearer ones
/// just found.
struct shared_lists {
  neighbour_key places[2][most_device_neighbours];
  neighbour_key fresh[candidates_at_once];
  int fresh_count;
  int doubted;
};

/// How many of `size` ascending keys lie before `key`.
__device__ int before(const neighbour_key* keys, int size, neighbour_key key) {
  int low = 0;
  while (low < size) {
    const int middle = (low + size) / 2;
    if (keys[middle] < key)
      low = middle + 1;
    else
      size = middle;
  }
  return low;
}

/// merged = the first of the kept and the fresh keys. All keys differ, but for `nobody`.
__device__ void merge(const neighbour_key* kept, const neighbour_key* fresh, int fresh_count, int neighbours,
                      neighbour_key* merged) {
  for (int i = int(threadIdx.x); i < neighbours + fresh_count; i += block_threads) {
    const bool old = i < neighbours;
    const neighbour_key key = old ? kept[i] : fresh[i - neighbours];
    int place = old ? i : before(kept, neighbours, key);
    for (int j = 0; j < fresh_count; ++j) place += fresh[j] < key;
    if (place < neighbours) merged[place] = key;
  }
}

/// Every reference is a candidate.
struct all_references {
  index_t count;
  __device__ index_t size() const { return count; }
  __device__ index_t reference(index_t c) const { return c; }
  __device__ bool doubtful(index_t, float) const { return false; }
};

/// Those that were proposed; a distance that the bound cannot explain casts doubt on all of them.
struct proposed_references {
  const float* d2;
  const std::int64_t* id;
  index_t count;
  double bound;
  __device__ index_t size() const { return count; }
  __device__ index_t reference(index_t c) const { return id[c]; }
  __device__ bool doubtful(index_t c, float canonical) const {
    return !(fabs(double(d2[c]) - double(canonical)) <= bound);
  }
};

/// The nearest of the candidates, in the order of the lists. Sixteen neighbouring threads hold the
/// sixteen partial sums of a pair.
template <class Candidates>
__device__ const neighbour_key* keep_nearest(const float* point, matrix_view<const float> references,
                                             const Candidates& candidates, index_t self, int neighbours,
                                             shared_lists& lists) {
  neighbour_key *kept = lists.places[0], *spare = lists.places[1];
  constexpr int pairs = block_threads / canonical_lanes;
  const int pair = int(threadIdx.x) / canonical_lanes, lane = int(threadIdx.x) % canonical_lanes;
  for (int i = int(threadIdx.x); i < neighbours; i += block_threads) kept[i] = nobody;
  if (threadIdx.x == 0) lists.doubted = 0;
  for (index_t begin = 0; begin < candidates.size(); begin += candidates_at_once) {
    __syncthreads();
    if (threadIdx.x == 0) lists.fresh_count = 0;
    __syncthreads();
    const neighbour_key farthest = kept[neighbours - 1];
    const index_t end =
        begin + candidates_at_once < candidates.size() ? begin + candidates_at_once : candidates.size();
    for (index_t first = begin; first < end; first += pairs) {
      const index_t reference = first + pair < end ? candidates.reference(first + pair) : -1;
      float sum = 0;
      if (reference >= 0) {
        const float* const other = references.row(reference);
        for (index_t c = lane; c < references.cols; c += canonical_lanes)
          sum = __fmaf_rn(point[c] - other[c], point[c] - other[c], sum);
      }
      sum = warp_sum(sum, canonical_lanes);
      if (reference < 0 || lane != 0) continue;
      if (candidates.doubtful(first + pair, sum)) atomicExch(&lists.doubted, 1);
      const neighbour_key key = key_of(sum, reference);
      if (reference != self && key < farthest) lists.fresh[atomicAdd(&lists.fresh_count, 1)] = key;
    }
    __syncthreads();
    if (lists.fresh_count == 0) continue;
    merge(kept, lists.fresh, lists.fresh_count, neighbours, spare);
    neighbour_key* const merged = spare;
    spare = kept;
    kept = merged;
  }
  __syncthreads();
  return kept;
}

__device__ void write(const neighbour_key* kept, index_t row, matrix_view<index_t> which,
                      matrix_view<float> d2) {
  for (int i = int(threadIdx.x); i < which.cols; i += block_threads) {
    const neighbour_key key = kept[i];
    which(row, i) = key == nobody ? -1 : index_t(key & 0xffffffffu);
    if (d2.data != nullptr) d2(row, i) = key == nobody ? __uint_as_float(0x7f800000u) : d2_of(key);
  }
}

__device__ index_t self_of(index_t self, index_t row) {
  return self == not_among_references ? self : self + row;
}

/// Rows for which the proposals do not decide.
struct undecided_rows {
  index_t* rows;
  unsigned long long* count;
};

/// A block a row. Undecided rows are noted; without a list, the proposals have the last word.
__global__ void __launch_bounds__(block_threads, 4)
    settle_kernel(matrix_view<const float> points, matrix_view<const float> references, index_t self,
                  neighbour_proposals proposed, vector_view<const float> norm2, const unsigned* largest_norm2,
                  undecided_rows undecided, matrix_view<index_t> which, matrix_view<float> d2) {
  __shared__ shared_lists lists;
  for (index_t row = blockIdx.x; row < points.rows; row += gridDim.x) {
    const error_bound bounds(references.cols, undecided.rows ? __uint_as_float(*largest_norm2) : 0);
    const double bound = undecided.rows ? bounds.of(norm2[row]) : 0;
    const int neighbours = int(which.cols), last = int(proposed.id.cols) - 1;
    const neighbour_key* const kept =
        keep_nearest(points.row(row), references,
                     proposed_references{proposed.d2.row(row), proposed.id.row(row), proposed.id.cols, bound},
                     self_of(self, row), neighbours, lists);
    const neighbour_key farthest = kept[neighbours - 1];
    // As for the CPU (exact_search::settle): what was not proposed is farther than all that were kept.
    const bool decided =
        last + 1 == references.rows || (farthest != nobody && lists.doubted == 0 &&
                                        double(proposed.d2(row, last)) > double(d2_of(farthest)) + bound);
    if (decided || undecided.rows == nullptr)
      write(kept, row, which, d2);
    else if (threadIdx.x == 0)
      undecided.rows[atomicAdd(undecided.count, 1ull)] = row;
    __syncthreads();
  }
}

/// A block a row: of those in the list, or of all.
__global__ void __launch_bounds__(block_threads, 4)
    scan_neighbours_kernel(matrix_view<const float> points, matrix_view<const float> references, index_t self,
                           undecided_rows listed, matrix_view<index_t> which, matrix_view<float> d2) {
  __shared__ shared_lists lists;
  const index_t count = listed.rows ? index_t(*listed.count) : points.rows;
  for (index_t i = blockIdx.x; i < count; i += gridDim.x) {
    const index_t row = listed.rows ? listed.rows[i] : i;
    const neighbour_key* const kept = keep_nearest(points.row(row), references, all_references{references.rows},
                                                   self_of(self, row), int(which.cols), lists);
    write(kept, row, which, d2);
    __syncthreads();
  }
}

/// Norms are not negative, so that their bits order as they do.
__global__ void largest_kernel(vector_view<const float> norm2, unsigned* largest) {
  unsigned mine = 0;
  for (index_t i = index_t(blockIdx.x) * blockDim.x + threadIdx.x; i < norm2.size;
       i += index_t(gridDim.x) * blockDim.x)
    mine = max(mine, __float_as_uint(norm2[i]));
  mine = warp_max(mine);
  if (threadIdx.x % 32 == 0) atomicMax(largest, mine);
}
constexpr index_t most_blocks = 1 << 16;

void scan_neighbours(const cuda& on, const char* call, matrix_view<const float> points,
                     matrix_view<const float> references, index_t self, undecided_rows listed,
                     matrix_view<index_t> which, matrix_view<float> d2) {
  launch(call, "scan_neighbours_kernel", {grid_of(points.rows, 1, most_blocks), block_threads, 0, on.stream},
         scan_neighbours_kernel, points, references, self, listed, which, d2);
}

}  // namespace

void settle_neighbours_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                            matrix_view<const float> references, index_t self,
                            const neighbour_proposals& proposed, matrix_view<index_t> which,
                            matrix_view<float> d2) {
  if (points.rows == 0) return;
  const current_device here(on.device, call);
  device_memory memory(on, call);
  const auto reference_norm2 = memory.array<float>(references.rows), norm2 = memory.array<float>(points.rows);
  const auto rows = memory.array<index_t>(points.rows);
  const auto count = memory.array<unsigned long long>(1);
  const auto largest = memory.array<unsigned>(1);
  squared_norms_cuda(on, references, reference_norm2.view());
  squared_norms_cuda(on, points, norm2.view());
  check(cudaMemsetAsync(largest.data(), 0, sizeof(unsigned), on.stream), call, "clearing memory");
  check(cudaMemsetAsync(count.data(), 0, sizeof(unsigned long long), on.stream), call, "clearing memory");
  launch(call, "largest_kernel", {grid_of(references.rows, block_threads, 1024), block_threads, 0, on.stream},
         largest_kernel, reference_norm2.view(), largest.data());
  const undecided_rows undecided{rows.data(), count.data()};
  launch(call, "settle_kernel", {grid_of(points.rows, 1, most_blocks), block_threads, 0, on.stream},
         settle_kernel, points, references, self, proposed, norm2.view(), largest.data(), undecided, which, d2);
  scan_neighbours(on, call, points, references, self, undecided, which, d2);
}

void order_proposals_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                          matrix_view<const float> references, index_t self,
                          const neighbour_proposals& proposed, matrix_view<index_t> which,
                          matrix_view<float> d2) {
  if (points.rows == 0) return;
  const current_device here(on.device, call);
  launch(call, "settle_kernel", {grid_of(points.rows, 1, most_blocks), block_threads, 0, on.stream},
         settle_kernel, points, references, self, proposed, {}, nullptr, {}, which, d2);
}

void neighbours_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                     matrix_view<const float> references, index_t self, matrix_view<index_t> which,
                     matrix_view<float> d2) {
  if (points.rows == 0) return;
  if constexpr (has_faiss_gpu) {
    const index_t proposals = with_spare(which.cols + (self != not_among_references));
    if (proposals <= most_faiss_gpu_neighbours && points.cols > 0)
      return neighbours_by_faiss_cuda(on, call, points, references, self, proposals, which, d2);
  }
  const current_device here(on.device, call);
  scan_neighbours(on, call, points, references, self, {}, which, d2);
}

}  // namespace poolwise
