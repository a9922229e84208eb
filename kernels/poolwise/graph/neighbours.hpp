// Who is near whom: neighbour lists, clusters, and the order of rows by cell.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/distance/finite_rows.hpp"

namespace poolwise {

/// The nearest references to every point, as many as `which` has columns, by the canonical distance: nearer
/// first, ties to the lower reference. Exact, to the bit, on every device.
///
/// points      [rows, cols]
/// references  [references, cols], at least as many as `which` has columns
/// which       [rows, neighbours], written; neighbours >= 1
/// d2          [rows, neighbours], written, or empty
/// throws  shape_error; value_error for a NaN or an infinity in either; on devices memory_error, cuda_error,
/// and
///         shape_error for more than 2048 neighbours or 2^32 - 1 references.
/// On a CPU products of rows as bytes or words exclude pairs under a proven bound and the canonical distance
/// decides: threads never wait for each other, and each holds up to 960 points, 1 or 2 B a value, and twice
/// their lists. On a device a FAISS with its GPU part proposes (bfKnn, on the stream of `on`); without one,
/// every pair gets its canonical distance. There rows far from the origin but near each other leave the
/// products nothing to say: centre such data first. With `cuda` the views lie in device memory and the call
/// waits for the check of its inputs; with `offload` the first device works on tiles of points, for which the
/// references must fit into its memory.
void nearest_neighbours(const where& on, point_rows points, point_rows references, matrix_view<index_t> which,
                        matrix_view<float> d2 = {});

/// The nearest neighbours of every point among the others: nearest_neighbours() with the point itself left out.
/// Equal points are neighbours of each other.
void knn_graph(const where& on, point_rows points, matrix_view<index_t> neighbours, matrix_view<float> d2 = {});

/// knn_graph() by an inverted file: of each point only the neighbours in those `probes` cells whose centroids
/// are nearest to it. With probes = centroids.rows it is knn_graph(); its recall below that depends on the
/// data.
///
/// neighbours  [rows, neighbours], written; -1 where the probed cells hold no more, d2 infinite there
/// throws  as nearest_neighbours(), and shape_error for rows of no columns.
/// On a CPU products exclude pairs as in nearest_neighbours(), so that it is exact within the cells, the same
/// for any number of threads. Holds a copy of the points, in the order of their cells; a thread holds 4 MiB of
/// lists. On a device FAISS's GpuIndexIVFFlat proposes a few neighbours more than asked for (at most 1819), and
/// the canonical distance orders them; no_cuda_error is thrown if FAISS has no GPU part. Views are host memory,
/// but for `cuda`, where they lie on the device.
void knn_graph_ivf(const where& on, point_rows points, point_rows centroids, index_t probes,
                   matrix_view<index_t> neighbours, matrix_view<float> d2 = {});

struct hnsw_options {
  index_t links = 16;              ///< of a point to others on each level; twice as many on the lowest
  index_t breadth_of_making = 40;  ///< points that a walk keeps while links are made
  index_t breadth = 64;            ///< points that a walk keeps while neighbours are looked for: more find more
};

/// knn_graph() by a hierarchical navigable small world: the neighbours that a walk along links between near
/// points finds. Its recall depends on the data.
///
/// neighbours  [rows, neighbours], written; -1 where a walk finds no more, d2 infinite there
/// throws  value_error for options below 1 (2 links); shape_error for 2^31 points and more; no_cuda_error.
/// FAISS's IndexHNSW over canonical distances. One thread makes the links, since FAISS's result would depend
/// on which of several comes first; all threads walk. So the lists are the same on any machine. Holds about
/// 500 B a point with 16 links while they are made, and a copy of points whose rows are padded.
/// Malkov & Yashunin, IEEE TPAMI 2020.
/// Library-only: the engine has such lists by knn_graph_by, which tunes them.
void knn_graph_hnsw(const where& on, point_rows points, matrix_view<index_t> neighbours,
                    matrix_view<float> d2 = {}, const hnsw_options& options = {});

struct kmeans_options {
  /// Rows that are trained on, drawn without replacement by `seed`; 0 for all. (FAISS would take 256 a
  /// centroid.)
  index_t train_rows = 0;
  int iterations = 25;
  std::uint64_t seed = 0;
  vector_view<const float> weights = {};  ///< [rows] > 0, finite, of all rows in a mean; or empty for 1
  index_t fixed = 0;                      ///< the first so many centroids are read, and stay where they are
};

/// k-means: writes the centroids [clusters, cols] that Lloyd's iterations reach from randomly drawn rows.
/// throws  shape_error for fewer rows to train on than clusters, or no columns; value_error for a NaN or an
/// infinity in points or fixed centroids, another weight. With weights or fixed centroids all rows are trained
/// on, in host memory. FAISS's Clustering, but for fixed centroids; every assignment is nearest()'s, so that
/// the centroids are the same, to the bit, for any number of threads and on any device. FAISS takes the means
/// on the host: with `cuda` the rows to train on are copied there and the call waits; points and centroids lie
/// on the device.
void kmeans(const where& on, point_rows points, matrix_view<float> centroids,
            const kmeans_options& options = {});

/// Rows in the order of their cells: those of cell c are rows[begin[c]] to rows[begin[c + 1] - 1], ascending.
struct cell_order {
  std::vector<index_t> rows;
  std::vector<index_t> begin;  // cells + 1
};

/// Every row belongs to the cell of its nearest centroid. Waits; the result is host memory.
cell_order ivf_cells(const where& on, point_rows points, point_rows centroids);

}  // namespace poolwise
