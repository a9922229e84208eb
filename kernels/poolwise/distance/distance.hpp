// The canonical squared Euclidean distance. Every distance that decides something is this one, to the bit.
#pragma once

#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"

namespace poolwise {

/// The number of partial sums of the canonical tree: column c goes to partial sum c mod 16.
inline constexpr int canonical_lanes = 16;

/// |x - y|^2 in fp32 by one fixed tree: partial sum j gathers fma(x_c - y_c, x_c - y_c, .) over the columns
/// c = j, j + 16, ... in ascending order from 0; then the sums j and j + 8 are added, then j + 4, j + 2, j + 1.
/// The definition itself, one pair at a time; the drivers below give the same bits on every CPU target.
float canonical_squared_distance(const float* x, const float* y, index_t cols);

/// The dot product by the same tree, with fma(x_c, y_c, .).
float canonical_dot(const float* x, const float* y, index_t cols);

/// d2[i] = |points_i - center|^2.
/// points [rows, cols], center [cols], d2 [rows].  throws shape_error, no_cuda_error.
/// Memory-bound: reads rows*cols.
void squared_distances(const where& on, matrix_view<const float> points, vector_view<const float> center,
                       vector_view<float> d2);

/// d2[i] = |points_i|^2 by the canonical dot.
void squared_norms(const where& on, matrix_view<const float> points, vector_view<float> d2);

/// The nearest reference to every point, by the canonical distance; ties to the lower reference.
///
/// points      [rows, cols]
/// references  [references, cols], at least one
/// d2          [rows], written;  which [rows] or empty, written
/// throws  shape_error; value_error for a NaN or an infinity in either; no_cuda_error.
/// Exact, to the bit. On a CPU up to 256 references are all compared; of more, products of rows as bytes or
/// words exclude most under a proven bound, and the canonical distance decides: a thread holds up to 960
/// points, 1 or 2 B a value. On a device bf16 tensor cores exclude, where shapes make it pay (sm_80 and newer),
/// and the canonical distance decides; it waits for the search for NaN and infinity, not for the result. From
/// 2^17 reference elements on FAISS's GPU part, where it is installed, proposes there as well, and is waited
/// for. Memory without it: 8 B a point and, with tensor cores, 2 B an element of a tile, 32 B a point and 2 B
/// an element of 4096 references; as much as there is under a ceiling. Offloaded, every device holds all
/// references.
void nearest(const where& on, point_rows points, point_rows references, vector_view<float> d2,
             vector_view<index_t> which = {});
/// The distances alone, of rows in host memory; empty where there are no references.
std::vector<float> distances_to(const where& on, point_rows points, point_rows references);

/// The first row that holds a NaN or an infinity, and how many such rows there are (first = -1 if none).
/// On a device it waits for the answer; offloaded, the host looks, where the rows are.
struct nonfinite_rows {
  index_t first = -1;
  index_t count = 0;
  float largest = 0;  ///< largest_size of the other rows; on a device it is not looked for
};
/// Library-only: the engine asks for finite rows by require_finite.
nonfinite_rows find_nonfinite(const where& on, matrix_view<const float> points);

}  // namespace poolwise
