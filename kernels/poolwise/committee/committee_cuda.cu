#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <variant>

#include "poolwise/committee/detail/committee_cuda.hpp"
#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/score/detail/fold_cuda.cuh"
#include "poolwise/score/detail/score_cuda.hpp"

namespace poolwise {
namespace {

using namespace device;

constexpr int block_threads = 256;

/// The threads that share a row, up to a block: from the columns alone, so that a row has the same bits in any
/// tile and however its members come.
int lanes_of(index_t cols) {
  if (cols > 2048) return block_threads;
  int lanes = 1;
  while (lanes < cols && lanes < 32) lanes *= 2;
  return lanes;
}

/// What the members so far leave behind for each row and column; null where nobody asked for it.
struct gathered {
  float* sum = nullptr;         ///< of the members' probabilities
  float* deviations = nullptr;  ///< of the members' squared deviations from their mean
  float* votes = nullptr;       ///< members voting for a class
  float* entropy = nullptr;     ///< one a row: of the members' entropies; NaN where one has no distribution
};

/// What a kernel is asked for.
struct asked {
  static constexpr int most = 16;

  matrix_view<float> scores{};
  int count = 0;
  disagreement which[most] = {};
  bool deviations = false, votes = false, max_kl = false;

  asked() = default;
  asked(std::span<const disagreement> w, const matrix_view<float>& s) : scores(s), count(int(w.size())) {
    std::copy(w.begin(), w.end(), which);
    gather_for(w);
  }

  void gather_for(std::span<const disagreement> w) {
    for (const disagreement d : w) {
      deviations |= d == disagreement::mean_std;
      votes |= d == disagreement::vote_entropy || d == disagreement::variation_ratio;
      max_kl |= d == disagreement::max_kl;
    }
  }
};

/// -x ln x; 0 at 0, and below the normal floats. Accurate near 1, for one long function a column is no cost.
__device__ float surprise(float x) { return x >= smallest_normal ? -x * logf(x) : 0.0f * x; }

/// Sums over the columns of a row.
struct totals {
  float consensus = 0, vote_entropy = 0, most_votes = 0, deviation = 0;

  __device__ void add(float mean, float vote_share, float vote_count, float variance) {
    consensus += surprise(mean);
    vote_entropy += surprise(vote_share);
    most_votes = fmaxf(most_votes, vote_count);
    deviation += __fsqrt_rn(variance);
  }
  __device__ void join(const totals& other) {
    consensus += other.consensus;
    vote_entropy += other.vote_entropy;
    most_votes = fmaxf(most_votes, other.most_votes);
    deviation += other.deviation;
  }
  __device__ totals from_lane(int half) const {
    return {__shfl_xor_sync(all_lanes, consensus, half), __shfl_xor_sync(all_lanes, vote_entropy, half),
            __shfl_xor_sync(all_lanes, most_votes, half), __shfl_xor_sync(all_lanes, deviation, half)};
  }
};

struct number {
  float value = 0;

  __device__ void join(const number& other) { value += other.value; }
  __device__ number from_lane(int half) const { return {__shfl_xor_sync(all_lanes, value, half)}; }
};

/// The sums of `lanes` neighbouring threads as one; the first of them gets it. `room` is one place a warp.
template <class Sum>
__device__ Sum join_lanes(Sum s, int lanes, Sum* room) {
  for (int half = min(lanes, 32) / 2; half > 0; half /= 2) s.join(s.from_lane(half));
  if (lanes <= 32) return s;
  __syncthreads();  // the last use of the room is over
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = s;
  __syncthreads();
  s = room[0];
  for (int w = 1; w < block_threads / 32; ++w) s.join(room[w]);
  return s;
}

template <outputs Kind, class T>
__device__ float probability(T x, const row_record& r) {
  const float z = to_real(x);
  return (Kind == outputs::logits ? exp_below(z, r.largest) : z) * r.scale;
}

/// Adds members to what is gathered of each row and keeps that, or scores it, or both. `lanes` threads share
/// a row, each with `Columns` columns at a time.
template <outputs Kind, class T, int Columns>
__global__ void __launch_bounds__(block_threads, 2)
    mix_members_kernel(member_rows<T> x, index_t seen, int lanes, const row_record* records,
                       const std::int32_t* argmax, gathered g, float* log_of_mean,
                       const __grid_constant__ asked out) {
  __shared__ totals room[block_threads / 32];
  const index_t thread = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const index_t row = thread / lanes, here = min(row, x.rows - 1);  // all threads reach the shuffles
  const int lane = int(thread % lanes);
  const float all = float(seen + x.members);
  const bool keeps = g.sum != nullptr && x.members > 0;
  totals t;
  for (index_t begin = lane; begin < x.cols; begin += index_t(lanes) * Columns) {
    float sum[Columns], deviations[Columns], votes[Columns];
#pragma unroll
    for (int j = 0; j < Columns; ++j) {
      const index_t at = here * x.cols + begin + j * lanes;
      const bool known = seen > 0 && begin + j * lanes < x.cols;
      sum[j] = known ? g.sum[at] : 0.0f;
      deviations[j] = known && out.deviations ? g.deviations[at] : 0.0f;
      votes[j] = known && out.votes ? g.votes[at] : 0.0f;
    }
    for (index_t k = 0; k < x.members; ++k) {
      const row_record r = records[k * x.rows + here];
      const T* const from = x.data + k * x.member_stride + here * x.stride;
      float p[Columns];
#pragma unroll
      for (int j = 0; j < Columns; ++j) {
        const index_t c = begin + j * lanes;
        p[j] = c < x.cols ? probability<Kind>(from[c], r) : 0.0f;
      }
      if (out.deviations) {
        // Welford's update with the mean as sum / seen: no difference of large sums, so members that agree
        // have a deviation of rounding size.
        const float before = float(max(seen + k, index_t{1}));
        const float inverse = __frcp_rn(before), share = __fdiv_rn(float(seen + k), float(seen + k + 1));
#pragma unroll
        for (int j = 0; j < Columns; ++j) {
          const float off = p[j] - sum[j] * inverse;
          deviations[j] = __fmaf_rn(off * off, share, deviations[j]);
        }
      }
#pragma unroll
      for (int j = 0; j < Columns; ++j) sum[j] += p[j];
      if (out.votes) {
        const index_t vote = argmax[k * x.rows + here] - begin;
#pragma unroll
        for (int j = 0; j < Columns; ++j) votes[j] += vote == j * lanes ? 1.0f : 0.0f;
      }
    }
#pragma unroll
    for (int j = 0; j < Columns; ++j) {
      const index_t c = begin + j * lanes, at = here * x.cols + c;
      if (c >= x.cols || row >= x.rows) break;
      if (keeps) {
        g.sum[at] = sum[j];
        if (out.deviations) g.deviations[at] = deviations[j];
        if (out.votes) g.votes[at] = votes[j];
      }
      if (out.count == 0) continue;
      const float mean = __fdiv_rn(sum[j], all);
      t.add(mean, __fdiv_rn(votes[j], all), votes[j], __fdiv_rn(deviations[j], all));
      if (out.max_kl) log_of_mean[at] = mean >= smallest_normal ? logf(mean) : 0.0f * mean;
    }
  }
  float entropy = seen > 0 ? g.entropy[here] : 0.0f;
  for (index_t k = 0; k < x.members; ++k) entropy += records[k * x.rows + here].entropy;
  if (keeps && lane == 0 && row < x.rows) g.entropy[row] = entropy;
  if (out.count == 0) return;
  t = join_lanes(t, lanes, room);
  if (lane != 0 || row >= x.rows) return;
  const float mean_entropy = __fdiv_rn(entropy, all);
  for (int a = 0; a < out.count; ++a) {
    float s = 0;
    if (out.which[a] == disagreement::bald) s = fmaxf(t.consensus - mean_entropy, 0.0f);
    // A mean above 1 by rounding would be below 0.
    if (out.which[a] == disagreement::consensus_entropy) s = fmaxf(t.consensus, 0.0f);
    if (out.which[a] == disagreement::vote_entropy) s = t.vote_entropy;
    if (out.which[a] == disagreement::variation_ratio) s = __fdiv_rn(all - t.most_votes, all);
    if (out.which[a] == disagreement::mean_std) s = __fdiv_rn(t.deviation, float(x.cols));
    if (out.which[a] == disagreement::max_kl) continue;  // find_max_kl_kernel writes it
    out.scores(row, a) = mean_entropy == mean_entropy ? s : mean_entropy;
  }
}

/// max_e KL(p^e || pbar), where KL = -H[p^e] - sum_c p_c ln pbar_c.
template <outputs Kind, class T>
__global__ void __launch_bounds__(block_threads)
    find_max_kl_kernel(member_rows<T> x, int lanes, const row_record* records, const float* log_of_mean,
                       const __grid_constant__ asked out) {
  __shared__ number room[block_threads / 32];
  const index_t thread = index_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const index_t row = thread / lanes, here = min(row, x.rows - 1);
  const int lane = int(thread % lanes);
  const float* const logs = log_of_mean + here * x.cols;
  float largest = 0, poison = 0;
  for (index_t k = 0; k < x.members; ++k) {
    const row_record r = records[k * x.rows + here];
    const T* const from = x.data + k * x.member_stride + here * x.stride;
    number cross;
#pragma unroll 4
    for (index_t c = lane; c < x.cols; c += lanes)
      cross.value = __fmaf_rn(probability<Kind>(from[c], r), logs[c], cross.value);
    const float divergence = -r.entropy - join_lanes(cross, lanes, room).value;
    largest = fmaxf(largest, divergence);
    poison += r.scale;  // NaN of a member without a distribution
  }
  if (lane != 0 || row >= x.rows) return;
  for (int a = 0; a < out.count; ++a)
    if (out.which[a] == disagreement::max_kl) out.scores(row, a) = poison == poison ? largest : poison;
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
  for (int half = lanes / 2; half > 0; half /= 2) total += __shfl_xor_sync(all_lanes, total, half);
  if (row < x.rows && thread % lanes == 0) variance[row] = float(total / double(x.members * x.cols));
}

// ---- Launchers

template <outputs Kind, class T>
void mix(const member_rows<T>& x, index_t seen, const row_record* records, const std::int32_t* argmax,
         const gathered& g, float* log_of_mean, const asked& out, const device_memory& memory) {
  const int lanes = lanes_of(x.cols);
  const auto kernel = x.cols <= 32 ? mix_members_kernel<Kind, T, 1> : mix_members_kernel<Kind, T, 4>;
  kernel<<<grid_of(x.rows * lanes, block_threads), block_threads, 0, memory.stream()>>>(
      x, seen, lanes, records, argmax, g, log_of_mean, out);
  check(cudaGetLastError(), memory.call(), "launching mix_members_kernel");
  if (!out.max_kl) return;
  find_max_kl_kernel<Kind><<<grid_of(x.rows * lanes, block_threads), block_threads, 0, memory.stream()>>>(
      x, lanes, records, log_of_mean, out);
  check(cudaGetLastError(), memory.call(), "launching find_max_kl_kernel");
}

/// Rows in tiles: recorded, and read again from the cache.
template <class T>
void mix_tiles(const member_rows<T>& x, outputs kind, index_t seen, gathered g, asked out,
               device_memory& memory) {
  if (x.rows == 0) return;  // an empty grid is a launch error
  const index_t logs_per_row = out.max_kl ? x.cols : 0;
  const index_t tile = record_tile_rows(x, logs_per_row * index_t(sizeof(float)), memory);
  const auto log_of_mean = memory.array<float>(tile * logs_per_row);
  const auto records = memory.array<row_record>(tile * x.members);
  const auto argmax = memory.array<std::int32_t>(out.votes ? tile * x.members : 0);
  for (index_t first = 0; first < x.rows; first += tile) {
    const auto here = rows_from(x, first, std::min(tile, x.rows - first));
    record_rows_cuda(memory, here, kind, records.data(), argmax.data());
    if (kind == outputs::logits)
      mix<outputs::logits>(here, seen, records.data(), argmax.data(), g, log_of_mean.data(), out, memory);
    else
      mix<outputs::probabilities>(here, seen, records.data(), argmax.data(), g, log_of_mean.data(), out,
                                  memory);
    for (float** array : {&g.sum, &g.deviations, &g.votes})
      if (*array != nullptr) *array += here.rows * x.cols;
    if (g.entropy != nullptr) g.entropy += here.rows;
    out.scores.data += here.rows * out.scores.stride;
  }
}

/// Calls f with `which` in pieces that one launch takes.
template <class F>
void each_piece(std::span<const disagreement> which, const matrix_view<float>& scores, F f) {
  for (std::size_t done = 0; done < which.size(); done += asked::most) {
    const auto some = which.subspan(done, std::min<std::size_t>(asked::most, which.size() - done));
    f(asked(some, {scores.data + done, scores.rows, index_t(some.size()), scores.stride}));
  }
}

}  // namespace

void score_committee_cuda(const cuda& on, const real_cube& x, outputs kind, std::span<const disagreement> which,
                          matrix_view<float> scores) {
  const current_device here(on.device, "score_committee");
  device_memory memory(on, "score_committee");
  each_piece(which, scores, [&](const asked& out) {
    std::visit([&](auto cube) { mix_tiles(member_rows(cube), kind, 0, {}, out, memory); }, x);
  });
}

class committee_on_device {
 public:
  committee_on_device(const cuda& on, index_t rows, index_t cols, std::span<const disagreement> which)
      : on_(on), rows_(rows), cols_(cols), memory_(on, call) {
    kept_.gather_for(which);
    sum_ = memory_.array<float>(rows * cols);
    entropy_ = memory_.array<float>(rows);
    if (kept_.deviations) deviations_ = memory_.array<float>(rows * cols);
    if (kept_.votes) votes_ = memory_.array<float>(rows * cols);
  }

  void add(const real_matrix& member, outputs kind, index_t seen) {
    const current_device here(on_.device, call);
    std::visit([&](auto x) { mix_tiles(member_rows(x), kind, seen, state(), kept_, memory_); }, member);
  }

  void finish(index_t members, std::span<const disagreement> which, const matrix_view<float>& scores) {
    if (rows_ == 0) return;
    const current_device here(on_.device, call);
    member_rows<float> none(matrix_view<const float>{nullptr, rows_, cols_});
    none.members = 0;
    each_piece(which, scores, [&](const asked& out) {
      mix<outputs::logits>(none, members, nullptr, nullptr, state(), nullptr, out, memory_);
    });
  }

 private:
  static constexpr const char* call = "committee_accumulator";

  gathered state() const { return {sum_.data(), deviations_.data(), votes_.data(), entropy_.data()}; }

  cuda on_;
  index_t rows_, cols_;
  asked kept_;
  device_memory memory_;
  device_array<float> sum_, deviations_, votes_, entropy_;
};

std::shared_ptr<committee_on_device> make_committee_on_device(const cuda& on, index_t rows, index_t cols,
                                                              std::span<const disagreement> which) {
  const current_device here(on.device, "committee_accumulator");
  // Memory is freed in the order of a stream, which for the default one is the current device's.
  const auto destroy = [device = on.device](committee_on_device* c) {
    int before = device;
    cudaGetDevice(&before);
    cudaSetDevice(device);
    delete c;
    cudaSetDevice(before);
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
  const int lanes = std::min(lanes_of(predictions.cols), 32);
  predictive_variance_kernel<<<grid_of(predictions.rows * lanes, block_threads), block_threads, 0, on.stream>>>(
      predictions, lanes, variance);
  check(cudaGetLastError(), "predictive_variance", "launching predictive_variance_kernel");
}

}  // namespace poolwise
