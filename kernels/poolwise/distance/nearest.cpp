// nearest: few references are all compared, products of quantised rows exclude most of many.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/offload.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/distance_tiles.hpp"
#include "poolwise/distance/detail/nearest_cuda.hpp"
#include "poolwise/distance/distance.hpp"

namespace poolwise {
namespace {

constexpr index_t point_block = 64;  // points of a scan

// References of a scan that are compared with all points of a block while they stay in the L1 cache.
constexpr index_t scan_bytes = 24 * 1024;
constexpr index_t most_scanned = 1024;

// Up to so many references a scan takes no longer than products do (bench/kernels/distance.cpp).
constexpr index_t scanned_references = 256;

struct neighbour {
  float d2 = std::numeric_limits<float>::infinity();
  index_t reference = 0;
};

/// best[i] = the nearest of all references to row i of points.
void scan(matrix_view<const float> points, matrix_view<const float> references, neighbour* best) {
  const index_t row_bytes = std::max<index_t>(1, references.cols) * index_t(sizeof(float));
  const index_t step = std::clamp<index_t>(scan_bytes / row_bytes, 4, most_scanned);
  std::fill_n(best, points.rows, neighbour{});
  float d2[most_scanned];
  for (index_t begin = 0; begin < references.rows; begin += step) {
    const auto some = rows_between(references, begin, std::min(references.rows, begin + step));
    for (index_t i = 0; i < points.rows; ++i) {
      canonical_squared_distances(some, points.row(i), d2);
      const float* const low = std::min_element(d2, d2 + some.rows);  // the first of equals
      if (*low < best[i].d2) best[i] = {*low, begin + (low - d2)};
    }
  }
}

/// Calls result(i, neighbour) for each row i of points.
template <class Result>
void by_scan(cpu on, matrix_view<const float> points, matrix_view<const float> references, Result&& result) {
  parallel_blocks(on, points.rows, point_block, [&](index_t, index_t begin, index_t end) {
    neighbour best[point_block];
    scan(rows_between(points, begin, end), references, best);
    for (index_t i = begin; i < end; ++i) result(i, best[i - begin]);
  });
}

template <class Result>
void by_products(cpu on, matrix_view<const float> points, matrix_view<const float> references,
                 Result&& result) {
  const distance_tiles tiles(points, references);
  parallel_blocks(on, points.rows, tiles.block(), [&](index_t, index_t begin, index_t end) {
    std::vector<neighbour> best(std::size_t(end - begin));
    const auto of = [&](index_t i) -> neighbour& { return best[std::size_t(i - begin)]; };
    // Of equally near references the first one stays.
    const auto reach = [&](index_t i, index_t) { return of(i).d2 > 0 ? of(i).d2 : -1; };
    distance_tiles::block_of_points(tiles, begin, end)
        .decide(0, references.rows, reach, [&](index_t i, index_t j, float d2) {
          if (d2 < of(i).d2) of(i) = {d2, j};
        });
    for (index_t i = begin; i < end; ++i) result(i, of(i));
  });
}

void check_shapes(matrix_view<const float> points, matrix_view<const float> references, vector_view<float> d2,
                  vector_view<index_t> which) {
  const auto refuse = [](const std::string& what) { throw shape_error("nearest: " + what); };
  if (references.rows == 0) refuse("got no references; pass at least one");
  if (references.cols != points.cols)
    refuse("references has " + std::to_string(references.cols) + " columns but points has " +
           std::to_string(points.cols) + "; pass both from the same features");
  if (d2.size != points.rows)
    refuse("d2 has " + std::to_string(d2.size) + " places but points has " + std::to_string(points.rows) +
           " rows; pass one place per row");
  if (!which.empty() && which.size != points.rows)
    refuse("which has " + std::to_string(which.size) + " places but points has " + std::to_string(points.rows) +
           " rows; pass one place per row, or none");
}

[[maybe_unused]] void offload_nearest(const offload& on, matrix_view<const float> points,
                                      matrix_view<const float> references, vector_view<float> d2,
                                      vector_view<index_t> which) {
  if (points.rows == 0) return;
  if constexpr (has_cuda) {
    const whole<matrix_view<const float>> all{references};
    if (which.empty())
      for_each_tile(
          on, "nearest",
          [](const device_tile& tile, auto some, auto every, auto least) {
            nearest_cuda(tile.on, some, every, least, {});
          },
          points, all, d2);
    else
      for_each_tile(
          on, "nearest",
          [](const device_tile& tile, auto some, auto every, auto least, auto reference) {
            nearest_cuda(tile.on, some, every, least, reference);
          },
          points, all, d2, which);
  }
}

}  // namespace

void nearest(const where& on, point_rows given, point_rows given_references, vector_view<float> d2,
             vector_view<index_t> which) {
  require_build_for(on, "nearest");
  check_shapes(given, given_references, d2, which);
  const finite_rows points = given.require_finite(on, "nearest", "points"),
                    references = given_references.require_finite(on, "nearest", "references");
  require_reachable(on, "nearest", {{"d2", d2}, {"which", which}});
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on))
      return nearest_cuda(*device, points, references, d2, which);
    if (const auto* devices = std::get_if<offload>(&on))
      return offload_nearest(*devices, points, references, d2, which);
  }
  const cpu host = require_cpu(on, "nearest");
  const auto write = [&](index_t i, neighbour found) {
    d2[i] = found.d2;
    if (!which.empty()) which[i] = found.reference;
  };
  if (references.rows() <= scanned_references)
    by_scan(host, points, references, write);
  else
    by_products(host, points, references, write);
}

std::vector<float> distances_to(const where& on, point_rows points, point_rows references) {
  std::vector<float> d2(references.rows() > 0 ? std::size_t(points.rows()) : 0);
  if (!d2.empty()) nearest(on, points, references, {d2.data(), points.rows()});
  return d2;
}

}  // namespace poolwise
