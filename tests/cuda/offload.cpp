// Host arrays through one or several devices, in tiles: the bits of the CPU, whatever the tiles.
#include "poolwise/core/detail/offload.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "reference/errors.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;

std::vector<float> normal_values(index_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

/// 0, 0 and 1, ... as many as there are.
std::vector<std::vector<int>> sets_of_devices() {
  int count = 0;
  reference::succeed(cudaGetDeviceCount(&count));
  std::vector<std::vector<int>> sets;
  for (std::vector<int> devices; index_t(devices.size()) < count;) {
    devices.push_back(int(devices.size()));
    sets.push_back(devices);
  }
  std::reverse(sets.back().begin(), sets.back().end());
  return sets;
}

const std::size_t ceilings[] = {0, 1 << 20, 20'000};

TEST(CudaOffload, HasTheBitsOfTheCpuForAnyTilesAndDevices) {
  const index_t rows = 1003, cols = 7, stride = 9;
  const auto data = normal_values(rows * stride, 1), center = normal_values(cols, 2);
  const matrix_view<const float> points{data.data(), rows, cols, stride};
  std::vector<float> distances(rows), norms(rows);
  squared_distances(cpu{}, points, {center.data(), cols}, {distances.data(), rows});
  squared_norms(cpu{}, points, {norms.data(), rows});
  for (const auto& devices : sets_of_devices())
    for (const std::size_t ceiling : ceilings) {
      SCOPED_TRACE(std::to_string(devices.size()) + " devices, ceiling " + std::to_string(ceiling));
      std::vector<float> got(rows, -1);
      squared_distances(offload{devices, ceiling}, points, {center.data(), cols}, {got.data(), rows});
      EXPECT_EQ(got, distances);
      squared_norms(offload{devices, ceiling}, points, {got.data(), rows});
      EXPECT_EQ(got, norms);
    }
}

TEST(CudaOffload, PinnedArraysTravelAsTheyAre) {
  const index_t rows = 500, cols = 5, stride = 6;
  const auto data = normal_values(rows * stride, 3);
  std::vector<float> expected(rows);
  squared_norms(cpu{}, {data.data(), rows, cols, stride}, {expected.data(), rows});
  float *pinned = nullptr, *result = nullptr;
  reference::succeed(cudaMallocHost(reinterpret_cast<void**>(&pinned), data.size() * sizeof(float)));
  reference::succeed(cudaMallocHost(reinterpret_cast<void**>(&result), rows * sizeof(float)));
  std::copy(data.begin(), data.end(), pinned);
  squared_norms(offload{{0}, 10'000}, {pinned, rows, cols, stride}, {result, rows});
  EXPECT_EQ(std::vector<float>(result, result + rows), expected);
  cudaFreeHost(pinned);
  cudaFreeHost(result);
}

TEST(CudaOffload, NoRowsNoWork) {
  std::vector<float> nothing;
  squared_norms(offload{}, {nothing.data(), 0, 3}, {nothing.data(), 0});
}

/// Every row in one tile, every tile inside the pool; cubes keep their planes.
TEST(CudaOffload, EveryRowIsInOneTileWithItsPlanes) {
  const index_t members = 3, rows = 301, cols = 2;
  const auto data = normal_values(members * rows * cols, 4);
  const cube_view<const float> cube{data.data(), members, rows, cols};
  for (const auto& devices : sets_of_devices()) {
    std::vector<int> seen(rows, -1);
    std::vector<float> first(rows * 2), last(rows);
    std::atomic<int> tiles = 0;
    for_each_tile(
        offload{devices, 8'000}, "test",
        [&](const device_tile& tile, cube_view<const float> x, matrix_view<float> first_member,
            vector_view<float> last_member) {
          ++tiles;
          EXPECT_EQ(x.members, members);
          EXPECT_EQ(x.rows, tile.rows);
          EXPECT_EQ(x.cols, cols);
          for (index_t i = 0; i < tile.rows; ++i) seen[std::size_t(tile.first + i)]++;
          const auto copy = [&](float* to, std::size_t pitch, const float* from, std::size_t width) {
            reference::succeed(cudaMemcpy2DAsync(to, pitch, from, cols * sizeof(float), width,
                                                 std::size_t(tile.rows), cudaMemcpyDeviceToDevice,
                                                 tile.on.stream));
          };
          copy(first_member.data, 2 * sizeof(float), x.member(0).data, 2 * sizeof(float));
          copy(last_member.data, sizeof(float), x.member(members - 1).data, sizeof(float));
        },
        cube, matrix_view<float>{first.data(), rows, 2}, vector_view<float>{last.data(), rows});
    EXPECT_GT(tiles, 3);
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), rows);
    EXPECT_TRUE(std::equal(first.begin(), first.end(), data.begin()));
    for (index_t i = 0; i < rows; ++i) EXPECT_EQ(last[std::size_t(i)], cube.member(members - 1)(i, 0));
  }
}

TEST(CudaOffload, TheLowestTileThatFailsIsReported) {
  const std::vector<float> values(1000, 1.0f);
  for (const auto& devices : sets_of_devices())
    expect_refused<value_error>(
        [&] {
          for_each_tile(
              offload{devices, 4'000}, "test",
              [](const device_tile& tile, vector_view<const float>) {
                if (tile.first > 0) throw value_error("tile at " + std::to_string(tile.first));
              },
              vector_view<const float>{values.data(), 1000});
        },
        "tile at ");
  // And the device is as good as before.
  std::vector<float> norms(1000);
  squared_norms(offload{}, {values.data(), 1000, 1}, {norms.data(), 1000});
  EXPECT_EQ(norms, values);
}

/// What a device keeps across its tiles, ended once for each device that worked.
struct counter {
  std::atomic<index_t>* total;
  std::atomic<int>* ends;
  index_t rows = 0;

  void operator()(const device_tile& tile, vector_view<const float>) { rows += tile.rows; }
  void end() {
    *total += rows;
    ++*ends;
  }
};

TEST(CudaOffload, ADeviceKeepsItsOwnState) {
  const std::vector<float> values(1000, 1.0f);
  for (const auto& devices : sets_of_devices()) {
    std::atomic<index_t> total = 0;
    std::atomic<int> ends = 0;
    on_each_device(
        offload{devices, 4'000}, "test",
        [&](const cuda& on) {
          EXPECT_GT(on.memory, 0u);
          return counter{&total, &ends};
        },
        vector_view<const float>{values.data(), 1000});
    EXPECT_EQ(total, 1000);
    EXPECT_EQ(ends, int(devices.size()));
  }
}

TEST(CudaOffload, WrongDevicesAreRefused) {
  const std::vector<float> x(4);
  std::vector<float> norms(4);
  const auto call = [&](const offload& on) { squared_norms(on, {x.data(), 4, 1}, {norms.data(), 4}); };
  expect_refused<value_error>([&] { call(offload{{}}); },
                              "squared_norms: offload names no device; name at least one");
  expect_refused<value_error>([&] { call(offload{{0, 0}}); }, "names device 0 twice");
  expect_refused<cuda_error>([&] { call(offload{{99}}); }, "squared_norms: ");
}

TEST(CudaOffload, ARowThatDoesNotFitIsRefused) {
  const std::vector<float> x(4000);
  float norm = 0;
  expect_refused<memory_error>(
      [&] {
        squared_norms(offload{{0}, 8'000}, {x.data(), 1, 4000}, {&norm, 1});
      },
      "the ceiling is 8000");
}

}  // namespace
}  // namespace poolwise
