// k-means++ and BADGE on devices: the picks of the CPU, score for score.
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <random>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "reference/errors.hpp"
#include "reference/on_device.hpp"

namespace {

std::atomic<std::size_t> bytes_sent{0};  // to devices, by the two functions below

void note_copy(const void* to, std::size_t bytes) {
  cudaPointerAttributes found{};
  if (cudaPointerGetAttributes(&found, to) == cudaSuccess && found.type == cudaMemoryTypeDevice)
    bytes_sent += bytes;
}

}  // namespace

// A program's own functions come before those of its libraries.
extern "C" cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                       cudaStream_t stream) {
  static const auto copy = reinterpret_cast<decltype(&cudaMemcpyAsync)>(dlsym(RTLD_NEXT, "cudaMemcpyAsync"));
  note_copy(to, bytes);
  return copy(to, from, bytes, kind, stream);
}

extern "C" cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                                         std::size_t from_pitch, std::size_t width, std::size_t height,
                                         cudaMemcpyKind kind, cudaStream_t stream) {
  static const auto copy =
      reinterpret_cast<decltype(&cudaMemcpy2DAsync)>(dlsym(RTLD_NEXT, "cudaMemcpy2DAsync"));
  note_copy(to, width * height);
  return copy(to, to_pitch, from, from_pitch, width, height, kind, stream);
}

namespace poolwise {
namespace {

using reference::on_device;
using picks = std::vector<candidate>;

std::vector<float> normal_values(index_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

/// A matrix on the host and on the device, its rows `stride` apart.
struct both {
  index_t rows, cols, stride;
  std::vector<float> host;
  on_device<float> device;

  both(index_t rows_of, index_t cols_of, std::vector<float> values, index_t padding = 0, index_t offset = 0)
      : rows(rows_of),
        cols(cols_of),
        stride(cols_of + padding),
        host(values),
        device(values, std::size_t(offset)) {}
  both(index_t rows_of, index_t cols_of, unsigned seed, index_t padding = 0, index_t offset = 0)
      : both(rows_of, cols_of, normal_values(rows_of * (cols_of + padding), seed), padding, offset) {}

  matrix_view<const float> on_host() const { return {host.data(), rows, cols, stride}; }
  matrix_view<const float> there() const { return {device.data(), rows, cols, stride}; }
};

void expect_same(const both& x, const allowance& limit, std::uint64_t seed, first_center first) {
  batch_run counts, device_counts;
  const picks expected = kmeans_pp(cpu{1}, x.on_host(), limit, seed, first, &counts);
  EXPECT_EQ(kmeans_pp(cuda{}, x.there(), limit, seed, first, &device_counts), expected);
  EXPECT_EQ(device_counts.sweeps, counts.sweeps);
  EXPECT_EQ(kmeans_pp(offload{}, x.on_host(), limit, seed, first), expected);
}

void expect_same(const both& a, const both& h, bool bias, const allowance& limit, std::uint64_t seed,
                 first_center first = first_center::largest_norm) {
  const picks expected = kmeans_pp(cpu{1}, factored_rows{a.on_host(), h.on_host(), bias}, limit, seed, first);
  EXPECT_EQ(kmeans_pp(cuda{}, factored_rows{a.there(), h.there(), bias}, limit, seed, first), expected);
  EXPECT_EQ(kmeans_pp(offload{}, factored_rows{a.on_host(), h.on_host(), bias}, limit, seed, first), expected);
}

TEST(CudaKMeansPlusPlus, PicksOfTheCpu) {
  for (const index_t cols : {1, 15, 33}) {
    SCOPED_TRACE(cols);
    const both x(300, cols, unsigned(cols), cols % 3, cols % 2);
    expect_same(x, {.picks = 25}, 3, cols == 15 ? first_center::largest_norm : first_center::random);
  }
}

TEST(CudaKMeansPlusPlus, SeveralBlocksOfRows) {
  const both x(2100, 2, 4);
  expect_same(x, {.picks = 12}, 5, first_center::random);
}

TEST(CudaKMeansPlusPlus, FactoredPicksOfTheCpu) {
  for (const auto& [classes, features] : std::vector<std::pair<index_t, index_t>>{{1, 1}, {10, 17}, {33, 32}}) {
    SCOPED_TRACE(features);
    const both a(150, classes, 6, classes % 2, 1), h(150, features, 7, 3);
    expect_same(a, h, features == 17, {.picks = 20}, 8);
  }
}

TEST(CudaKMeansPlusPlus, AllowancesAndTies) {
  std::mt19937 next(9);
  const index_t rows = 120;
  std::vector<float> values(std::size_t(rows * 3));
  for (float& v : values)
    v = float(next() % 3);  // duplicates abound, and distances reach 0 before rows run out
  const both x(rows, 3, values);
  std::vector<std::int64_t> cost;
  std::vector<index_t> group;
  const std::vector<index_t> quota{3, 40, 0};
  std::vector<std::uint8_t> barred;
  for (index_t i = 0; i < rows; ++i) {
    cost.push_back(std::int64_t(next() % 7));
    group.push_back(index_t(next() % 3));
    barred.push_back(next() % 4 == 0);
  }
  allowance limit{.picks = 40};
  expect_same(x, limit, 1, first_center::largest_norm);
  limit.barred = {barred.data(), rows};
  limit.cost = {cost.data(), rows};
  limit.budget = 60;
  expect_same(x, limit, 2, first_center::random);
  limit.group = {group.data(), rows};
  limit.quota = {quota.data(), 3};
  expect_same(x, limit, 3, first_center::largest_norm);
}

TEST(CudaKMeansPlusPlus, EmptyPoolsAndNoPicks) {
  EXPECT_TRUE(kmeans_pp(cuda{}, matrix_view<const float>{nullptr, 0, 4}, {.picks = 3}, 1).empty());
  EXPECT_TRUE(kmeans_pp(offload{}, matrix_view<const float>{nullptr, 0, 4}, {.picks = 3}, 1).empty());
  const both x(3, 2, 10);
  EXPECT_TRUE(kmeans_pp(cuda{}, x.there(), {.picks = 0}, 1).empty());
  expect_same(x, {.picks = 7}, 1, first_center::random);
}

TEST(CudaKMeansPlusPlus, WrongUsesAreRefused) {
  const both huge(3, 1, std::vector<float>{1, 2e19f, -2e19f}), one(3, 1, std::vector<float>{1, 1, 1});
  EXPECT_EQ(reference::message_of<value_error>([&] { kmeans_pp(cuda{}, huge.there(), {.picks = 2}, 1); }),
            "kmeans_pp: squared distances leave the range of fp32; scale the rows down");
  EXPECT_EQ(reference::message_of<value_error>([&] {
              kmeans_pp(cuda{}, factored_rows{huge.there(), one.there()}, {.picks = 2}, 1);
            }),
            "kmeans_pp: the squared norm of row 1 leaves the range of fp32; scale the rows down");
}

// Devices are sent their shards once, or, where one has no room for its own, other tiles for every sweep: the
// same picks.
TEST(SimulatedKMeansPlusPlus, DevicesAreShared) {
  const index_t rows = 2'100;
  const both a(rows, 5, 11), h(rows, 9, 12);
  const factored_rows points{a.on_host(), h.on_host()};
  const picks expected = kmeans_pp(cpu{1}, points, {.picks = 12}, 4);
  for (const auto& devices : std::vector<std::vector<int>>{{0}, {2}, {1, 0}, {0, 1, 2}})
    for (const std::size_t ceiling : {std::size_t{1} << 20, std::size_t{5} << 20})
      EXPECT_EQ(kmeans_pp(offload{devices, ceiling}, points, {.picks = 12}, 4), expected);
}

// Equal largest norms, duplicates, and limits that end within each shard.
TEST(SimulatedKMeansPlusPlus, ShardsShareAllowancesAndTies) {
  std::mt19937 next(13);
  const index_t rows = 2'500;
  std::vector<float> values(std::size_t(rows * 3));
  for (float& v : values) v = float(next() % 3);
  std::vector<std::int64_t> cost;
  std::vector<index_t> group;
  std::vector<std::uint8_t> barred;
  for (index_t i = 0; i < rows; ++i) {
    cost.push_back(std::int64_t(next() % 7));
    group.push_back(index_t(next() % 3));
    barred.push_back(next() % 4 == 0 || i < 1'000);
  }
  const std::vector<index_t> quota{3, 40, 0};
  const both x(rows, 3, values);
  const allowance limit{.picks = 40,
                        .cost = {cost.data(), rows},
                        .budget = 60,
                        .group = {group.data(), rows},
                        .quota = {quota.data(), 3},
                        .barred = {barred.data(), rows}};
  for (const auto first : {first_center::largest_norm, first_center::random}) {
    const picks expected = kmeans_pp(cpu{1}, x.on_host(), limit, 1, first);
    for (const auto& devices : std::vector<std::vector<int>>{{0}, {1, 0}, {0, 1, 2}})
      EXPECT_EQ(kmeans_pp(offload{devices}, x.on_host(), limit, 1, first), expected);
  }
}

// A pool travels to several devices as often as to one: once, and not for every sweep.
TEST(SimulatedKMeansPlusPlus, RowsAreSentOnce) {
  const index_t rows = 3'100, cols = 40;
  std::vector<float> values = normal_values(rows * cols, 14);
  for (index_t i = 0; i < rows; ++i)  // in clusters, so that a pick makes many proposals stale
    values[std::size_t(i * cols)] += 1'000 * float(i % 12);
  const both x(rows, cols, values);
  const std::size_t pool_bytes = x.host.size() * sizeof(float);
  batch_run counts;
  const picks expected = kmeans_pp(cpu{1}, x.on_host(), {.picks = 30}, 6, first_center::random, &counts);
  ASSERT_GE(counts.sweeps, 4);
  for (const auto& devices : std::vector<std::vector<int>>{{0}, {1, 0}, {0, 1, 2}}) {
    bytes_sent = 0;
    EXPECT_EQ(kmeans_pp(offload{devices}, x.on_host(), {.picks = 30}, 6, first_center::random), expected);
    EXPECT_GE(bytes_sent, pool_bytes);
    EXPECT_LT(bytes_sent, 2 * pool_bytes);
  }
  bytes_sent = 0;
  EXPECT_EQ(kmeans_pp(offload{{0, 1}, 1 << 20}, x.on_host(), {.picks = 30}, 6, first_center::random), expected);
  EXPECT_GT(bytes_sent, 4 * pool_bytes);
}

TEST(SimulatedKMeansPlusPlus, TheFirstRowBeyondIsNamed) {
  std::vector<float> values(3'000, 1.0f);
  values[2'900] = values[1'500] = 2e19f;
  const both huge(3'000, 1, values), one(3'000, 1, std::vector<float>(3'000, 1.0f));
  EXPECT_EQ(reference::message_of<value_error>([&] {
              kmeans_pp(offload{{0, 1, 2}}, factored_rows{huge.on_host(), one.on_host()}, {.picks = 2}, 1);
            }),
            "kmeans_pp: the squared norm of row 1500 leaves the range of fp32; scale the rows down");
  EXPECT_EQ(reference::message_of<value_error>([&] {
              kmeans_pp(offload{{0, 1, 0}}, one.on_host(), {.picks = 2}, 1);
            }),
            "kmeans_pp: offload names device 0 twice; name each once");
}

}  // namespace
}  // namespace poolwise
