#include <algorithm>
#include <climits>
#include <cstdint>
#include <span>
#include <variant>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/detail/launch.cuh"
#include "poolwise/score/detail/fold_cuda.cuh"
#include "poolwise/score/detail/row_tile_cuda.cuh"
#include "poolwise/score/detail/score_cuda.hpp"

namespace poolwise {
namespace {

using namespace device;

// ---- How rows are shared out. All of it follows from the row's bytes alone, so that a row has the same bits
// in any matrix, tile or shard, aligned or not, on any device.

constexpr int tile_row_bytes = 512;    ///< up to here several rows are a tile in shared memory
constexpr int warp_row_bytes = 16384;  ///< up to here a row is a warp's
constexpr int block_threads = 256;
constexpr int part_bytes = 65536;  ///< of longer rows every part of this size is a block's

/// The threads that share a row of a tile: one up to 128 bytes, then as many as leave each at most 64.
int lanes_of(index_t row_bytes) { return row_bytes <= 128 ? 1 : row_bytes <= 256 ? 4 : 8; }

/// Where a folded row goes: into scores, a record, or a part of a row to be merged with others.
struct row_output {
  static constexpr int most = 8;

  matrix_view<float> scores{};
  int count = 0;
  acquisition which[most] = {};
  row_record* records = nullptr;
  std::int32_t* argmax = nullptr;
  bool find_argmax = false;
  row_state* parts = nullptr;

  void skip(index_t rows) {
    scores.data += rows * scores.stride;
    if (records != nullptr) records += rows;
    if (argmax != nullptr) argmax += rows;
  }

  template <outputs Kind>
  __device__ __forceinline__ void write(index_t row, const row_state& s) const {
    const auto whole = whole_row<Kind>(s);
    for (int a = 0; a < count; ++a) scores(row, a) = score_of(whole, which[a]);
    if (records == nullptr) return;
    records[row] = {s.largest, normaliser_of(whole).scale, only_valid(whole, entropy(whole)),
                    only_valid(whole, least_confidence(whole))};
    if (find_argmax) argmax[row] = valid(whole) ? s.argmax : 0;
  }
};

// ---- Short rows: tiles

/// `lanes` neighbouring threads share a row of a tile of `tile_rows`.
template <outputs Kind, class T>
__global__ void __launch_bounds__(tile_threads)
    score_tile_kernel(member_rows<T> members, int lanes, int tile_rows,
                      const __grid_constant__ row_output out) {
  extern __shared__ __align__(16) unsigned char room[];
  const matrix_view<const T> x = members.member(blockIdx.y);
  const index_t first = index_t(blockIdx.x) * tile_rows;
  const int rows = int(min(index_t(tile_rows), x.rows - first)), cols = int(x.cols);
  const row_tile<Kind, T> tile(x, first, room);
  tile.begin_copy(x, first, rows);
  __pipeline_wait_prior(0);
  __syncthreads();

  const int lane = int(threadIdx.x) % lanes, pairs = (cols + 1) / 2;
  for (int begin = 0; begin < rows; begin += tile_threads / lanes) {
    const int row = begin + int(threadIdx.x) / lanes, here = min(row, rows - 1);
    thread_fold<Kind, T> fold;
    if constexpr (Kind == outputs::logits) {
      auto top = both<T>(-infinity);
#pragma unroll 4
      for (int p = lane; p < pairs; p += lanes) top = max2(top, tile.at(here, p));
      fold.raise(top);
    }
#pragma unroll 4
    for (int p = lane; p < pairs; p += lanes) fold.add(fold.exchange(tile.at(here, p)));
    row_state s = fold.state();
    if (lanes > 1) s = merge_lanes<Kind>(s, lanes);
    if (row < rows && lane == 0) {
      if (out.find_argmax)
        while (s.argmax + 1 < cols && size_of<Kind>(tile.element(row, s.argmax)) != s.largest) ++s.argmax;
      out.write<Kind>(blockIdx.y * x.rows + first + row, s);
    }
  }
}

// ---- Long rows: a warp, or a block, each

template <class T>
inline constexpr int width = 16 / int(sizeof(T));  ///< the elements of a vector

/// `Vectors` vectors a thread, as pairs: those that begin at `begin` and every `Threads` after it.
template <outputs Kind, class T, int Threads, int Vectors, bool Aligned>
struct chunk {
  pair<T> x[Vectors * width<T> / 2];

  /// All columns are there.
  __device__ void load(const T* row) {
#pragma unroll
    for (int v = 0; v < Vectors; ++v) {
      const T* const from = row + v * Threads * width<T>;
      if constexpr (Aligned)
        load_vector(v, from);
      else
#pragma unroll
        for (int i = 0; i < width<T>; i += 2) x[(v * width<T> + i) / 2] = join(from[i], from[i + 1]);
    }
  }

  /// Only the first `left` of them are, which may be less than 1.
  __device__ void load(const T* row, int left) {
    static_assert(Vectors == 1);
    if (Aligned && left >= width<T>) return load_vector(0, row);
#pragma unroll
    for (int i = 0; i < width<T>; i += 2)
      x[i / 2] =
          join(i < left ? row[i] : no_element<Kind, T>(), i + 1 < left ? row[i + 1] : no_element<Kind, T>());
  }

  __device__ void join_into(thread_fold<Kind, T>& fold) {
#pragma unroll
    for (pair<T>& p : x) p = fold.exchange(p);
    fold.raise();
#pragma unroll
    for (const pair<T>& p : x) fold.add(p);
  }

 private:
  __device__ void load_vector(int v, const T* from) {
    const uint4 bits = __ldg(reinterpret_cast<const uint4*>(from));
    constexpr int pairs = width<T> / 2;
    memcpy(x + v * pairs, &bits, sizeof bits);
  }
};

/// The state of `Threads` threads that share the n columns of `row`, each with its own.
template <outputs Kind, class T, int Threads, bool Aligned>
__device__ row_state fold_columns(const T* row, int n) {
  constexpr int vectors = 16 / width<T>, stripe = Threads * width<T>;
  const int own = int(threadIdx.x % Threads) * width<T>;
  thread_fold<Kind, T> fold;
  int begin = 0;
  for (; begin + vectors * stripe <= n; begin += vectors * stripe) {
    chunk<Kind, T, Threads, vectors, Aligned> x;
    x.load(row + begin + own);
    x.join_into(fold);
  }
  for (; begin < n; begin += stripe) {
    chunk<Kind, T, Threads, 1, Aligned> x;
    x.load(row + begin + own, n - begin - own);
    x.join_into(fold);
  }
  return fold.state();
}

/// The first of the n columns that holds `value`, found by one warp.
template <outputs Kind, class T>
__device__ int find_column(const T* row, int n, float value) {
  for (int begin = 0; begin < n; begin += 32) {
    const int c = begin + int(threadIdx.x % 32);
    const unsigned found = __ballot_sync(all_lanes, c < n && size_of<Kind>(row[c]) == value);
    if (found != 0) return begin + __ffs(int(found)) - 1;
  }
  return 0;
}

/// `Threads` threads, a warp or a block, fold one part of a row.
template <outputs Kind, class T, int Threads>
__global__ void __launch_bounds__(block_threads, 5)
    score_row_kernel(member_rows<T> members, index_t parts, int part_cols,
                     const __grid_constant__ row_output out) {
  __shared__ row_state room[block_threads / 32];
  const matrix_view<const T> x = members.member(blockIdx.y);
  const index_t job = index_t(blockIdx.x) * (block_threads / Threads) + threadIdx.x / Threads;
  const index_t row = job / parts;
  if (row >= x.rows) return;
  const index_t first = job % parts * part_cols;
  const T* const from = x.row(row) + first;
  const int n = int(min(index_t(part_cols), x.cols - first));
  row_state s = reinterpret_cast<std::uintptr_t>(from) % 16 == 0
                    ? fold_columns<Kind, T, Threads, true>(from, n)
                    : fold_columns<Kind, T, Threads, false>(from, n);
  if constexpr (Threads == 32)
    s = merge_lanes<Kind>(s, 32);
  else
    s = merge_block<Kind>(s, room);
  if (threadIdx.x % Threads >= 32) return;
  if (out.find_argmax) s.argmax = int(first) + find_column<Kind>(from, n, s.largest);
  if (threadIdx.x % Threads != 0) return;
  if (out.parts != nullptr)
    out.parts[job] = s;
  else
    out.write<Kind>(blockIdx.y * x.rows + row, s);
}

/// One thread a row joins its parts, in order.
template <outputs Kind>
__global__ void merge_parts_kernel(index_t rows, index_t parts, const __grid_constant__ row_output out) {
  const index_t row = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const row_state* const part = out.parts + row * parts;
  row_state s = part[0];
  for (index_t k = 1; k < parts; ++k) s = merge<Kind>(s, part[k]);
  out.write<Kind>(row, s);
}

// ---- Launchers

template <outputs Kind, class T>
void fold_tiles(const member_rows<T>& x, const row_output& out, const device_memory& memory) {
  const int row_bytes = int(x.cols * index_t(sizeof(T))), lanes = lanes_of(row_bytes);
  // Several rows a thread where they are so short that a tile would be over before it began.
  const int rounds = std::max(1, 32 / row_bytes), tile_rows = tile_threads / lanes * rounds;
  const dim3 grid(grid_of(x.rows, tile_rows), unsigned(x.members));
  launch(memory.call(), "score_tile_kernel",
         {grid, tile_threads, std::size_t(tile_bytes(tile_rows, row_bytes)), memory.stream()},
         score_tile_kernel<Kind, T>, x, lanes, tile_rows, out);
}

template <int Threads, outputs Kind, class T>
void fold_parts(const member_rows<T>& x, index_t parts, const row_output& out, const device_memory& memory) {
  const int part_cols = int(parts == 1 ? x.cols : part_bytes / index_t(sizeof(T)));
  const dim3 grid(grid_of(x.rows * parts, block_threads / Threads), unsigned(x.members));
  launch(memory.call(), "score_row_kernel", {grid, block_threads, 0, memory.stream()},
         score_row_kernel<Kind, T, Threads>, x, parts, part_cols, out);
}

index_t parts_of(index_t row_bytes) { return (row_bytes + part_bytes - 1) / part_bytes; }

/// Rows whose parts fit into the memory at once.
template <outputs Kind, class T>
void fold_long_rows(const member_rows<T>& x, index_t parts, row_output out, device_memory& memory) {
  constexpr index_t most = index_t{1} << 20;  // parts of 64 KiB: far more than any device holds at a time
  const index_t fitting = index_t(memory.left() / sizeof(row_state));
  const index_t tile = std::clamp(std::min(most, fitting) / parts, index_t{1}, x.rows);
  const auto states = memory.array<row_state>(tile * parts);
  out.parts = states.data();
  for (index_t k = 0; k < x.members; ++k)
    for (index_t first = 0; first < x.rows; first += tile) {
      const index_t rows = std::min(tile, x.rows - first);
      auto here = rows_from(x, first, rows);
      here.data += k * x.member_stride;
      here.members = 1;
      fold_parts<block_threads, Kind>(here, parts, out, memory);
      launch(memory.call(), "merge_parts_kernel",
             {grid_of(rows, tile_threads), tile_threads, 0, memory.stream()}, merge_parts_kernel<Kind>, rows,
             parts, out);
      out.skip(rows);
    }
}

template <outputs Kind, class T>
void fold_rows(member_rows<T> x, row_output out, device_memory& memory) {
  if (x.rows == 0) return;  // an empty grid is a launch error
  const index_t row_bytes = x.cols * index_t(sizeof(T)), members = x.members;
  if (row_bytes > part_bytes) return fold_long_rows<Kind>(x, parts_of(row_bytes), out, memory);
  constexpr index_t most = 65535;  // of a grid's second dimension
  for (index_t k = 0; k < members; k += most) {
    x.members = std::min(most, members - k);
    if (row_bytes <= tile_row_bytes)
      fold_tiles<Kind>(x, out, memory);
    else if (row_bytes <= warp_row_bytes)
      fold_parts<32, Kind>(x, 1, out, memory);
    else
      fold_parts<block_threads, Kind>(x, 1, out, memory);
    x.data += x.members * x.member_stride;
    out.skip(x.members * x.rows);
  }
}

template <class T>
void fold_rows(const member_rows<T>& x, outputs kind, const row_output& out, device_memory& memory) {
  if (kind == outputs::logits)
    fold_rows<outputs::logits>(x, out, memory);
  else
    fold_rows<outputs::probabilities>(x, out, memory);
}

// ---- Gradients

/// a = p - onehot(argmax p); `lanes` neighbouring threads share a row.
template <class T>
__global__ void output_gradient_kernel(matrix_view<const T> x, outputs kind, int lanes,
                                       const row_record* records, const std::int32_t* argmax,
                                       matrix_view<float> a) {
  const index_t thread = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const index_t row = thread / lanes;
  if (row >= x.rows) return;
  const row_record r = records[row];
  const index_t predicted = argmax[row];
  for (index_t c = thread % lanes; c < x.cols; c += lanes) {
    const float z = to_real(x(row, c));
    const float e = kind == outputs::logits ? exp_below(z, r.largest) : fabsf(z);
    a(row, c) = c == predicted ? -r.least_confidence : e * r.scale;
  }
}

template <class T>
void gradient_rows(matrix_view<const T> x, outputs kind, matrix_view<float> a, device_memory& memory) {
  const member_rows<T> all(x);
  const index_t tile = record_tile_rows(all, 0, memory);
  const auto records = memory.array<row_record>(tile);
  const auto argmax = memory.array<std::int32_t>(tile);
  int lanes = 1;
  while (lanes < x.cols && lanes < block_threads) lanes *= 2;
  for (index_t first = 0; first < x.rows; first += tile) {
    const index_t rows = std::min(tile, x.rows - first);
    record_rows_cuda(memory, rows_from(all, first, rows), kind, records.data(), argmax.data());
    launch(memory.call(), "output_gradient_kernel",
           {grid_of(rows * lanes, block_threads), block_threads, 0, memory.stream()}, output_gradient_kernel<T>,
           matrix_view<const T>{x.row(first), rows, x.cols, x.stride}, kind, lanes, records.data(),
           argmax.data(), {a.row(first), rows, a.cols, a.stride});
  }
}

}  // namespace

template <class T>
index_t record_tile_rows(const member_rows<T>& x, index_t bytes_per_row, const device_memory& memory) {
  constexpr index_t cached_bytes = index_t{24} << 20;
  const index_t row_bytes = x.cols * index_t(sizeof(T));
  bytes_per_row += x.members * index_t(sizeof(row_record) + sizeof(std::int32_t));
  if (row_bytes > part_bytes) bytes_per_row += parts_of(row_bytes) * index_t(sizeof(row_state));
  const index_t cached = cached_bytes / (x.members * row_bytes),
                fitting = index_t(memory.left()) / bytes_per_row;
  return std::clamp(std::min(cached, fitting), index_t{1}, x.rows);
}

template <class T>
void record_rows_cuda(device_memory& memory, const member_rows<T>& x, outputs kind, row_record* records,
                      std::int32_t* argmax) {
  row_output out;
  out.records = records;
  out.argmax = argmax;
  out.find_argmax = argmax != nullptr;
  fold_rows(x, kind, out, memory);
}

template index_t record_tile_rows(const member_rows<float>&, index_t, const device_memory&);
template index_t record_tile_rows(const member_rows<float16>&, index_t, const device_memory&);
template index_t record_tile_rows(const member_rows<bfloat16>&, index_t, const device_memory&);
template void record_rows_cuda(device_memory&, const member_rows<float>&, outputs, row_record*, std::int32_t*);
template void record_rows_cuda(device_memory&, const member_rows<float16>&, outputs, row_record*,
                               std::int32_t*);
template void record_rows_cuda(device_memory&, const member_rows<bfloat16>&, outputs, row_record*,
                               std::int32_t*);

void score_cuda(const cuda& on, const real_matrix& x, outputs kind, std::span<const acquisition> which,
                matrix_view<float> scores) {
  const current_device here(on.device, "score");
  device_memory memory(on, "score");
  for (std::size_t done = 0; done < which.size(); done += row_output::most) {
    const auto some = which.subspan(done, std::min<std::size_t>(row_output::most, which.size() - done));
    row_output out;
    out.scores = {scores.data + done, scores.rows, index_t(some.size()), scores.stride};
    out.count = int(some.size());
    std::copy(some.begin(), some.end(), out.which);
    std::visit([&](auto view) { fold_rows(member_rows(view), kind, out, memory); }, x);
  }
}

void output_gradient_cuda(const cuda& on, const real_matrix& x, outputs kind, matrix_view<float> a) {
  if (a.rows == 0) return;
  const current_device here(on.device, "output_gradient");
  device_memory memory(on, "output_gradient");
  std::visit([&](auto view) { gradient_rows(view, kind, a, memory); }, x);
}

}  // namespace poolwise
