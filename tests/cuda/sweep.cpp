// The sweep of a pool by many centres: whatever tensor cores exclude, the bits are those of the canonical
// distance to every centre.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "poolwise/distance/detail/sweep_cuda.hpp"
#include "poolwise/distance/distance.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::on_device;
using reference::succeed;

constexpr float infinity = std::numeric_limits<float>::infinity();

struct problem {
  index_t rows, cols, centers;
  std::vector<float> x, c, m;  // m: what is to be lowered
};

struct generator {
  const char* name;
  std::function<float(std::mt19937&, index_t row, index_t col)> value;
};

float normal(std::mt19937& next) { return std::normal_distribution<float>()(next); }

const generator generators[] = {
    {"gaussian", [](std::mt19937& next, index_t, index_t) { return normal(next); }},
    // The residual of a coordinate that dominates all others does not average out.
    {"one coordinate dominates",
     [](std::mt19937& next, index_t, index_t col) { return normal(next) * (col == 0 ? 1e3f : 1e-2f); }},
    {"falling spectrum",
     [](std::mt19937& next, index_t, index_t col) { return normal(next) * std::pow(0.8f, float(col)); }},
    {"small integers", [](std::mt19937& next, index_t, index_t) { return float(next() % 3); }},
    {"duplicates",
     [](std::mt19937&, index_t row, index_t col) { return std::sin(float(row % 7) + 3 * float(col)); }},
    {"far from the origin",
     [](std::mt19937& next, index_t, index_t col) { return 1e4f * float(1 + col % 5) + normal(next) * 0.01f; }},
    {"two clusters far apart",
     [](std::mt19937& next, index_t row, index_t) { return (row % 2 == 0 ? 1e3f : -1e3f) + normal(next); }},
    {"subnormal", [](std::mt19937& next, index_t, index_t) { return normal(next) * 1e-40f; }},
    {"squares underflow", [](std::mt19937& next, index_t, index_t) { return normal(next) * 1e-22f; }},
    {"squares overflow", [](std::mt19937& next, index_t, index_t) { return normal(next) * 1e19f; }},
    {"bf16 overflows",
     [](std::mt19937& next, index_t row, index_t) {
       return row % 3 == 0 ? std::numeric_limits<float>::max() * (next() % 2 == 0 ? 1.0f : -1.0f)
                           : normal(next);
     }},
    {"all equal", [](std::mt19937&, index_t, index_t) { return 1.5f; }},
};

problem make(const generator& from, index_t rows, index_t cols, index_t centers, unsigned seed) {
  std::mt19937 next(seed);
  problem p{rows, cols, centers, {}, {}, {}};
  for (index_t i = 0; i < rows; ++i)
    for (index_t c = 0; c < cols; ++c) p.x.push_back(from.value(next, i, c));
  // Half of the centres are rows of the pool.
  for (index_t i = 0; i < centers; ++i) {
    const index_t row = i % 2 == 0 && rows > 0 ? index_t(next() % unsigned(rows)) : -1;
    for (index_t c = 0; c < cols; ++c)
      p.c.push_back(row >= 0 ? p.x[std::size_t(row * cols + c)] : from.value(next, i, c));
  }
  std::vector<float> d2(static_cast<std::size_t>(rows));
  for (index_t i = 0; i < rows; ++i) p.m.push_back(infinity);
  // A bound from one centre more for most rows; some are retired, some are at a centre.
  if (rows > 0) {
    squared_distances(cpu{1}, {p.x.data(), rows, cols}, {p.x.data(), cols}, {d2.data(), rows});
    for (index_t i = 0; i < rows; ++i)
      p.m[std::size_t(i)] = i % 5 == 0    ? infinity
                            : i % 11 == 0 ? -1.0f
                            : i % 7 == 0  ? 0.0f
                                          : d2[std::size_t(i)];
  }
  return p;
}

std::vector<float> lowered(const problem& p) {
  std::vector<float> m = p.m, d2(m.size());
  for (index_t c = 0; c < p.centers; ++c) {
    squared_distances(cpu{1}, {p.x.data(), p.rows, p.cols}, {p.c.data() + c * p.cols, p.cols},
                      {d2.data(), p.rows});
    for (std::size_t i = 0; i < m.size(); ++i) m[i] = std::min(m[i], d2[i]);
  }
  return m;
}

using path = canonical_sweep::path;

struct layout {
  index_t padding = 0;     // columns behind each row
  std::size_t offset = 0;  // elements before the first
  bool kept = true;        // bf16 copies made once
  std::size_t memory = 0;  // the ceiling
};

std::vector<float> padded(const std::vector<float>& x, index_t rows, index_t cols, index_t padding) {
  if (rows == 0) return {};
  std::vector<float> wide(std::size_t(rows * (cols + padding) - padding),
                          std::numeric_limits<float>::quiet_NaN());
  for (index_t i = 0; i < rows; ++i)
    std::copy_n(x.begin() + i * cols, cols, wide.begin() + i * (cols + padding));
  return wide;
}

struct outcome {
  std::vector<float> m;
  std::vector<index_t> which;
  index_t survivors = 0;
};

/// As the library does it: the origin from the pool, a copy of the rows kept or not.
outcome run_lower(const problem& p, path allowed, const layout& how = {}) {
  const on_device<float> x(padded(p.x, p.rows, p.cols, how.padding), how.offset), c(p.c), m(p.m);
  const matrix_view<const float> points{x.data(), p.rows, p.cols, p.cols + how.padding};
  outcome out;
  {
    device_memory memory({.memory = how.memory}, "test");
    canonical_sweep sweep(memory, 0, p.cols, p.rows, p.centers, allowed);
    sweep.set_origin(points);
    rounded_rows kept;
    if (how.kept) kept = sweep.keep(points, p.centers);
    sweep.set_centers({c.data(), p.centers, p.cols});
    sweep.lower(points, kept, m.data());
    out.survivors = sweep.survivors();
  }
  out.m = m.to_host();
  return out;
}

outcome run_nearest(const problem& p, path allowed) {
  const on_device<float> x(p.x), c(p.c);
  const on_device<nearest_key> key(std::vector<nearest_key>(std::size_t(p.rows), no_reference));
  {
    device_memory memory({}, "test");
    canonical_sweep sweep(memory, 0, p.cols, p.rows, p.centers, allowed);
    sweep.set_origin(x.rows(p.rows, p.cols));
    sweep.set_centers({c.data(), p.centers, p.cols});
    sweep.lower(x.rows(p.rows, p.cols), {}, key.data(), 0);
  }
  outcome out;
  for (const nearest_key k : key.to_host()) {
    const auto bits = std::uint32_t(k >> 32);
    float d2;
    std::memcpy(&d2, &bits, sizeof d2);
    out.m.push_back(d2);
    out.which.push_back(index_t(std::uint32_t(k)));
  }
  return out;
}

class Sweeps : public testing::TestWithParam<generator> {};

TEST_P(Sweeps, LowerToTheBitsOfEveryCanonicalDistance) {
  for (const auto& [rows, cols, centers] :
       std::vector<std::tuple<index_t, index_t, index_t>>{{300, 40, 50}, {70, 64, 150}, {257, 33, 17}}) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols << ", " << centers << " centres");
    const problem p = make(GetParam(), rows, cols, centers, 1);
    EXPECT_EQ(run_lower(p, path::by_shape).m, lowered(p));
  }
}

TEST_P(Sweeps, FindTheNearestAndOfEqualsTheLowest) {
  problem p = make(GetParam(), 150, 40, 140, 2);
  p.m.assign(p.m.size(), infinity);
  const auto expected = lowered(p);
  const outcome got = run_nearest(p, path::by_shape);
  EXPECT_EQ(got.m, expected);
  std::vector<index_t> which(p.m.size(), 0);
  for (std::size_t i = 0; i < which.size(); ++i)
    while (canonical_squared_distance(p.x.data() + index_t(i) * p.cols, p.c.data() + which[i] * p.cols,
                                      p.cols) != expected[i])
      ++which[i];
  EXPECT_EQ(got.which, which);
}

INSTANTIATE_TEST_SUITE_P(All, Sweeps, testing::ValuesIn(generators), [](const auto& test) {
  std::string name = test.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == ' '; }, '_');
  return name;
});

// All roundings to bf16 lie along the difference: of two centres on either side the nearer one looks farther,
// by three halves of a last place. The pool is symmetric, which makes 0 the origin.
TEST(Sweep, RoundingsThatAllPointTheSameWay) {
  const float last = 0x1p-7f, little = 0x1p-15f;
  const index_t rows = 64, cols = 64;
  problem p{rows, cols, 0, {}, {}, std::vector<float>(std::size_t(rows), infinity)};
  const float x = 1 + last / 2 - little;
  for (index_t i = 0; i < rows; ++i) p.x.insert(p.x.end(), std::size_t(cols), i % 2 == 0 ? x : -x);
  for (const float sign : {1.0f, -1.0f})
    for (int away = 4; away < 10; ++away)
      for (const float c : {1 + float(away) * last + last / 2 + little, x - float(away) * last - 3 * little}) {
        p.c.insert(p.c.end(), std::size_t(cols), sign * c);
        ++p.centers;
      }
  EXPECT_EQ(run_lower(p, path::by_shape).m, lowered(p));
}

TEST(Sweep, CanonicalKernelAtEveryEdge) {
  for (const index_t cols : {0, 1, 3, 15, 16, 17, 31, 32, 33, 70})
    for (const auto& [rows, centers] : std::vector<std::pair<index_t, index_t>>{{1, 1}, {63, 17}, {65, 16}}) {
      SCOPED_TRACE(testing::Message() << rows << " x " << cols << ", " << centers << " centres");
      const problem p = make(generators[0], rows, cols, centers, unsigned(cols));
      EXPECT_EQ(run_lower(p, path::canonical).m, lowered(p));
    }
}

TEST(Sweep, NoRowsOrNoCentres) {
  const problem no_rows = make(generators[0], 0, 40, 20, 1), no_centers = make(generators[0], 20, 40, 0, 1);
  EXPECT_TRUE(run_lower(no_rows, path::by_shape).m.empty());
  EXPECT_EQ(run_lower(no_centers, path::by_shape).m, no_centers.m);
}

TEST(Sweep, AnyAlignmentPaddingAndMemory) {
  const problem p = make(generators[0], 600, 36, 20, 3);
  const auto expected = lowered(p);
  for (const layout& how :
       {layout{.padding = 4}, layout{.padding = 3}, layout{.offset = 1}, layout{.kept = false},
        layout{.kept = false, .memory = 64 << 10}, layout{.kept = false, .memory = 1 << 10}}) {
    SCOPED_TRACE(testing::Message() << how.padding << ' ' << how.offset << ' ' << how.kept << ' '
                                    << how.memory);
    EXPECT_EQ(run_lower(p, path::by_shape, how).m, expected);
  }
}

TEST(Sweep, AllPairs) {
  for (const index_t cols : {5, 40}) {
    const index_t rows = 70, pitch = 72;
    const problem p = make(generators[0], rows, cols, 0, 4);
    const on_device<float> x(p.x);
    const auto d2 = on_device<float>(std::vector<float>(std::size_t(rows * pitch)));
    {
      device_memory memory({}, "test");
      canonical_sweep(memory, 0, cols, rows, rows).all_pairs(x.rows(rows, cols), d2.data(), pitch);
    }
    const auto got = d2.to_host();
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = 0; j < rows; ++j)
        ASSERT_EQ(got[std::size_t(i * pitch + j)],
                  canonical_squared_distance(p.x.data() + i * cols, p.x.data() + j * cols, cols));
  }
}

// What the tensor cores leave over is little more than one pair a row and what is really nearer.
TEST(Sweep, FewPairsSurviveOnGaussianData) {
  int generation = 0;
  succeed(cudaDeviceGetAttribute(&generation, cudaDevAttrComputeCapabilityMajor, 0));
  if (generation < 8) return;  // no tensor cores for bf16: nothing is excluded
  problem p = make(generators[0], 512, 64, 128, 5);
  p.m.assign(p.m.size(), infinity);
  const outcome first = run_lower(p, path::by_shape);
  EXPECT_EQ(first.m, lowered(p));
  EXPECT_GE(first.survivors, p.rows);
  EXPECT_LT(first.survivors, p.rows * 2);
  p.m = first.m;
  p.c = make(generators[0], 512, 64, 128, 6).c;
  const outcome second = run_lower(p, path::by_shape);
  index_t nearer = 0;
  for (std::size_t i = 0; i < p.m.size(); ++i) nearer += second.m[i] < p.m[i];
  EXPECT_LT(second.survivors, nearer + p.rows / 4);
}

}  // namespace
}  // namespace poolwise
