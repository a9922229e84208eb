#include <algorithm>
#include <climits>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <variant>

#include "poolwise/committee/detail/committee_cuda.hpp"
#include "poolwise/committee/detail/disagreements-inl.hpp"
#include "poolwise/committee/detail/needs.hpp"
#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/detail/launch.cuh"
#include "poolwise/core/detail/warp_cuda.cuh"
#include "poolwise/score/detail/fold_cuda.cuh"
#include "poolwise/score/detail/row_tile_cuda.cuh"
#include "poolwise/score/detail/score_cuda.hpp"

namespace poolwise {
namespace {

using namespace device;

// ---- How threads share rows. All of it follows from the columns alone, so that a row has the same bits in any
// tile and however its members come.

/// Neighbouring threads share a row: column c is thread c % lanes's.
struct sharing {
  int lanes;    ///< a power of two
  int rows;     ///< of a block
  int columns;  ///< of a thread, at most

  POOLWISE_HD int threads() const { return lanes * rows; }
  __device__ int lane() const { return int(threadIdx.x) & (lanes - 1); }
  __device__ index_t row() const { return index_t(blockIdx.x) * rows + int(threadIdx.x) / lanes; }
};

constexpr index_t tile_cols = 128;    ///< up to here rows come through shared memory
constexpr index_t fused_cols = 8192;  ///< up to here a row is in the registers of its threads
constexpr int most_columns = 16;      ///< of a thread, up to there
constexpr int block_threads = 256;    ///< of rows beyond

sharing sharing_of(index_t cols) {
  if (cols > fused_cols) return {block_threads, 1, int((cols + block_threads - 1) / block_threads)};
  const bool tiles = cols <= tile_cols;
  int lanes = tiles ? 1 : 32;
  while (lanes * most_columns < cols) lanes *= 2;
  const int rows = tiles ? tile_threads / lanes : lanes == 32 ? 4 : 1;
  return {lanes, rows, int((cols + lanes - 1) / lanes)};
}

/// The sums over the members so far for each row and column; null where nobody asked for them. Up to
/// `fused_cols` every block has a piece in the order of its threads, each piece with the threads' first columns
/// ahead of their second; beyond, rows lie one behind the other.
struct gathered {
  float* sum = nullptr;         ///< of the members' probabilities
  float* deviations = nullptr;  ///< of the members' squared deviations from their mean
  float* votes = nullptr;       ///< members voting for a class
  float* entropy = nullptr;     ///< one a row: of the members' entropies; NaN where one has no distribution
};

/// Its places in one array.
index_t places_of(index_t rows, index_t cols) {
  if (cols > fused_cols) return rows * cols;
  const sharing by = sharing_of(cols);
  return index_t(grid_of(rows, by.rows)) * by.columns * by.threads();
}

/// The scores that a kernel writes, and the sums that it gathers for them or for later ones.
struct requested_scores {
  static constexpr int most = 16;

  matrix_view<float> scores{};    ///< [rows, count]
  int count = 0;                  ///< of scores to write
  disagreement which[most] = {};  ///< them
  bool deviations = false;        ///< whether any score ever needs the squared deviations,
  bool votes = false;             ///< the votes,
  bool max_kl = false;            ///< a second look at every member

  requested_scores() = default;
  requested_scores(std::span<const disagreement> w, const matrix_view<float>& s)
      : scores(s), count(int(w.size())) {
    std::copy(w.begin(), w.end(), which);
    gather_for(w);
  }

  void gather_for(std::span<const disagreement> w) {
    deviations |= any(w, needs_deviations);
    votes |= any(w, needs_votes);
    max_kl |= any(w, needs_divergences);
  }
};

/// ln x; 0 at 0, and below the normal floats. Accurate near 1, for one long function a column is no cost.
__device__ float safe_log(float x) { return x >= smallest_normal ? logf(x) : 0.0f * x; }

/// Sums over the columns of a row. Like the others that threads put together it lies in shared memory, and
/// begins as nothing.
struct totals {
  float consensus, vote_entropy, most_votes, deviation;

  /// Adds a column that `members` have left behind; gives the logarithm of their mean.
  __device__ float add(const requested_scores& out, float members, float sum, float squares, float votes) {
    const float mean = sum * __frcp_rn(members), log_of_mean = safe_log(mean);
    consensus -= mean * log_of_mean;
    if (out.deviations) deviation += __fsqrt_rn(squares * __frcp_rn(members));
    if (out.votes && votes > 0) {
      const float share = __fdiv_rn(votes, members);
      vote_entropy -= share * safe_log(share);
      most_votes = fmaxf(most_votes, votes);
    }
    return log_of_mean;
  }

  struct join {
    __device__ totals operator()(const totals& a, const totals& b) const {
      return {a.consensus + b.consensus, a.vote_entropy + b.vote_entropy, fmaxf(a.most_votes, b.most_votes),
              a.deviation + b.deviation};
    }
  };
};

/// Joins what a row's threads have found; all of them get the result. Where they are more than a warp the block
/// has one row, and between two calls with the same Join must lie another barrier.
template <bool WholeWarps, class T, class Join>
__device__ T join_row(const T& mine, int lanes, Join join) {
  __shared__ T room[fused_cols / most_columns / 32];
  const T of_warp = warp_reduce(mine, join, WholeWarps ? 32 : lanes);
  if (!WholeWarps || lanes == 32) return of_warp;
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = of_warp;
  __syncthreads();
  const int warps = lanes / 32;
  return warp_reduce(room[int(threadIdx.x) & (warps - 1)], join, warps);
}

/// A row once all of its threads and members are in.
struct sums_of_row {
  const totals& t;
  float entropy, count, cols, largest_kl;  // the sum of the members' entropies; members

  __device__ float members() const { return count; }
  __device__ float classes() const { return cols; }
  __device__ float mean_entropy() const { return entropy / count; }
  __device__ float consensus_entropy() const { return t.consensus; }
  __device__ float vote_entropy() const { return t.vote_entropy; }
  __device__ float most_votes() const { return t.most_votes; }
  __device__ float deviations() const { return t.deviation; }
  __device__ float max_kl() const { return largest_kl; }
};

__device__ void write_scores(const requested_scores& out, index_t row, const sums_of_row& sums) {
  const float mean_entropy = sums.mean_entropy();
  for (int a = 0; a < out.count; ++a)
    out.scores(row, a) = mean_entropy == mean_entropy ? score_of(sums, out.which[a]) : mean_entropy;
}

using welford = deviation_update<float>;

// ---- Rows that their threads hold

/// The elements of a row from which its normaliser, its entropy and its vote follow. The largest ones, for
/// there may be several, are only counted.
struct row_mass {
  float rest, weighted, largest;
  int first;  ///< column of the largest

  struct join {
    __device__ row_mass operator()(const row_mass& a, const row_mass& b) const {
      return {a.rest + b.rest, a.weighted + b.weighted, a.largest + b.largest, min(a.first, b.first)};
    }
  };
};

/// Calls f(j) for each of a thread's columns, and for up to three more, which are not there.
template <class F>
__device__ __forceinline__ void each_column(int columns, F f) {
#pragma unroll
  for (int j = 0; j < most_columns; ++j) {
    if (j > 0 && j % 4 == 0 && j >= columns) break;
    f(j);
  }
}

/// The columns of a row that a thread holds.
using row_share = float[most_columns];

struct member_summary {
  float entropy;
  int vote;  ///< which of the thread's columns the member votes for; -1 if that is another thread's
};

/// Makes a row's outputs probabilities: one exponential each.
template <outputs Kind, class T, bool WholeWarps>
__device__ member_summary normalise(row_share& x, const sharing& by) {
  constexpr bool logits = Kind == outputs::logits;
  float peak = -infinity;
  each_column(by.columns, [&](int j) { peak = fmaxf(peak, x[j]); });
  const float largest = join_row<WholeWarps>(peak, by.lanes, largest_of{}),
              level = fmaxf(largest, lowest_finite);
  row_mass own{};
  own.first = INT_MAX;
  unsigned held = 0;  // a bit for each of the thread's columns that holds the largest
  each_column(by.columns, [&](int j) {
    const bool holds = x[j] == largest;
    if (holds) held |= 1u << j;
    if constexpr (logits) {
      const float d = clamped((x[j] - level) * log2_e);
      x[j] = exp2_fast(d);
      own.weighted = __fmaf_rn(x[j], d, own.weighted);
    } else {
      if (!holds) own.weighted += p_log2_p(x[j]);
    }
    if (!holds) own.rest += x[j];
  });
  const int first = __ffs(int(held)) - 1;
  own.largest = float(__popc(held));
  if (held != 0) own.first = by.lane() + first * by.lanes;
  const row_mass all = join_row<WholeWarps>(own, by.lanes, row_mass::join{});
  const float others = all.largest - 1;
  row_state s{};
  s.largest = largest;
  s.rest = all.rest + others * (logits ? 1.0f : largest);
  s.weighted = logits ? all.weighted : all.weighted + others * p_log2_p(largest);
  const auto whole = whole_row<Kind>(s);
  const float scale = normaliser_of(whole).scale;
  each_column(by.columns, [&](int j) { x[j] *= scale; });
  return {only_valid(whole, entropy(whole)), all.first == own.first ? first : -1};
}

/// The members of a tile of short rows, one behind the other in a ring of places in shared memory: two are on
/// their way while one is at work.
template <outputs Kind, class T>
class tile_source {
 public:
  static constexpr int stages = 3;
  static POOLWISE_HD int bytes(const sharing& by, index_t cols) {
    return tile_bytes(by.rows, int(cols) * int(sizeof(T)));
  }

  __device__ tile_source(const member_rows<T>& x, const sharing& by, index_t visits, unsigned char* room)
      : x_(x),
        by_(by),
        first_(index_t(blockIdx.x) * by.rows),
        rows_(int(min(index_t(by.rows), x.rows - first_))),
        left_(visits),
        stage_bytes_(bytes(by, x.cols)),
        room_(room) {
    for (int s = 1; s < stages; ++s) request();
  }

  /// The next member's outputs for this thread's columns of its row.
  __device__ void next(row_share& x) {
    __pipeline_wait_prior(stages - 2);
    __syncthreads();  // the rows are there, and nobody reads those before them any more
    request();
    const auto here = tile(taken_, taken_stage_);
    const int row = int(min(by_.row() - first_, index_t(rows_ - 1))), lane = by_.lane();
    each_column(by_.columns, [&](int j) {
      const int c = lane + j * by_.lanes;
      x[j] = size_of<Kind>(c < int(x_.cols) ? here.element(row, c) : no_element<Kind, T>());
    });
    advance(taken_, taken_stage_);
  }

 private:
  __device__ row_tile<Kind, T> tile(index_t member, int stage) const {
    return {x_.member(member), first_, room_ + stage * stage_bytes_};
  }
  __device__ void advance(index_t& member, int& stage) const {
    member = member + 1 == x_.members ? 0 : member + 1;
    stage = stage + 1 == stages ? 0 : stage + 1;
  }
  __device__ void request() {
    if (left_ == 0) return __pipeline_commit();  // the waits count batches
    --left_;
    tile(asked_, asked_stage_).begin_copy(x_.member(asked_), first_, rows_);
    advance(asked_, asked_stage_);
  }

  const member_rows<T>& x_;
  const sharing& by_;
  index_t first_;
  int rows_;
  index_t left_, asked_ = 0, taken_ = 0;
  int asked_stage_ = 0, taken_stage_ = 0, stage_bytes_;
  unsigned char* room_;
};

/// The members of a row, from memory into registers, one ahead.
template <outputs Kind, class T>
class row_source {
 public:
  __device__ row_source(const member_rows<T>& x, const sharing& by, index_t row, index_t visits)
      : x_(x), by_(by), first_(x.data + row * x.stride + by.lane()), next_(first_), left_(visits) {
    request();
  }

  __device__ void next(row_share& x) {
    each_column(by_.columns, [&](int j) { x[j] = size_of<Kind>(ahead_[j]); });
    request();
  }

 private:
  __device__ void request() {
    if (left_ == 0) return;
    --left_;
    const T* from = next_;
    int columns = int(x_.cols) - by_.lane();  // from this thread's first on
    each_column(by_.columns, [&](int j) {
      ahead_[j] = columns > 0 ? *from : no_element<Kind, T>();
      from += by_.lanes;
      columns -= by_.lanes;
    });
    asked_ = asked_ + 1 == x_.members ? 0 : asked_ + 1;
    next_ = asked_ == 0 ? first_ : next_ + x_.member_stride;
  }

  const member_rows<T>& x_;
  const sharing& by_;
  const T *first_, *next_;
  index_t left_, asked_ = 0;
  T ahead_[most_columns];
};

/// Adds members to what is gathered of a row and keeps that, or scores it, or both, in the row's threads.
/// `votes` is room for a float for each column that `each_column` calls in the block.
template <outputs Kind, class T, bool WholeWarps, class Source>
__device__ void mix_row(const member_rows<T>& x, const sharing& by, index_t row, index_t seen,
                        const gathered& g, const requested_scores& out, float* votes, Source& source) {
  const bool there = row < x.rows, keeps = g.sum != nullptr && x.members > 0;
  const index_t here = min(row, x.rows - 1);  // all threads reach the shuffles
  const auto place = [&](int j) {
    return (index_t(blockIdx.x) * by.columns + j) * by.threads() + index_t(threadIdx.x);
  };
  votes += threadIdx.x;
  row_share sum, deviations;
  each_column(by.columns, [&](int j) {
    const bool known = seen > 0 && j < by.columns;
    sum[j] = known ? g.sum[place(j)] : 0.0f;
    deviations[j] = known && out.deviations ? g.deviations[place(j)] : 0.0f;
    if (out.votes) votes[j * by.threads()] = known ? g.votes[place(j)] : 0.0f;
  });
  float entropy = seen > 0 ? g.entropy[here] : 0.0f;
  for (index_t k = 0; k < x.members; ++k) {
    row_share p;
    source.next(p);
    const member_summary member = normalise<Kind, T, WholeWarps>(p, by);
    entropy += member.entropy;
    if (out.deviations) {
      const welford step(seen + k);
      each_column(by.columns, [&](int j) { deviations[j] = step.update(deviations[j], p[j], sum[j]); });
    }
    each_column(by.columns, [&](int j) { sum[j] += p[j]; });
    if (out.votes && member.vote >= 0) votes[member.vote * by.threads()] += 1.0f;
  }
  const int lane = by.lane();
  if (keeps) {
    each_column(by.columns, [&](int j) {
      if (j >= by.columns) return;
      g.sum[place(j)] = sum[j];
      if (out.deviations) g.deviations[place(j)] = deviations[j];
      if (out.votes) g.votes[place(j)] = votes[j * by.threads()];
    });
    if (lane == 0 && there) g.entropy[row] = entropy;
  }
  if (out.count == 0) return;

  const float all = float(seen + x.members);
  totals t{};
  each_column(by.columns, [&](int j) {
    sum[j] = t.add(out, all, sum[j], deviations[j], out.votes ? votes[j * by.threads()] : 0.0f);
  });
  t = join_row<WholeWarps>(t, by.lanes, totals::join{});
  // max_e KL(p^e || pbar), where KL = -H[p^e] - sum_c p_c ln pbar_c. The sums are the means' logarithms by now.
  float largest_kl = 0;
  for (index_t k = 0; out.max_kl && k < x.members; ++k) {
    row_share p;
    source.next(p);
    const member_summary member = normalise<Kind, T, WholeWarps>(p, by);
    float cross = 0;
    each_column(by.columns, [&](int j) { cross = __fmaf_rn(p[j], sum[j], cross); });
    largest_kl = fmaxf(largest_kl, -member.entropy - join_row<WholeWarps>(cross, by.lanes, sum_of{}));
  }
  if (lane == 0 && there) write_scores(out, row, {t, entropy, all, float(x.cols), largest_kl});
}

__device__ index_t visits_of(index_t members, const requested_scores& out) {
  return out.max_kl ? 2 * members : members;
}

/// Short rows, a tile a block.
template <outputs Kind, class T>
__global__ void __launch_bounds__(tile_threads, 4)
    mix_tile_kernel(const __grid_constant__ member_rows<T> x, const __grid_constant__ sharing by, index_t seen,
                    const __grid_constant__ gathered g, const __grid_constant__ requested_scores out) {
  extern __shared__ __align__(16) unsigned char room[];
  tile_source<Kind, T> source(x, by, visits_of(x.members, out), room);
  auto* const votes = reinterpret_cast<float*>(room + source.stages * source.bytes(by, x.cols));
  const index_t row = by.row();
  mix_row<Kind, T, false>(x, by, row, seen, g, out, votes, source);
}

/// Longer rows: a warp's, or a block's.
template <outputs Kind, class T>
__global__ void __launch_bounds__(fused_cols / most_columns)
    mix_row_kernel(const __grid_constant__ member_rows<T> x, const __grid_constant__ sharing by, index_t seen,
                   const __grid_constant__ gathered g, const __grid_constant__ requested_scores out) {
  extern __shared__ float votes[];
  const index_t row = by.row();
  row_source<Kind, T> source(x, by, min(row, x.rows - 1), visits_of(x.members, out));
  mix_row<Kind, T, true>(x, by, row, seen, g, out, votes, source);
}

// ---- Rows too long for that: recorded, and read again from the cache

template <outputs Kind, class T>
__device__ float probability(T x, const row_record& r) {
  return normaliser<Kind, float>{r.largest, r.scale}(to_real(x));
}

/// Adds members to what is gathered of each row and keeps that, or scores it, or both. A block has a row, each
/// thread four columns at a time.
template <outputs Kind, class T>
__global__ void __launch_bounds__(block_threads, 2)
    mix_records_kernel(member_rows<T> x, index_t seen, const row_record* records, const std::int32_t* argmax,
                       gathered g, float* logs, const __grid_constant__ requested_scores out) {
  constexpr int columns = 4;
  const index_t row = blockIdx.x;
  const float all = float(seen + x.members);
  const bool keeps = g.sum != nullptr && x.members > 0;
  totals t{};
  for (index_t begin = threadIdx.x; begin < x.cols; begin += index_t(block_threads) * columns) {
    float sum[columns], deviations[columns], votes[columns];
#pragma unroll
    for (int j = 0; j < columns; ++j) {
      const index_t at = row * x.cols + begin + j * block_threads;
      const bool known = seen > 0 && begin + j * block_threads < x.cols;
      sum[j] = known ? g.sum[at] : 0.0f;
      deviations[j] = known && out.deviations ? g.deviations[at] : 0.0f;
      votes[j] = known && out.votes ? g.votes[at] : 0.0f;
    }
    for (index_t k = 0; k < x.members; ++k) {
      const row_record r = records[k * x.rows + row];
      const T* const from = x.data + k * x.member_stride + row * x.stride;
      float p[columns];
#pragma unroll
      for (int j = 0; j < columns; ++j) {
        const index_t c = begin + j * block_threads;
        p[j] = c < x.cols ? probability<Kind>(from[c], r) : 0.0f;
      }
      if (out.deviations) {
        const welford step(seen + k);
#pragma unroll
        for (int j = 0; j < columns; ++j) deviations[j] = step.update(deviations[j], p[j], sum[j]);
      }
#pragma unroll
      for (int j = 0; j < columns; ++j) sum[j] += p[j];
      if (out.votes) {
        const index_t vote = argmax[k * x.rows + row] - begin;
#pragma unroll
        for (int j = 0; j < columns; ++j) votes[j] += vote == j * block_threads ? 1.0f : 0.0f;
      }
    }
#pragma unroll
    for (int j = 0; j < columns; ++j) {
      const index_t c = begin + j * block_threads, at = row * x.cols + c;
      if (c >= x.cols) break;
      if (keeps) {
        g.sum[at] = sum[j];
        if (out.deviations) g.deviations[at] = deviations[j];
        if (out.votes) g.votes[at] = votes[j];
      }
      if (out.count == 0) continue;
      const float log_of_mean = t.add(out, all, sum[j], deviations[j], votes[j]);
      if (out.max_kl) logs[at] = log_of_mean;
    }
  }
  float entropy = seen > 0 ? g.entropy[row] : 0.0f;
  for (index_t k = 0; k < x.members; ++k) entropy += records[k * x.rows + row].entropy;
  if (keeps && threadIdx.x == 0) g.entropy[row] = entropy;
  if (out.count == 0) return;
  t = join_row<true>(t, block_threads, totals::join{});
  float largest_kl = 0;
  for (index_t k = 0; out.max_kl && k < x.members; ++k) {
    const row_record r = records[k * x.rows + row];
    const T* const from = x.data + k * x.member_stride + row * x.stride;
    float cross = 0;
#pragma unroll 4
    for (index_t c = threadIdx.x; c < x.cols; c += block_threads)  // of logs its own, written above
      cross = __fmaf_rn(probability<Kind>(from[c], r), logs[row * x.cols + c], cross);
    __syncthreads();
    largest_kl = fmaxf(largest_kl, -r.entropy - join_row<true>(cross, block_threads, sum_of{}));
  }
  if (threadIdx.x == 0) write_scores(out, row, {t, entropy, all, float(x.cols), largest_kl});
}

/// `lanes` threads share a row's outputs; each takes members in order. A prediction that is not finite makes
/// the sum NaN and keeps it so.
__global__ void __launch_bounds__(block_threads)
    predictive_variance_kernel(cube_view<const float> x, int lanes, vector_view<float> variance) {
  const index_t thread = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const index_t row = thread / lanes, here = min(row, x.rows - 1);
  double total = 0;
  for (index_t c = thread % lanes; c < x.cols; c += lanes) {
    double mean = 0, squares = 0;
    for (index_t k = 0; k < x.members; ++k) {
      const double delta = x.member(k)(here, c) - mean;
      mean = __fma_rn(delta, 1.0 / double(k + 1), mean);
      squares = __fma_rn(delta, x.member(k)(here, c) - mean, squares);
    }
    total += squares;
  }
  total = warp_sum(total, lanes);
  if (row < x.rows && thread % lanes == 0) variance[row] = float(total / double(x.members * x.cols));
}

// ---- Launchers

template <outputs Kind, class T>
void mix_rows(const member_rows<T>& x, index_t seen, const gathered& g, const requested_scores& out,
              const device_memory& memory) {
  const sharing by = sharing_of(x.cols);
  const unsigned grid = grid_of(x.rows, by.rows);
  const auto votes = std::size_t(out.votes ? by.threads() * ((by.columns + 3) / 4 * 4) : 0) * sizeof(float);
  if (x.cols <= tile_cols) {
    const int ring = tile_source<Kind, T>::stages * tile_source<Kind, T>::bytes(by, x.cols);
    launch(memory.call(), "mix_tile_kernel",
           {grid, unsigned(by.threads()), std::size_t(ring) + votes, memory.stream()}, mix_tile_kernel<Kind, T>,
           x, by, seen, g, out);
  } else {
    launch(memory.call(), "mix_row_kernel", {grid, unsigned(by.threads()), votes, memory.stream()},
           mix_row_kernel<Kind, T>, x, by, seen, g, out);
  }
}

template <outputs Kind, class T>
void mix_records(const member_rows<T>& x, index_t seen, const row_record* records, const std::int32_t* argmax,
                 const gathered& g, float* logs, const requested_scores& out, const device_memory& memory) {
  launch(memory.call(), "mix_records_kernel", {unsigned(x.rows), block_threads, 0, memory.stream()},
         mix_records_kernel<Kind, T>, x, seen, records, argmax, g, logs, out);
}

/// Rows in tiles that the cache holds.
template <outputs Kind, class T>
void mix_long_rows(const member_rows<T>& x, index_t seen, gathered g, requested_scores out,
                   device_memory& memory) {
  const index_t logs_per_row = out.max_kl ? x.cols : 0;
  const index_t tile = record_tile_rows(x, logs_per_row * index_t(sizeof(float)), memory);
  const auto logs = memory.array<float>(tile * logs_per_row);
  const auto records = memory.array<row_record>(tile * x.members);
  const auto argmax = memory.array<std::int32_t>(out.votes ? tile * x.members : 0);
  for (index_t first = 0; first < x.rows; first += tile) {
    const auto here = rows_from(x, first, std::min(tile, x.rows - first));
    record_rows_cuda(memory, here, Kind, records.data(), argmax.data());
    mix_records<Kind>(here, seen, records.data(), argmax.data(), g, logs.data(), out, memory);
    for (float** array : {&g.sum, &g.deviations, &g.votes})
      if (*array != nullptr) *array += here.rows * x.cols;
    if (g.entropy != nullptr) g.entropy += here.rows;
    out.scores.data += here.rows * out.scores.stride;
  }
}

template <outputs Kind, class T>
void mix(const member_rows<T>& x, index_t seen, const gathered& g, const requested_scores& out,
         device_memory& memory) {
  if (x.rows == 0) return;  // an empty grid is a launch error
  if (x.cols <= fused_cols) return mix_rows<Kind>(x, seen, g, out, memory);
  mix_long_rows<Kind>(x, seen, g, out, memory);
}

template <class T>
void mix(const member_rows<T>& x, outputs kind, index_t seen, const gathered& g, const requested_scores& out,
         device_memory& memory) {
  if (kind == outputs::logits) return mix<outputs::logits>(x, seen, g, out, memory);
  mix<outputs::probabilities>(x, seen, g, out, memory);
}

/// Calls f with `which` in pieces that one launch takes.
template <class F>
void each_piece(std::span<const disagreement> which, const matrix_view<float>& scores, F f) {
  for (std::size_t done = 0; done < which.size(); done += requested_scores::most) {
    const auto some = which.subspan(done, std::min<std::size_t>(requested_scores::most, which.size() - done));
    f(requested_scores(some, {scores.data + done, scores.rows, index_t(some.size()), scores.stride}));
  }
}

}  // namespace

void score_committee_cuda(const cuda& on, const real_cube& x, outputs kind, std::span<const disagreement> which,
                          matrix_view<float> scores) {
  const current_device here(on.device, "score_committee");
  device_memory memory(on, "score_committee");
  each_piece(which, scores, [&](const requested_scores& out) {
    std::visit([&](auto cube) { mix(member_rows(cube), kind, 0, {}, out, memory); }, x);
  });
}

class committee_on_device {
 public:
  committee_on_device(const cuda& on, index_t rows, index_t cols, std::span<const disagreement> which)
      : on_(on), rows_(rows), cols_(cols), memory_(on, call) {
    kept_.gather_for(which);
    const index_t places = places_of(rows, cols);
    sum_ = memory_.array<float>(places);
    entropy_ = memory_.array<float>(rows);
    if (kept_.deviations) deviations_ = memory_.array<float>(places);
    if (kept_.votes) votes_ = memory_.array<float>(places);
  }

  void add(const real_matrix& member, outputs kind, index_t seen) {
    const current_device here(on_.device, call);
    std::visit([&](auto x) { mix(member_rows(x), kind, seen, state(), kept_, memory_); }, member);
  }

  void finish(index_t members, std::span<const disagreement> which, const matrix_view<float>& scores) {
    if (rows_ == 0) return;
    const current_device here(on_.device, call);
    member_rows<float> none(matrix_view<const float>{nullptr, rows_, cols_});
    none.members = 0;
    each_piece(which, scores, [&](const requested_scores& out) {
      if (cols_ <= fused_cols) return mix_rows<outputs::logits>(none, members, state(), out, memory_);
      mix_records<outputs::logits>(none, members, nullptr, nullptr, state(), nullptr, out, memory_);
    });
  }

 private:
  static constexpr const char* call = "committee_accumulator";

  gathered state() const { return {sum_.data(), deviations_.data(), votes_.data(), entropy_.data()}; }

  cuda on_;
  index_t rows_, cols_;
  requested_scores kept_;
  device_memory memory_;
  device_array<float> sum_, deviations_, votes_, entropy_;
};

std::shared_ptr<committee_on_device> make_committee_on_device(const cuda& on, index_t rows, index_t cols,
                                                              std::span<const disagreement> which) {
  const current_device here(on.device, "committee_accumulator");
  // Memory is freed in the order of a stream, which for the default one is the current device's.
  const auto destroy = [device = on.device](committee_on_device* c) {
    const current_device its_own(device, "committee_accumulator");
    delete c;
  };
  return {new committee_on_device(on, rows, cols, which), destroy};
}

void add_member_cuda(committee_on_device& into, const real_matrix& member, outputs kind, index_t seen) {
  into.add(member, kind, seen);
}

void finish_committee_cuda(committee_on_device& from, index_t members, std::span<const disagreement> which,
                           matrix_view<float> scores) {
  from.finish(members, which, scores);
}

void predictive_variance_cuda(const cuda& on, cube_view<const float> predictions, vector_view<float> variance) {
  if (predictions.rows == 0) return;
  const current_device here(on.device, "predictive_variance");
  int lanes = 1;
  while (lanes < predictions.cols && lanes < 32) lanes *= 2;
  launch("predictive_variance", "predictive_variance_kernel",
         {grid_of(predictions.rows * lanes, block_threads), block_threads, 0, on.stream},
         predictive_variance_kernel, predictions, lanes, variance);
}

}  // namespace poolwise
