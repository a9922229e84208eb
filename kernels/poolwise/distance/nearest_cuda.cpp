#include "poolwise/distance/detail/nearest_cuda.hpp"

#include <algorithm>

#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/sweep_cuda.hpp"

namespace poolwise {
namespace {

constexpr const char* call = "nearest";
constexpr index_t most_tile = 1 << 20;   // points that are brought before all references
constexpr index_t most_epoch = 1 << 30;  // references that a key tells apart
constexpr index_t least_tile = 1024;

}  // namespace

void nearest_cuda(const cuda& on, matrix_view<const float> points, matrix_view<const float> references,
                  vector_view<float> d2, vector_view<index_t> which) {
  if (points.rows == 0) return;
  const current_device here(on.device, call);
  device_memory memory(on, call);
  // Keys and bf16 copies of a tile take no more than half of what there is.
  const std::size_t left = memory.left();
  index_t tile = std::min(points.rows, most_tile);
  while (tile > least_tile &&
         std::size_t(tile) * sizeof(nearest_key) + canonical_sweep::rounded_bytes(points.cols, tile) > left / 2)
    tile /= 2;
  const auto keys = memory.array<nearest_key>(tile);
  const index_t slab = std::min(references.rows, canonical_sweep::most_centers);
  canonical_sweep sweep(memory, on.device, points.cols, tile, slab);
  sweep.set_origin(references);
  for (index_t first = 0; first < points.rows; first += tile) {
    const auto some = rows_between(points, first, std::min(points.rows, first + tile));
    rounded_rows kept;
    if (references.rows > slab) kept = sweep.keep(some, slab);
    for (index_t epoch = 0; epoch < references.rows; epoch += most_epoch) {
      begin_nearest(memory, {keys.data(), some.rows});
      const index_t end = std::min(references.rows, epoch + most_epoch);
      for (index_t at = epoch; at < end; at += slab) {
        sweep.set_centers(rows_between(references, at, std::min(end, at + slab)));
        sweep.lower(some, kept, keys.data(), std::uint32_t(at - epoch));
      }
      end_nearest(memory, {keys.data(), some.rows}, epoch, d2.data + first,
                  which.empty() ? nullptr : which.data + first);
    }
  }
}

}  // namespace poolwise
