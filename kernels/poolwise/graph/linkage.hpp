// Clusters that are merged from below.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"

namespace poolwise {

/// Clusters of average linkage: again and again the two whose rows lie nearest on average are one.
///
/// points   [rows, cols]
/// weights  [rows] > 0, how many rows each stands for, or empty for 1
/// fewest   clusters, where merging ends; at least 1
/// height   the average distance at which it ends before that; infinity for none
/// returns  [rows] the cluster of each row, numbered in the order of their first rows
/// throws   shape_error; value_error for a NaN or an infinity in points, another weight, height or `fewest`;
///          no_cuda_error.
/// Distances are roots of canonical ones, in fp32, averages by Lance & Williams in fp32. By chains of nearest
/// neighbours: rows^2 * (cols + 3) operations and 4 * rows^2 bytes. The same for any number of threads.
/// Sokal & Michener 1958; Murtagh 1983.
std::vector<index_t> average_linkage(const where& on, point_rows points, vector_view<const float> weights,
                                     index_t fewest, float height);

constexpr std::uint64_t average_linkage_bytes(std::uint64_t rows) { return rows * (4 * rows + 64); }

}  // namespace poolwise
