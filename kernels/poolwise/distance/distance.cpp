#include "poolwise/distance/distance.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
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
#include "poolwise/distance/detail/canonical_cuda.hpp"

namespace poolwise {
namespace {

constexpr index_t row_block = 1024;

void require_places(const char* call, const char* output, index_t places, index_t rows) {
  if (places != rows)
    throw shape_error(std::string(call) + ": " + output + " has " + std::to_string(places) +
                      " places but points has " + std::to_string(rows) + " rows; pass one place per row");
}

/// Adds the rows of x that hold a NaN or an infinity; they begin at row `first_row` of the whole.
void count_nonfinite(matrix_view<const float> x, index_t first_row, nonfinite_rows& found) {
  const auto add = [&](const float* values, index_t size) {
    const float largest = largest_size(values, size);
    const bool finite = largest <= std::numeric_limits<float>::max();
    if (finite) found.largest = std::max(found.largest, largest);
    return finite;
  };
  // Most pools hold none, and where the rows touch each other one look over all of them says so.
  if (x.stride == x.cols && add(x.data, x.rows * x.cols)) return;
  for (index_t i = 0; i < x.rows; ++i)
    if (!add(x.row(i), x.cols) && found.count++ == 0) found.first = first_row + i;
}

}  // namespace

void squared_distances(const where& on, matrix_view<const float> points, vector_view<const float> center,
                       vector_view<float> d2) {
  require_build_for(on, "squared_distances");
  require_places("squared_distances", "d2", d2.size, points.rows);
  if (center.size != points.cols)
    throw shape_error("squared_distances: center has " + std::to_string(center.size) +
                      " columns but points has " + std::to_string(points.cols) +
                      "; pass a center of as many columns");
  require_reachable(on, "squared_distances", {{"points", points}, {"center", center}, {"d2", d2}});
  if constexpr (has_cuda)
    if (const auto* device = std::get_if<cuda>(&on)) return squared_distances_cuda(*device, points, center, d2);
  if constexpr (has_cuda)
    if (const auto* devices = std::get_if<offload>(&on))
      return for_each_tile(
          *devices, "squared_distances",
          [](const device_tile& tile, matrix_view<const float> rows, vector_view<float> d2_of_rows,
             vector_view<const float> y) { squared_distances(tile.on, rows, y, d2_of_rows); },
          points, d2, whole{center});
  const cpu host = require_cpu(on, "squared_distances");
  parallel_blocks(host, points.rows, row_block, [&](index_t, index_t begin, index_t end) {
    canonical_squared_distances(rows_between(points, begin, end), center.data, d2.data + begin);
  });
}

void squared_norms(const where& on, matrix_view<const float> points, vector_view<float> d2) {
  require_build_for(on, "squared_norms");
  require_places("squared_norms", "d2", d2.size, points.rows);
  require_reachable(on, "squared_norms", {{"points", points}, {"d2", d2}});
  if constexpr (has_cuda)
    if (const auto* device = std::get_if<cuda>(&on)) return squared_norms_cuda(*device, points, d2);
  if constexpr (has_cuda)
    if (const auto* devices = std::get_if<offload>(&on))
      return for_each_tile(
          *devices, "squared_norms",
          [](const device_tile& tile, matrix_view<const float> rows, vector_view<float> d2_of_rows) {
            squared_norms(tile.on, rows, d2_of_rows);
          },
          points, d2);
  const cpu host = require_cpu(on, "squared_norms");
  parallel_blocks(host, points.rows, row_block, [&](index_t, index_t begin, index_t end) {
    canonical_squared_norms(rows_between(points, begin, end), d2.data + begin);
  });
}

nonfinite_rows find_nonfinite(const where& on, matrix_view<const float> points) {
  require_build_for(on, "find_nonfinite");
  require_reachable(on, "find_nonfinite", {{"points", points}});
  if constexpr (has_cuda)
    if (const auto* device = std::get_if<cuda>(&on))
      return find_nonfinite_cuda(*device, "find_nonfinite", points);
  // Rows that are to travel to devices lie on the host, which reads them faster than they travel.
  const cpu host = host_of(on);
  std::vector<nonfinite_rows> found(std::size_t(blocks_of(points.rows, row_block)));
  parallel_blocks(host, points.rows, row_block, [&](index_t b, index_t begin, index_t end) {
    count_nonfinite(rows_between(points, begin, end), begin, found[std::size_t(b)]);
  });
  nonfinite_rows all;
  for (const nonfinite_rows& block : found) {
    if (all.count == 0) all.first = block.first;
    all.count += block.count;
    all.largest = std::max(all.largest, block.largest);
  }
  return all;
}

double distance_scale(float largest, index_t cols) {
  // |x - y|^2 is at most 4 cols largest^2. Differences that are 2^12 times smaller than the largest value still
  // count.
  const bool above = 4 * double(cols) * largest * largest > std::numeric_limits<float>::max();
  const bool below = largest > 0 && largest < 0x1p-50f;
  return above || below ? std::ldexp(1.0, -std::ilogb(largest)) : 1;
}

std::string why_scaled(const char* points, float largest) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", double(largest));
  return "the squared distance of " + std::string(points) + " up to " + text +
         (largest > 1 ? " leaves the range of fp32" : " is too small for fp32");
}

namespace {

/// Refuses rows that are not finite. Gives the largest size of a value.
float largest_if_finite(const where& on, const char* call, const char* argument,
                        matrix_view<const float> points) {
  require_build_for(on, call);
  require_reachable(on, call, {{argument, points}});
  const nonfinite_rows found = find_nonfinite(on, points);
  if (found.count > 0)
    throw value_error(std::string(call) + ": " + argument + " holds a NaN or an infinity in row " +
                      std::to_string(found.first) + " (" + std::to_string(found.count) +
                      " such rows); leave these rows out");
  return found.largest;
}

}  // namespace

finite_rows require_finite(const where& on, const char* call, const char* argument,
                           matrix_view<const float> points) {
  largest_if_finite(on, call, argument, points);
  return finite_rows::judged(points);
}

finite_rows require_distances(const where& on, const char* call, const char* argument,
                              matrix_view<const float> points) {
  const float largest = largest_if_finite(on, call, argument, points);
  if (const double scale = distance_scale(largest, points.cols); scale != 1)
    throw value_error(std::string(call) + ": " + why_scaled(argument, largest) + "; multiply them by 2^" +
                      std::to_string(std::ilogb(scale)) + ", which is exact");
  return finite_rows::judged(points);
}

}  // namespace poolwise
