#include "poolwise/distance/detail/sweep_cuda.hpp"

#include <algorithm>

#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/exclude_pairs_cuda.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {
namespace {

constexpr index_t most_slab = 1 << 18;  // rows of a launch: what it lists stays small
constexpr index_t pairs_per_row = 4;    // that are listed
constexpr index_t short_cols = 32;      // rows shorter than this, ...
constexpr index_t few_centers = 16;     // ... or so few centres, or ...
constexpr index_t wide_cols = 1 << 20;  // ... rows wider than the bound speaks of: the canonical kernel

index_t slab_of(index_t rows) { return std::min(rows, most_slab); }

}  // namespace

std::size_t canonical_sweep::rounded_bytes(index_t cols, index_t rows) {
  return std::size_t(rows) * (std::size_t(rounded_pitch(cols)) * sizeof(std::uint16_t) + sizeof(float4));
}

std::size_t canonical_sweep::scratch_bytes(index_t cols, index_t rows, index_t centers) {
  const index_t slab = slab_of(rows), some = std::min(centers, most_centers);
  return rounded_bytes(cols, some) +
         std::size_t(slab * pairs_per_row + most_listed_tiles(slab, some)) * sizeof(uint2) +
         std::size_t(cols) * sizeof(float) + sizeof(counters);
}

canonical_sweep::canonical_sweep(device_memory& memory, int device, index_t cols, index_t rows, index_t centers,
                                 path allowed)
    : memory_(memory), cols_(cols) {
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device), memory.call(),
        "asking for the multiprocessors");
  room_ = std::min(centers, most_centers);
  slab_ = slab_of(rows);
  if (allowed == path::canonical || cols < short_cols || cols > wide_cols || centers <= few_centers ||
      rows == 0)
    return;
  if (!ready_to_exclude(memory.call())) return;
  // Copies of a slab at a time, of as many rows as there is room for, where none are kept.
  const std::size_t left = memory.left();
  const auto needed = [&] { return scratch_bytes(cols, slab_, centers) + rounded_bytes(cols, slab_); };
  while (slab_ > exclusion_tuning::rows && needed() > left) slab_ /= 2;
  if (needed() > left) return;
  tensor_cores_ = true;
  origin_ = memory.array<float>(cols);
  check(cudaMemsetAsync(origin_.data(), 0, std::size_t(cols) * sizeof(float), memory.stream()), memory.call(),
        "clearing the origin");
  rounded_centers_ = rounded_room(memory, room_, cols);
  pairs_ = memory.array<uint2>(slab_ * pairs_per_row);
  tiles_ = memory.array<uint2>(most_listed_tiles(slab_, room_));
  counts_ = memory.array<counters>(1);
  check(cudaMemsetAsync(counts_.data(), 0, sizeof(counters), memory.stream()), memory.call(),
        "clearing the counters");
}

bool canonical_sweep::uses_tensor_cores(index_t centers) const {
  return tensor_cores_ && centers > few_centers;
}

void canonical_sweep::set_origin(matrix_view<const float> points) {
  if (tensor_cores_ && points.rows > 0) find_origin(memory_, points, origin_.data());
}

rounded_rows canonical_sweep::keep(matrix_view<const float> points, index_t centers) {
  // What is free is not all to be had: pools grow in steps, and others take memory meanwhile.
  const std::size_t bytes = rounded_bytes(cols_, points.rows), left = memory_.left();
  if (!uses_tensor_cores(centers) || points.rows == 0 || bytes > left - left / 20) return {};
  rounded_rows kept;
  try {
    kept = rounded_room(memory_, points.rows, cols_);
  } catch (const memory_error&) {
    return {};
  }
  round_rows(memory_, points, origin_.data(), kept, nullptr);
  return kept;
}

void canonical_sweep::set_centers(matrix_view<const float> c) {
  centers_ = c;
  if (!uses_tensor_cores(c.rows)) return;
  rounded_limits* const limits = &counts_.data()->limits;
  check(cudaMemsetAsync(limits, 0, sizeof *limits, memory_.stream()), memory_.call(), "clearing limits");
  round_rows(memory_, c, origin_.data(), rounded_centers_, limits);
}

template <class Sink>
void canonical_sweep::exclude_and_decide(matrix_view<const float> points, const rounded_rows& rounded,
                                         index_t first, Sink sink) {
  counters* const count = counts_.data();
  check(cudaMemsetAsync(count, 0, offsetof(counters, limits), memory_.stream()), memory_.call(),
        "clearing the counters");
  const index_t pitch = rounded_pitch(cols_);
  const pair_list left{.pairs = pairs_.data(),
                       .pair_room = unsigned(pairs_.size()),
                       .pair_count = &count->pairs,
                       .tiles = tiles_.data(),
                       .tile_count = &count->tiles};
  const exclusion_job job{.x = rounded.values.data() + first * pitch,
                          .x_facts = rounded.facts.data() + first,
                          .rows = int(points.rows),
                          .y = rounded_centers_.values.data(),
                          .y_facts = rounded_centers_.facts.data(),
                          .centers = int(centers_.rows),
                          .pitch = int(pitch),
                          .bounds = sink.bounds(),
                          .bound_step = Sink::bound_step,
                          .ties = Sink::ties,
                          .limits = &count->limits,
                          .product_error = float(pitch + 16) * 0x1p-22f,
                          .canonical_error = float(cols_ / canonical_lanes + 9) * 0x1p-23f + 0x1p-18f,
                          .underflow = float(cols_) * 0x1p-118f,
                          .left = left,
                          .survivors = &count->survivors};
  exclude_pairs(memory_, job, multiprocessors_);
  listed_canonical(memory_, points, centers_, left, most_listed_tiles(points.rows, centers_.rows),
                   multiprocessors_, sink);
}

template <class Sink>
void canonical_sweep::sweep(matrix_view<const float> points, const rounded_rows& kept, Sink sink) {
  if (!uses_tensor_cores(centers_.rows)) return all_canonical(memory_, points, centers_, sink);
  if (kept.empty() && rounded_slab_.empty()) rounded_slab_ = rounded_room(memory_, slab_, cols_);
  for (index_t first = 0; first < points.rows; first += slab_) {
    const auto slab = rows_between(points, first, std::min(points.rows, first + slab_));
    if (kept.empty()) round_rows(memory_, slab, origin_.data(), rounded_slab_, nullptr);
    exclude_and_decide(slab, kept.empty() ? rounded_slab_ : kept, kept.empty() ? 0 : first, sink.from(first));
  }
}

void canonical_sweep::lower(matrix_view<const float> points, const rounded_rows& kept, float* m) {
  sweep(points, kept, least_distance{m});
}

void canonical_sweep::lower(matrix_view<const float> points, const rounded_rows& kept, nearest_key* nearest,
                            std::uint32_t first_reference) {
  sweep(points, kept, nearest_reference{nearest, first_reference});
}

void canonical_sweep::all_pairs(matrix_view<const float> points, float* d2, index_t pitch) {
  all_canonical(memory_, points, points, all_distances{d2, pitch});
}

index_t canonical_sweep::survivors() const {
  unsigned long long count = 0;
  if (!tensor_cores_) return 0;
  copy_async(&count, &counts_.data()->survivors, 1, memory_);
  check(cudaStreamSynchronize(memory_.stream()), memory_.call(), "waiting for a count");
  return index_t(count);
}

}  // namespace poolwise
