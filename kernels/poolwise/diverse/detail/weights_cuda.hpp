// The kernels of k-means++ beside the sweep of plain rows: sums of weights, draws, and distances of factored
// rows. The device of the memory is current; arrays lie on it; nothing waits.
#pragma once

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/order.hpp"

namespace poolwise {

/// sums[b] = the sum of the weights of block b, in the order that stale_rejection.hpp lays down.
void sum_weights(const device_memory& memory, vector_view<const float> weights, double* sums);

/// Where a draw falls: its block, and what is left of the target there.
struct block_draw {
  index_t block;
  double target;
};

/// drawn[i] = the row that draw i means, with its weight.
void draw_rows(const device_memory& memory, vector_view<const float> weights,
               vector_view<const block_draw> draws, candidate* drawn);

/// Outer products a_i (x) h_i on a device.
struct factored_view {
  matrix_view<const float> a, h;
  const double* norm2 = nullptr;  ///< [rows] |a_i|^2 (|h_i|^2 + bias)
  double bias = 0;
};

/// norm2[i] = a_norm2[i] (h_norm2[i] + bias). `*first_beyond` becomes the least of itself and the first row
/// where one of the two is larger than largest_norm2.
void multiply_norms(const device_memory& memory, vector_view<const float> a_norm2, const float* h_norm2,
                    double bias, double* norm2, unsigned long long* first_beyond);

/// to[i] = float(from[i])
void round_norms(const device_memory& memory, vector_view<const double> from, float* to);

/// m[i] = min(m[i], squared distance of row i of x to each row of y), as kmeans_pp defines it. Negative m stay.
void lower_factored(const device_memory& memory, const factored_view& x, const factored_view& y, float* m);

/// d2[i * pitch + j] = squared distance of rows i and j of x.
void all_factored_pairs(const device_memory& memory, const factored_view& x, float* d2, index_t pitch);

}  // namespace poolwise
