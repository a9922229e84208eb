// Neighbour lists against brute force, to the bit; k-means and cells against their definitions.
#include "poolwise/graph/neighbours.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"
#include "reference/neighbours.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::lists;
using reference::normal_rows;

lists searched(cpu on, const std::vector<float>& points, const std::vector<float>& references, index_t cols,
               index_t neighbours) {
  const index_t rows = index_t(points.size()) / cols;
  lists got(rows, neighbours);
  nearest_neighbours(on, {points.data(), rows, cols},
                     {references.data(), index_t(references.size()) / cols, cols}, got.which_view(),
                     got.d2_view());
  return got;
}

lists graph(cpu on, const std::vector<float>& points, index_t cols, index_t neighbours) {
  const index_t rows = index_t(points.size()) / cols;
  lists got(rows, neighbours);
  knn_graph(on, {points.data(), rows, cols}, got.which_view(), got.d2_view());
  return got;
}

TEST(NearestNeighbours, AreThoseOfBruteForce) {
  for (const index_t cols : {1, 7, 16, 33, 100})
    for (const index_t neighbours : {1, 2, 31, 300}) {
      SCOPED_TRACE(testing::Message() << cols << " columns, " << neighbours << " neighbours");
      const auto points = normal_rows(40, cols, 1), references = normal_rows(300, cols, 2);
      EXPECT_EQ(searched({}, points, references, cols, neighbours),
                reference::neighbours_of(points, references, cols, neighbours));
    }
}

TEST(NearestNeighbours, AreExactWhereTheGemmSaysNothing) {
  auto points = normal_rows(300, 8, 3);
  for (float& v : points) v += 3e4f;  // distances of about 1 between norms of about 1e5
  EXPECT_EQ(graph({}, points, 8, 5), reference::neighbours_of(points, points, 8, 5, 0));
}

TEST(KnnGraph, LeavesThePointItselfOutAndKeepsItsEquals) {
  auto points = normal_rows(50, 5, 4);
  for (int copy = 0; copy < 40; ++copy) std::copy_n(points.begin(), 5, points.begin() + (copy + 5) * 5);
  const lists got = graph({}, points, 5, 12);
  EXPECT_EQ(got, reference::neighbours_of(points, points, 5, 12, 0));
  EXPECT_EQ(got.which[0], 5);  // the first of its equals
  EXPECT_EQ(got.d2[0], 0);
}

TEST(KnnGraph, IsTheSameForAnyNumberOfThreads) {
  const auto points = normal_rows(3000, 24, 5);
  const lists one = graph({1}, points, 24, 10);
  for (const int threads : {2, 3, 5}) EXPECT_EQ(graph({threads}, points, 24, 10), one) << threads;
}

TEST(KnnGraph, ReadsAndWritesPaddedRows) {
  const index_t rows = 60, cols = 6, stride = 9, neighbours = 4;
  const auto points = normal_rows(rows, cols, 6);
  std::vector<float> padded(std::size_t(rows * stride), std::numeric_limits<float>::quiet_NaN());
  for (index_t i = 0; i < rows; ++i) std::copy_n(points.data() + i * cols, cols, padded.data() + i * stride);
  std::vector<index_t> which(std::size_t(rows * stride), -7);
  knn_graph(cpu{}, {padded.data(), rows, cols, stride}, {which.data(), rows, neighbours, stride});
  const lists expected = reference::neighbours_of(points, points, cols, neighbours, 0);
  for (index_t i = 0; i < rows; ++i)
    for (index_t n = 0; n < stride; ++n)
      EXPECT_EQ(which[std::size_t(i * stride + n)],
                n < neighbours ? expected.which[std::size_t(i * neighbours + n)] : -7);
}

TEST(KnnGraph, RefusesWhatItCannotDo) {
  const auto points = normal_rows(4, 3, 7);
  std::vector<index_t> which(16);
  const matrix_view<const float> x{points.data(), 4, 3};
  expect_refused<shape_error>(
      [&] {
        knn_graph(cpu{}, x, {which.data(), 4, 4});
      },
      "knn_graph: neighbours has 4 columns but there are 3 to choose from; ask for 1 to 3");
  expect_refused<shape_error>(
      [&] {
        knn_graph(cpu{}, x, {which.data(), 3, 2});
      },
      "knn_graph: neighbours has 3 rows but points has 4; pass one row per point");
  const std::vector<float> bad{1, 2, 3, 4, std::numeric_limits<float>::quiet_NaN(), 6};
  expect_refused<value_error>(
      [&] {
        knn_graph(cpu{}, {bad.data(), 2, 3}, {which.data(), 2, 1});
      },
      "knn_graph: points holds a NaN or an infinity in row 1 (1 such rows); leave these rows out");
}

/// Rows around `clusters` centres that lie 10 apart in every column.
std::vector<float> clustered_rows(index_t rows, index_t cols, index_t clusters, unsigned seed) {
  auto x = normal_rows(rows, cols, seed);
  for (index_t i = 0; i < rows; ++i)
    for (index_t c = 0; c < cols; ++c) x[std::size_t(i * cols + c)] += 10.0f * float(i % clusters);
  return x;
}

std::vector<float> means(cpu on, const std::vector<float>& points, index_t cols, index_t clusters,
                         const kmeans_options& options = {}) {
  std::vector<float> centroids(std::size_t(clusters * cols));
  kmeans(on, {points.data(), index_t(points.size()) / cols, cols}, {centroids.data(), clusters, cols}, options);
  return centroids;
}

TEST(KnnGraphIvf, FindsMostOfTheGraphAndAllOfItWithAllProbes) {
  const index_t rows = 1000, cols = 16, neighbours = 10, cells = 20;
  const auto points = normal_rows(rows, cols, 8);
  const auto centroids = means({}, points, cols, cells);
  const matrix_view<const float> x{points.data(), rows, cols}, c{centroids.data(), cells, cols};
  const lists exact = reference::neighbours_of(points, points, cols, neighbours, 0);
  lists all(rows, neighbours), some(rows, neighbours), again(rows, neighbours);
  knn_graph_ivf(cpu{}, x, c, cells, all.which_view(), all.d2_view());
  EXPECT_EQ(all, exact);
  knn_graph_ivf(cpu{1}, x, c, 5, some.which_view(), some.d2_view());
  // Isotropic noise in 16 dimensions, a quarter of the cells: the hardest case for an inverted file. Found:
  // 0.82.
  EXPECT_GT(reference::recall(some, exact), 0.75);
  knn_graph_ivf(cpu{3}, x, c, 5, again.which_view(), again.d2_view());
  EXPECT_EQ(again, some);
}

/// Of each point only what lies in the cells of its `probes` nearest centroids; one column, so that all is
/// seen.
lists within_cells(const std::vector<float>& points, const std::vector<float>& centroids, index_t cols,
                   index_t neighbours, index_t probes) {
  const index_t rows = index_t(points.size()) / cols;
  const lists own = reference::neighbours_of(points, centroids, cols, 1);
  const lists probed = reference::neighbours_of(points, centroids, cols, probes);
  const lists all = reference::neighbours_of(points, points, cols, rows - 1, 0);
  lists found(rows, neighbours);
  for (index_t i = 0; i < rows; ++i) {
    const auto first = probed.which.begin() + i * probes;
    index_t n = 0;
    for (index_t a = i * (rows - 1); a < (i + 1) * (rows - 1) && n < neighbours; ++a) {
      const index_t other = all.which[std::size_t(a)];
      if (std::find(first, first + probes, own.which[std::size_t(other)]) == first + probes) continue;
      found.which[std::size_t(i * neighbours + n)] = other;
      found.d2[std::size_t(i * neighbours + n++)] = all.d2[std::size_t(a)];
    }
    for (; n < neighbours; ++n) {
      found.which[std::size_t(i * neighbours + n)] = -1;
      found.d2[std::size_t(i * neighbours + n)] = std::numeric_limits<float>::infinity();
    }
  }
  return found;
}

TEST(KnnGraphIvf, IsBruteForceWithinTheProbedCells) {
  for (const index_t rows : {2, 31, 33, 150})
    for (const index_t cols : {1, 7, 33})
      for (const index_t cells : {1, 5, 40})
        for (const index_t probes : {1, 3}) {
          if (cells > rows || probes > cells) continue;
          SCOPED_TRACE(testing::Message()
                       << rows << " rows, " << cols << " columns, " << probes << " of " << cells);
          auto points = normal_rows(rows, cols, unsigned(rows + cols));
          for (index_t i = 10; i < rows; i += 3)  // equal rows
            std::copy_n(points.begin() + (i - 10) * cols, cols, points.begin() + i * cols);
          const auto centroids = normal_rows(cells, cols, unsigned(cells));
          const index_t neighbours = std::min<index_t>(9, rows - 1);
          const lists expected = within_cells(points, centroids, cols, neighbours, probes);
          for (const int threads : {1, 2, 5}) {
            lists got(rows, neighbours);
            knn_graph_ivf(cpu{threads}, {points.data(), rows, cols}, {centroids.data(), cells, cols}, probes,
                          got.which_view(), got.d2_view());
            EXPECT_EQ(got, expected) << threads << " threads";
          }
        }
}

TEST(KnnGraphIvf, ReadsPaddedRowsAndMoreThanABlock) {
  const index_t rows = 5000, cols = 3, stride = 5, cells = 8, neighbours = 4;
  const auto padded = normal_rows(rows, stride, 21), centroids = normal_rows(cells, cols, 22);
  lists all(rows, neighbours), exact(rows, neighbours);
  knn_graph_ivf(cpu{}, {padded.data(), rows, cols, stride}, {centroids.data(), cells, cols}, cells,
                all.which_view(), all.d2_view());
  knn_graph(cpu{}, {padded.data(), rows, cols, stride}, exact.which_view(), exact.d2_view());
  EXPECT_EQ(all, exact);
}

TEST(KnnGraphIvf, SaysSoWhereACellHoldsTooFew) {
  const std::vector<float> points{0, 1, 100, 101, 102}, centroids{0, 100};
  lists got(5, 3);
  knn_graph_ivf(cpu{}, {points.data(), 5, 1}, {centroids.data(), 2, 1}, 1, got.which_view(), got.d2_view());
  EXPECT_EQ(got.which, (std::vector<index_t>{1, -1, -1, 0, -1, -1, 3, 4, -1, 2, 4, -1, 3, 2, -1}));
  EXPECT_TRUE(std::isinf(got.d2[1]));
}

lists walked(cpu on, const std::vector<float>& points, index_t cols, index_t neighbours,
             const hnsw_options& options = {}) {
  const index_t rows = index_t(points.size()) / cols;
  lists got(rows, neighbours);
  knn_graph_hnsw(on, {points.data(), rows, cols}, got.which_view(), got.d2_view(), options);
  return got;
}

TEST(KnnGraphIvf, RefusesRowsOfNoColumns) {
  lists got(100, 3);
  expect_refused<shape_error>(
      [&] {
        knn_graph_ivf(cpu{}, {nullptr, 100, 0}, {nullptr, 5, 0}, 1, got.which_view());
      },
      "knn_graph_ivf: points has 0 columns; pass at least one");
}

TEST(KnnGraphHnsw, FindsMostOfTheGraphAndMoreByBroaderWalks) {
  const index_t rows = 1000, cols = 16, neighbours = 10;
  const auto points = normal_rows(rows, cols, 8);
  const lists exact = reference::neighbours_of(points, points, cols, neighbours, 0);
  const lists narrow = walked({}, points, cols, neighbours, {.breadth = 11});
  const lists broad = walked({}, points, cols, neighbours, {.breadth = 200});
  EXPECT_GT(reference::recall(broad, exact), 0.98);
  EXPECT_LT(reference::recall(narrow, exact), reference::recall(broad, exact));
  for (index_t i = 0; i < rows; ++i)
    for (index_t n = i * neighbours; n < (i + 1) * neighbours; ++n) {
      const index_t other = broad.which[std::size_t(n)];
      ASSERT_NE(other, i);
      ASSERT_EQ(broad.d2[std::size_t(n)],
                reference::canonical_squared_distance(points.data() + i * cols, points.data() + other * cols,
                                                      std::size_t(cols)));
      if (n > i * neighbours) {
        ASSERT_LE(broad.d2[std::size_t(n) - 1], broad.d2[std::size_t(n)]);
      }
    }
}

TEST(KnnGraphHnsw, IsTheSameForAnyNumberOfThreads) {
  const auto points = clustered_rows(3000, 9, 7, 23);
  const lists one = walked({1}, points, 9, 6);
  for (const int threads : {2, 5}) EXPECT_EQ(walked({threads}, points, 9, 6), one) << threads;
}

TEST(KnnGraphHnsw, FewAndEqualAndPaddedRows) {
  EXPECT_EQ(walked({}, {1, 4}, 1, 1).which, (std::vector<index_t>{1, 0}));
  const lists three = walked({}, {0, 1, 5}, 1, 2);
  EXPECT_EQ(three.which, (std::vector<index_t>{1, 2, 0, 2, 1, 0}));
  EXPECT_EQ(three.d2, (std::vector<float>{1, 25, 1, 16, 16, 25}));
  const std::vector<float> equal(200, 3.0f);
  const lists same = walked({}, equal, 2, 5);
  for (std::size_t n = 0; n < same.which.size(); ++n) {
    EXPECT_GE(same.which[n], 0);
    EXPECT_EQ(same.d2[n], 0);
  }
  const auto padded = normal_rows(300, 7, 24);
  std::vector<float> dense_rows;
  for (index_t i = 0; i < 300; ++i)
    dense_rows.insert(dense_rows.end(), padded.begin() + i * 7, padded.begin() + i * 7 + 5);
  lists got(300, 4);
  knn_graph_hnsw(cpu{}, {padded.data(), 300, 5, 7}, got.which_view(), got.d2_view());
  EXPECT_EQ(got, walked({}, dense_rows, 5, 4));
}

TEST(KnnGraphHnsw, RefusesWhatItCannotDo) {
  const auto points = normal_rows(4, 3, 7);
  std::vector<index_t> which(16);
  const matrix_view<const float> x{points.data(), 4, 3};
  expect_refused<shape_error>(
      [&] {
        knn_graph_hnsw(cpu{}, x, {which.data(), 4, 4});
      },
      "knn_graph_hnsw: neighbours has 4 columns but there are 3 to choose from; ask for 1 to 3");
  expect_refused<value_error>(
      [&] {
        knn_graph_hnsw(cpu{}, x, {which.data(), 4, 2}, {}, {.links = 1});
      },
      "knn_graph_hnsw: got 1 links and breadths of 40 and 64; pass at least 2 links, and breadths of at least "
      "1");
  const std::vector<float> bad{1, 2, 3, 4, std::numeric_limits<float>::infinity(), 6};
  expect_refused<value_error>(
      [&] {
        knn_graph_hnsw(cpu{}, {bad.data(), 2, 3}, {which.data(), 2, 1});
      },
      "knn_graph_hnsw: points holds a NaN or an infinity in row 1 (1 such rows); leave these rows out");
  EXPECT_THROW(knn_graph_hnsw(cuda{}, x, {which.data(), 4, 2}), no_cuda_error);
}

TEST(Kmeans, FindsSeparatedClusters) {
  const index_t cols = 4, clusters = 2;
  const auto points = clustered_rows(300, cols, clusters, 9);
  auto centroids = means({}, points, cols, clusters, {.train_rows = 0, .iterations = 20, .seed = 4});
  std::vector<float> first;
  for (index_t k = 0; k < clusters; ++k) first.push_back(centroids[std::size_t(k * cols)]);
  std::sort(first.begin(), first.end());
  for (index_t k = 0; k < clusters; ++k) EXPECT_NEAR(first[std::size_t(k)], 10.0f * float(k), 0.5f);
}

TEST(Kmeans, EndsWhereEveryCentroidIsTheMeanOfItsRows) {
  const index_t rows = 500, cols = 3, clusters = 6;
  const auto points = normal_rows(rows, cols, 10);
  const auto centroids = means({}, points, cols, clusters, {.train_rows = 0, .iterations = 60, .seed = 1});
  const cell_order order = ivf_cells(cpu{}, {points.data(), rows, cols}, {centroids.data(), clusters, cols});
  for (index_t k = 0; k < clusters; ++k)
    for (index_t c = 0; c < cols; ++c) {
      double sum = 0;
      for (index_t i = order.begin[std::size_t(k)]; i < order.begin[std::size_t(k + 1)]; ++i)
        sum += double(points[std::size_t(order.rows[std::size_t(i)] * cols + c)]);
      const double mean = sum / double(order.begin[std::size_t(k + 1)] - order.begin[std::size_t(k)]);
      EXPECT_NEAR(double(centroids[std::size_t(k * cols + c)]), mean,
                  1e-5);  // sums of 500 values near 1 in fp32
    }
}

TEST(Kmeans, IsTheSameForAnyNumberOfThreadsAndFollowsItsSeed) {
  const auto points = normal_rows(4000, 12, 11);
  const auto one = means({1}, points, 12, 37, {.train_rows = 2500, .iterations = 10, .seed = 3});
  EXPECT_EQ(means({3}, points, 12, 37, {.train_rows = 2500, .iterations = 10, .seed = 3}), one);
  EXPECT_NE(means({3}, points, 12, 37, {.train_rows = 2500, .iterations = 10, .seed = 5}), one);
}

TEST(Kmeans, TrainsOnAllRowsUnlessToldOtherwise) {
  // 600 rows of one cluster: FAISS left to itself would train on 256 of them, whose mean is another.
  const auto points = normal_rows(600, 2, 12);
  const auto centroid = means({}, points, 2, 1);
  double sum = 0;
  for (std::size_t i = 0; i < points.size(); i += 2) sum += double(points[i]);
  EXPECT_NEAR(double(centroid[0]), sum / 600, 1e-5);
}

// Free centroids without a row have none to take from either.
TEST(Kmeans, FixedCentroidsMayOwnAllRows) {
  const std::vector<float> points{0, 0, 1, 1, 0, 1};
  std::vector<float> centroids{0, 1, 7, 7, 7};
  kmeans(cpu{}, {points.data(), 6, 1}, {centroids.data(), 5, 1}, {.fixed = 2});
  EXPECT_EQ(centroids[0], 0);
  EXPECT_EQ(centroids[1], 1);
  for (const float free : centroids) EXPECT_TRUE(free == 0 || free == 1) << free;
}

TEST(Kmeans, WeightsCountInTheMeansAndFixedCentroidsStay) {
  const index_t rows = 300, cols = 3, clusters = 5, fixed = 2;
  const auto points = normal_rows(rows, cols, 14);
  std::vector<float> weights;
  for (index_t i = 0; i < rows; ++i) weights.push_back(0.25f + float(i % 7));
  std::vector<float> centroids(std::size_t(clusters * cols), 0.5f), again;
  centroids[0] = -1;
  const std::vector<float> given(centroids.begin(), centroids.begin() + fixed * cols);
  const kmeans_options options{.iterations = 60, .weights = {weights.data(), rows}, .fixed = fixed};
  again = centroids;
  kmeans(cpu{}, {points.data(), rows, cols}, {centroids.data(), clusters, cols}, options);
  kmeans(cpu{3}, {points.data(), rows, cols}, {again.data(), clusters, cols}, options);
  EXPECT_EQ(again, centroids);
  EXPECT_EQ(std::vector<float>(centroids.begin(), centroids.begin() + fixed * cols), given);
  const cell_order order = ivf_cells(cpu{}, {points.data(), rows, cols}, {centroids.data(), clusters, cols});
  for (index_t k = fixed; k < clusters; ++k)
    for (index_t c = 0; c < cols; ++c) {
      double sum = 0, total = 0;
      for (index_t i = order.begin[std::size_t(k)]; i < order.begin[std::size_t(k + 1)]; ++i) {
        const index_t row = order.rows[std::size_t(i)];
        sum += double(weights[std::size_t(row)]) * double(points[std::size_t(row * cols + c)]);
        total += double(weights[std::size_t(row)]);
      }
      EXPECT_NEAR(double(centroids[std::size_t(k * cols + c)]), sum / total, 1e-5) << k;
    }
}

TEST(Kmeans, RefusesWhatItCannotDo) {
  const auto points = normal_rows(4, 3, 13);
  expect_refused<shape_error>([&] { means({}, points, 3, 5); },
                              "kmeans: 5 clusters of 4 rows to train on; ask for 1 to 4");
  expect_refused<shape_error>(
      [&] { means({}, points, 3, 2, {.train_rows = 5}); },
      "kmeans: train_rows is 5 but points has 4 rows; pass at most as many, or 0 for all");
  expect_refused<shape_error>(
      [] {
        kmeans(cpu{}, {nullptr, 4, 0}, {nullptr, 2, 0});
      },
      "kmeans: points has 0 columns; pass at least one");
  const std::vector<float> weights = {1, 1, 0, 1};
  expect_refused<value_error>(
      [&] {
        means({}, points, 3, 2, {.weights = {weights.data(), 4}});
      },
      "kmeans: a weight is 0.000000; pass finite numbers above 0");
  expect_refused<shape_error>(
      [&] {
        means({}, points, 3, 2, {.weights = {weights.data(), 3}});
      },
      "kmeans: weights has 3 places but points has 4 rows; pass one per row, or none");
  expect_refused<shape_error>([&] { means({}, points, 3, 2, {.fixed = 3}); },
                              "kmeans: 3 centroids of 2 are fixed; fix at most all");
  expect_refused<shape_error>([&] { means({}, points, 3, 2, {.train_rows = 2, .fixed = 1}); },
                              "kmeans: weights and fixed centroids are for all rows, in host memory; pass no "
                              "train_rows, and no cuda{}");
}

TEST(IvfCells, OrderEveryRowByItsNearestCentroid) {
  const index_t rows = 777, cols = 5, cells = 9;
  const auto points = normal_rows(rows, cols, 14), centroids = normal_rows(cells, cols, 15);
  const cell_order order = ivf_cells(cpu{}, {points.data(), rows, cols}, {centroids.data(), cells, cols});
  const lists expected = reference::neighbours_of(points, centroids, cols, 1);
  ASSERT_EQ(order.begin.size(), std::size_t(cells + 1));
  EXPECT_EQ(order.begin.back(), rows);
  EXPECT_EQ(std::set<index_t>(order.rows.begin(), order.rows.end()).size(), std::size_t(rows));
  for (index_t k = 0; k < cells; ++k)
    for (index_t i = order.begin[std::size_t(k)]; i < order.begin[std::size_t(k + 1)]; ++i) {
      EXPECT_EQ(expected.which[std::size_t(order.rows[std::size_t(i)])], k);
      if (i > order.begin[std::size_t(k)]) {
        EXPECT_LT(order.rows[std::size_t(i - 1)], order.rows[std::size_t(i)]);
      }
    }
}

}  // namespace
}  // namespace poolwise
