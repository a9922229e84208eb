// Neighbour lists on devices: the bits of brute force, whoever proposes.
#include "poolwise/graph/neighbours.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/graph/detail/neighbours_cuda.hpp"
#include "reference/errors.hpp"
#include "reference/neighbours.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::lists;
using reference::neighbours_of;
using reference::normal_rows;
using reference::on_device;

/// Places for lists on the device.
struct device_lists {
  device_lists(index_t points, index_t each)
      : rows(points),
        neighbours(each),
        which(on_device<index_t>::room(rows * neighbours)),
        d2(on_device<float>::room(rows * neighbours)) {}

  matrix_view<index_t> which_view() const { return {which.data(), rows, neighbours}; }
  matrix_view<float> d2_view() const { return {d2.data(), rows, neighbours}; }
  lists to_host() const {
    lists host(rows, neighbours);
    host.which = which.to_host();
    host.d2 = d2.to_host();
    return host;
  }

  index_t rows, neighbours;
  on_device<index_t> which;
  on_device<float> d2;
};

TEST(CudaNeighbours, AreThoseOfBruteForce) {
  for (const auto& [cols, neighbours] : {std::pair<index_t, index_t>{1, 1}, {16, 2}, {33, 31}, {50, 200}}) {
    SCOPED_TRACE(testing::Message() << cols << " columns, " << neighbours << " neighbours");
    const auto points = normal_rows(5, cols, 1), references = normal_rows(200, cols, 2);
    const on_device<float> x(points, 1), y(references);
    const device_lists got(5, neighbours);
    nearest_neighbours(cuda{}, x.rows(5, cols), y.rows(200, cols), got.which_view(), got.d2_view());
    EXPECT_EQ(got.to_host(), neighbours_of(points, references, cols, neighbours));
  }
}

TEST(CudaNeighbours, KeepTheNearestOfMoreReferencesThanAreComparedAtOnce) {
  const index_t references = 2500;
  auto others = normal_rows(references, 3, 3);
  std::copy_n(others.begin(), 3, others.end() - 3);  // equal, and far apart in the list
  const std::vector<float> points(others.end() - 3, others.end());
  const on_device<float> x(points), y(others);
  const device_lists got(1, 40);
  nearest_neighbours(cuda{}, x.rows(1, 3), y.rows(references, 3), got.which_view(), got.d2_view());
  EXPECT_EQ(got.to_host(), neighbours_of(points, others, 3, 40));
}

TEST(CudaNeighbours, OfAGraphLeaveThePointItselfOut) {
  auto points = normal_rows(60, 6, 4);
  std::copy_n(points.begin(), 6 * 20, points.end() - 6 * 20);
  const on_device<float> x(points);
  const device_lists got(60, 5);
  knn_graph(cuda{}, x.rows(60, 6), got.which_view(), got.d2_view());
  EXPECT_EQ(got.to_host(), neighbours_of(points, points, 6, 5, 0));
}

std::vector<int> all_devices() {
  int count = 0;
  reference::succeed(cudaGetDeviceCount(&count));
  std::vector<int> devices(static_cast<std::size_t>(count));
  std::iota(devices.begin(), devices.end(), 0);
  return devices;
}

TEST(CudaNeighbours, OfHostArraysAreTheSameOnAnyNumberOfDevicesInTiles) {
  const auto points = normal_rows(60, 6, 5);
  const lists expected = neighbours_of(points, points, 6, 5, 0);
  for (const std::size_t memory : {std::size_t(0), std::size_t(4096)}) {
    lists got(60, 5);
    knn_graph(offload{all_devices(), memory}, {points.data(), 60, 6}, got.which_view(), got.d2_view());
    EXPECT_EQ(got, expected) << memory;
  }
  lists got(60, 5);
  expect_refused<memory_error>(
      [&] {
        knn_graph(offload{all_devices(), 512}, {points.data(), 60, 6}, got.which_view());
      },
      "knn_graph: ");
}

/// What a GEMM in fp32 would propose, rounded to `bits` of a mantissa.
struct proposals {
  proposals(const std::vector<float>& points, index_t cols, index_t self_left_out, index_t each, int bits) {
    lists all = neighbours_of(points, points, cols, index_t(points.size()) / cols - 1, self_left_out);
    const float scale = std::ldexp(1.0f, bits);
    for (index_t i = 0; i < all.rows; ++i) {
      std::vector<std::pair<float, index_t>> row;
      for (index_t n = 0; n < all.neighbours; ++n) {
        const auto at = std::size_t(i * all.neighbours + n);
        int exponent = 0;
        const float mantissa = std::frexp(all.d2[at], &exponent);
        row.emplace_back(std::ldexp(std::round(mantissa * scale) / scale, exponent), all.which[at]);
      }
      std::stable_sort(row.begin(), row.end(), [](auto& a, auto& b) { return a.first < b.first; });
      for (index_t n = 0; n < each; ++n) {
        d2.push_back(row[std::size_t(n)].first);
        id.push_back(row[std::size_t(n)].second);
      }
    }
  }
  std::vector<float> d2;
  std::vector<std::int64_t> id;
};

TEST(CudaNeighbours, AreSettledByCanonicalDistancesWhateverIsProposed) {
  const index_t rows = 40, cols = 12, neighbours = 4, each = 8;
  auto points = normal_rows(rows, cols, 6);
  for (index_t copy = 0; copy < 12; ++copy)
    std::copy_n(points.begin(), cols, points.begin() + (copy + 3) * cols);
  const lists expected = neighbours_of(points, points, cols, neighbours, 0);
  for (const int bits : {24, 10, 4}) {  // fp32; TF32; and noise, which must not be believed
    SCOPED_TRACE(bits);
    const proposals host(points, cols, 0, each, bits);
    const on_device<float> x(points), d2(host.d2);
    const on_device<std::int64_t> id(host.id);
    const device_lists got(rows, neighbours);
    settle_neighbours_cuda(cuda{}, "test", x.rows(rows, cols), x.rows(rows, cols), 0,
                           {d2.rows(rows, each), id.rows(rows, each)}, got.which_view(), got.d2_view());
    EXPECT_EQ(got.to_host(), expected);
  }
}

TEST(CudaNeighbours, AreOrderedAmongProposalsThatAreTooFew) {
  const std::vector<float> points{0, 1, 3, 7}, d2{1, 9, 49};
  const std::vector<std::int64_t> id{2, 1, -1};
  const on_device<float> x(points), proposed_d2(d2);
  const on_device<std::int64_t> proposed(id);
  const device_lists got(1, 3);
  order_proposals_cuda(cuda{}, "test", x.rows(1, 1), x.rows(4, 1), 0,
                       {proposed_d2.rows(1, 3), proposed.rows(1, 3)}, got.which_view(), got.d2_view());
  EXPECT_EQ(got.which.to_host(), (std::vector<index_t>{1, 2, -1}));
  EXPECT_EQ(got.d2.to_host(), (std::vector<float>{1, 9, std::numeric_limits<float>::infinity()}));
}

TEST(CudaNeighbours, RefuseWhatADeviceCannotDo) {
  const auto points = normal_rows(3000, 1, 7);
  const on_device<float> x(points);
  std::vector<index_t> which;
  expect_refused<shape_error>(
      [&] {
        knn_graph(cuda{}, x.rows(3000, 1), {which.data(), 3000, 2049});
      },
      "knn_graph: got 2049 neighbours; a device takes at most 2048");
  if (!has_faiss_gpu)
    expect_refused<no_cuda_error>(
        [&] {
          knn_graph_ivf(cuda{}, x.rows(3000, 1), x.rows(9, 1), 1, {which.data(), 3000, 2});
        },
        "knn_graph_ivf: this build's FAISS has no GPU part");
}

TEST(CudaNeighbours, MakeTheMeansAndTheCellsOfTheCpu) {
  const index_t rows = 90, cols = 5, clusters = 4;
  const auto points = normal_rows(rows, cols, 8);
  const kmeans_options options{.train_rows = 50, .iterations = 3, .seed = 2};
  std::vector<float> expected(std::size_t(clusters * cols)), host(expected);
  kmeans(cpu{}, {points.data(), rows, cols}, {expected.data(), clusters, cols}, options);
  const auto cells = ivf_cells(cpu{}, {points.data(), rows, cols}, {expected.data(), clusters, cols});

  const on_device<float> x(points);
  const auto centroids = on_device<float>::room(clusters * cols);
  kmeans(cuda{}, x.rows(rows, cols), {centroids.data(), clusters, cols}, options);
  EXPECT_EQ(centroids.to_host(), expected);
  const auto device_cells = ivf_cells(cuda{}, x.rows(rows, cols), centroids.rows(clusters, cols));
  EXPECT_EQ(device_cells.rows, cells.rows);
  EXPECT_EQ(device_cells.begin, cells.begin);

  kmeans(offload{all_devices()}, {points.data(), rows, cols}, {host.data(), clusters, cols}, options);
  EXPECT_EQ(host, expected);
  EXPECT_EQ(ivf_cells(offload{}, {points.data(), rows, cols}, {host.data(), clusters, cols}).rows, cells.rows);
}

}  // namespace
}  // namespace poolwise
