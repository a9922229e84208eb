// k-center on devices, pick for pick: against a naive loop, and against the CPU to the bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/detail/kcenter_cuda.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "reference/errors.hpp"
#include "reference/greedy.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::on_device;
using picks = std::vector<candidate>;
using width = gain_model::width;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t all_there_is = std::numeric_limits<std::int64_t>::max();

/// A problem that owns its values.
struct pool {
  index_t rows, cols;
  std::vector<float> x, covered = {}, weights = {};
  std::vector<std::int64_t> cost = {};
  std::vector<index_t> group = {}, quota = {};
  std::vector<std::uint8_t> barred = {};
  index_t picks = 0;
  std::int64_t budget = all_there_is;

  template <class T>
  static vector_view<const T> view(const std::vector<T>& values) {
    return {values.data(), index_t(values.size())};
  }
  allowance limit() const { return {picks, view(cost), budget, view(group), view(quota), view(barred)}; }
  kcenter_problem on_host() const { return {{x.data(), rows, cols}, view(covered), view(weights)}; }
};

pool gaussian(index_t rows, index_t cols, index_t k, unsigned seed) {
  std::mt19937 next(seed);
  std::normal_distribution<float> normal;
  pool p{rows, cols, std::vector<float>(std::size_t(rows * cols))};
  for (float& v : p.x) v = normal(next);
  p.picks = k;
  return p;
}

/// Small integers: distances are exact, and ties and duplicates abound.
pool integers(index_t rows, index_t cols, int values, std::mt19937& next) {
  pool p{rows, cols, std::vector<float>(std::size_t(rows * cols))};
  for (float& v : p.x) v = float(next() % unsigned(values));
  return p;
}

int devices() {
  int count = 0;
  reference::succeed(cudaGetDeviceCount(&count));
  return count;
}

picks on_cpu(const pool& p) {
  const kcenter_problem host = p.on_host();
  return kcenter(cpu{1}, host.points, p.limit(), host.covered, host.weights);
}

/// With shortlists as short as the pool is small, so that there are sweeps.
picks on_cuda(const pool& p, width shortlist = {4, 32}, std::size_t memory = 0) {
  const on_device<float> x(p.x), covered(p.covered), weights(p.weights);
  const allowance limit = p.limit();
  const auto gains = kcenter_model(cuda{.memory = memory},
                                   {x.rows(p.rows, p.cols), covered.view(), weights.view()}, limit, shortlist);
  return threshold_batches(*gains, limit);
}

picks offloaded(const pool& p, int count, std::size_t memory = 0, width shortlist = {4, 32}) {
  offload on{{}, memory};
  for (int d = 0; d < count; ++d) on.devices.push_back(d);
  const allowance limit = p.limit();
  return threshold_batches(*kcenter_model(on, p.on_host(), limit, shortlist), limit);
}

TEST(CudaKCenter, PickForPickAsANaiveLoop) {
  std::mt19937 next(11);
  for (int trial = 0; trial < 40; ++trial) {
    SCOPED_TRACE(trial);
    const auto rows = index_t(1 + next() % 60), cols = index_t(1 + next() % 20);
    pool p = integers(rows, cols, 3, next);
    p.picks = index_t(next() % 30);
    reference::kcenter_problem naive{{},
                                     {},
                                     std::vector<double>(std::size_t(rows), 1.0),
                                     std::vector<std::int64_t>(std::size_t(rows), 0),
                                     all_there_is,
                                     std::size_t(p.picks)};
    for (index_t i = 0; i < rows; ++i)
      naive.pool.emplace_back(p.x.begin() + i * cols, p.x.begin() + (i + 1) * cols);
    if (trial % 2 == 1) {
      const pool labelled = integers(3, cols, 3, next);
      for (index_t i = 0; i < 3; ++i)
        naive.labelled.emplace_back(labelled.x.begin() + i * cols, labelled.x.begin() + (i + 1) * cols);
      p.covered.resize(std::size_t(rows));
      nearest(cpu{1}, p.on_host().points, labelled.on_host().points, {p.covered.data(), rows});
    }
    if (trial % 4 >= 2)
      for (index_t i = 0; i < rows; ++i) p.weights.push_back(float(next() % 5) / 2);
    if (trial % 8 >= 4) {
      for (index_t i = 0; i < rows; ++i) p.cost.push_back(std::int64_t(next() % 6));
      p.budget = naive.budget = std::int64_t(next() % 50);
      naive.cost = p.cost;
    }
    if (!p.weights.empty()) naive.weights.assign(p.weights.begin(), p.weights.end());
    picks expected;
    for (const reference::pick& pick : reference::kcenter(naive))
      expected.push_back({pick.row, float(pick.gain)});
    EXPECT_EQ(on_cuda(p), expected);
    EXPECT_EQ(offloaded(p, 1 + trial % devices()), expected);
    if (trial % 10 == 0) {
      EXPECT_EQ(kcenter(offload{}, p.on_host().points, p.limit(), p.on_host().covered, p.on_host().weights),
                expected);
    }
  }
}

// Groups, quotas and barred rows as on the CPU, whose tests hold them against a line of points.
TEST(CudaKCenter, KeepsTheAllowanceAsTheCpuDoes) {
  std::mt19937 next(12);
  for (int trial = 0; trial < 10; ++trial) {
    SCOPED_TRACE(trial);
    pool p = integers(100, 3, 9, next);
    p.picks = 40;
    p.quota = {5, 0, 20, 1};
    for (index_t i = 0; i < p.rows; ++i) {
      if (trial % 2 == 0) p.group.push_back(index_t(next() % 4));
      if (trial % 3 != 0) p.cost.push_back(std::int64_t(next() % 9));
      if (trial % 4 >= 2) p.barred.push_back(next() % 3 == 0);
      if (trial % 5 >= 2) p.weights.push_back(float(next() % 4));
    }
    p.budget = 90;
    const picks expected = on_cpu(p);
    EXPECT_EQ(on_cuda(p), expected);
    EXPECT_EQ(offloaded(p, devices()), expected);
  }
}

TEST(CudaKCenter, TensorCoresChangeNothing) {
  for (const unsigned seed : {1u, 2u}) {
    pool p = gaussian(500, 36, 70, seed);
    if (seed == 2) p.weights = std::vector<float>(500, 0.3f);
    const picks expected = on_cpu(p);
    EXPECT_EQ(on_cuda(p, {64, 128}), expected);
    EXPECT_EQ(offloaded(p, devices(), 0, {100, 128}), expected);
  }
}

TEST(CudaKCenter, AnyCeilingAndNumberOfDevices) {
  const pool p = gaussian(600, 36, 24, 3);
  const picks expected = on_cpu(p);
  EXPECT_EQ(on_cuda(p, {32, 64}, 200 << 10), expected);
  for (int count = 1; count <= devices(); ++count) {
    SCOPED_TRACE(count);
    for (const std::size_t memory : {std::size_t(0), std::size_t(150 << 10), std::size_t(90 << 10)})
      EXPECT_EQ(offloaded(p, count, memory, {32, 64}), expected) << memory;
  }
}

/// From more picks than one sweep takes.
TEST(CudaKCenter, GoesOnFromPicks) {
  const pool p = gaussian(300, 12, 110, 4);
  const picks expected = on_cpu(p);
  const on_device<float> x(p.x);
  const allowance limit = p.limit();
  for (const index_t at : {index_t(1), index_t(33), index_t(100)}) {
    SCOPED_TRACE(at);
    const width shortlist{4, 32};
    batch_run run{.begin = {{expected.begin(), expected.begin() + at}}};
    const auto there = kcenter_model(cuda{}, {x.rows(p.rows, p.cols), {}, {}}, limit, shortlist);
    EXPECT_EQ(threshold_batches(*there, limit, &run), expected);
    const auto sent = kcenter_model(offload{}, p.on_host(), limit, shortlist);
    EXPECT_EQ(threshold_batches(*sent, limit, &run), expected);
  }
}

TEST(CudaKCenter, EqualRowsUpToTheLast) {
  pool p{200, 3, std::vector<float>(600, 2.5f)};
  p.picks = 400;
  const picks expected = on_cpu(p);
  ASSERT_EQ(expected.size(), 200u);
  EXPECT_EQ(on_cuda(p, {32, 64}), expected);
  EXPECT_EQ(offloaded(p, devices(), 0, {32, 64}), expected);
}

TEST(CudaKCenter, OverflowingDistancesTie) {
  pool p{3, 1, {0.0f, 2e38f, -2e38f}};
  p.picks = 3;
  EXPECT_EQ(on_cuda(p), (picks{{0, infinity}, {1, infinity}, {2, infinity}}));
}

TEST(CudaKCenter, NoRowsNoColumnsNoPicks) {
  pool p{0, 4, {}};
  p.picks = 3;
  EXPECT_TRUE(on_cuda(p).empty());
  EXPECT_TRUE(offloaded(p, devices()).empty());
  p = {3, 0, {}};
  p.picks = 2;
  EXPECT_EQ(on_cuda(p), on_cpu(p));
  EXPECT_EQ(offloaded(p, devices()), on_cpu(p));
  p = gaussian(3, 2, 0, 1);
  EXPECT_TRUE(on_cuda(p).empty());
}

TEST(CudaKCenter, RefusesWhatTheCpuRefuses) {
  pool p = gaussian(70, 3, 5, 1);
  p.x[3 * 40 + 1] = nan;
  const on_device<float> x(p.x);
  const auto points = x.rows(70, 3);
  const auto from = [&](const where& on, const allowance& limit, vector_view<const float> covered = {},
                        vector_view<const float> weights = {}) {
    return [=] { kcenter(on, points, limit, covered, weights); };
  };
  expect_refused<value_error>(from(cuda{}, {.picks = 1}),
                              "kcenter: points holds a NaN or an infinity in row 40 (1 such rows)");
  expect_refused<value_error>([&] { kcenter(offload{}, p.on_host().points, {.picks = 1}); }, "in row 40 (1");
  const on_device<float> short_one(std::vector<float>(69, 1.0f));
  expect_refused<shape_error>(from(cuda{}, {.picks = 1}, short_one.view()),
                              "covered has 69 places but there are 70 rows");
  std::vector<float> values(70, 1.0f);
  values[33] = values[55] = -1.0f;
  const on_device<float> negative(values);
  expect_refused<value_error>(from(cuda{}, {.picks = 1}, negative.view()), "covered of row 33 is -1");
  values[33] = infinity;
  const on_device<float> infinite(values);
  expect_refused<value_error>(from(cuda{}, {.picks = 1}, {}, infinite.view()), "weights of row 33 is inf");
  const auto finite = x.rows(40, 3);
  expect_refused<value_error>([&] { kcenter(cuda{}, finite, {.picks = -1}); }, "the number of picks is -1");
  expect_refused<value_error>([&] { kcenter(offload{{}}, {}, {.picks = 1}); }, "offload names no device");
  expect_refused<memory_error>([&] { kcenter(cuda{.memory = 64}, finite, {.picks = 1}); }, "the ceiling is 64");
  p.x[3 * 40 + 1] = 0;
  expect_refused<cuda_error>([&] { kcenter(offload{{0, 99}}, p.on_host().points, {.picks = 1}); }, "device 99");
}

}  // namespace
}  // namespace poolwise
