// Canonical distances on a device: the bits of the CPU's.
#include "poolwise/distance/distance.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::on_device;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> normal_values(index_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

struct layout {
  std::size_t offset;  // elements before the first row
  index_t padding;     // columns behind each row but the last
};
constexpr layout layouts[] = {{0, 0}, {1, 0}, {0, 3}, {4, 4}};

/// Rows of `cols` columns, with NaN between them.
std::vector<float> spread(const std::vector<float>& x, index_t rows, index_t cols, index_t padding) {
  if (rows == 0) return {};
  std::vector<float> wide(std::size_t(rows * (cols + padding) - padding), nan);
  for (index_t i = 0; i < rows; ++i)
    std::copy_n(x.begin() + i * cols, cols, wide.begin() + i * (cols + padding));
  return wide;
}

TEST(CudaDistance, HasTheBitsOfTheCpu) {
  for (const index_t cols : {0, 1, 2, 4, 5, 15, 16, 17, 31, 32, 33, 64, 67, 100, 200})
    for (const index_t rows : {1, 37, 130})
      for (const layout& how : layouts) {
        SCOPED_TRACE(testing::Message()
                     << rows << " x " << cols << ", " << how.offset << " before, padded by " << how.padding);
        if (rows == 130 && cols > 40) continue;
        const auto points = normal_values(rows * cols, unsigned(cols)), center = normal_values(cols, 99);
        std::vector<float> expected(static_cast<std::size_t>(rows)), norms(expected);
        squared_distances(cpu{1}, {points.data(), rows, cols}, {center.data(), cols}, {expected.data(), rows});
        squared_norms(cpu{1}, {points.data(), rows, cols}, {norms.data(), rows});
        const on_device<float> x(spread(points, rows, cols, how.padding), how.offset), y(center);
        const auto d2 = on_device<float>::room(rows), norm2 = on_device<float>::room(rows);
        const matrix_view<const float> view{x.data(), rows, cols, cols + how.padding};
        squared_distances(cuda{}, view, y.view(), d2.view());
        squared_norms(cuda{}, view, norm2.view());
        EXPECT_EQ(d2.to_host(), expected);
        EXPECT_EQ(norm2.to_host(), norms);
        EXPECT_EQ(find_nonfinite(cuda{}, view).count, 0);
      }
}

TEST(CudaDistance, ExtremesAndSubnormals) {
  const std::vector<float> x{3e38f, -3e38f, 1e-45f, -1e-45f, 1e-20f, 2e-20f, 0.0f, -0.0f}, y{-3e38f, 1e-45f};
  std::vector<float> expected(4);
  squared_distances(cpu{1}, {x.data(), 4, 2}, {y.data(), 2}, {expected.data(), 4});
  const on_device<float> points(x), center(y);
  const auto d2 = on_device<float>::room(4);
  squared_distances(cuda{}, points.rows(4, 2), center.view(), d2.view());
  EXPECT_EQ(d2.to_host(), expected);
}

TEST(CudaDistance, FindsNaNAndInfinity) {
  for (const index_t cols : {1, 7, 16, 40, 65}) {
    const index_t rows = 300;
    auto x = normal_values(rows * cols, 1);
    x[std::size_t(299 * cols)] = -infinity;
    x[std::size_t(17 * cols + cols - 1)] = nan;
    x[std::size_t(18 * cols)] = infinity;
    for (const layout& how : layouts) {
      const on_device<float> points(spread(x, rows, cols, how.padding), how.offset);
      const auto found = find_nonfinite(cuda{}, {points.data(), rows, cols, cols + how.padding});
      EXPECT_EQ(found.first, 17);
      EXPECT_EQ(found.count, 3);
    }
    EXPECT_EQ(find_nonfinite(offload{}, {x.data(), rows, cols}).first, 17);
  }
  EXPECT_EQ(find_nonfinite(cuda{}, {nullptr, 0, 3}).first, -1);
}

TEST(CudaDistance, NearestAsOnTheCpu) {
  for (const auto& [rows, references, cols] : std::vector<std::tuple<index_t, index_t, index_t>>{
           {50, 1, 3}, {33, 40, 17}, {200, 30, 40}, {90, 260, 36}}) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols << " to " << references);
    auto x = normal_values(rows * cols, 1), y = normal_values(references * cols, 2);
    // Ties: references that repeat, and points that are references.
    for (index_t j = 3; j < references; j += 3) std::copy_n(y.begin(), cols, y.begin() + j * cols);
    for (index_t i = 0; i < rows; i += 4)
      std::copy_n(y.begin() + (i % references) * cols, cols, x.begin() + i * cols);
    std::vector<float> expected(static_cast<std::size_t>(rows)), got(expected);
    std::vector<index_t> expected_which(static_cast<std::size_t>(rows)), which(expected_which);
    nearest(cpu{1}, {x.data(), rows, cols}, {y.data(), references, cols}, {expected.data(), rows},
            {expected_which.data(), rows});
    const on_device<float> points(x), others(y);
    const auto d2 = on_device<float>::room(rows);
    const auto reference = on_device<index_t>::room(rows);
    nearest(cuda{}, points.rows(rows, cols), others.rows(references, cols), d2.view(), reference.view());
    EXPECT_EQ(d2.to_host(), expected);
    EXPECT_EQ(reference.to_host(), expected_which);
    const auto d2_alone = on_device<float>::room(rows);
    nearest(cuda{.memory = 200 << 10}, points.rows(rows, cols), others.rows(references, cols), d2_alone.view());
    EXPECT_EQ(d2_alone.to_host(), expected);
    nearest(offload{{0}, 400 << 10}, {x.data(), rows, cols}, {y.data(), references, cols}, {got.data(), rows},
            {which.data(), rows});
    EXPECT_EQ(got, expected);
    EXPECT_EQ(which, expected_which);
  }
}

TEST(CudaDistance, OfInfiniteDistancesTheFirstReferenceIsNearest) {
  const on_device<float> x(std::vector<float>{2e38f, 2e38f}), y(std::vector<float>{-2e38f, -3e38f});
  const auto d2 = on_device<float>::room(2);
  const auto which = on_device<index_t>::room(2);
  nearest(cuda{}, x.rows(2, 1), y.rows(2, 1), d2.view(), which.view());
  EXPECT_EQ(d2.to_host(), (std::vector<float>{infinity, infinity}));
  EXPECT_EQ(which.to_host(), (std::vector<index_t>{0, 0}));
}

TEST(CudaDistance, RefusesNaN) {
  std::vector<float> x(30, 1.0f);
  const on_device<float> good(x);
  x[7] = nan;
  const on_device<float> bad(x);
  const auto d2 = on_device<float>::room(10);
  const auto ask = [&](const on_device<float>& points, const on_device<float>& references) {
    return [&] { nearest(cuda{}, points.rows(10, 3), references.rows(10, 3), d2.view()); };
  };
  expect_refused<value_error>(ask(bad, good),
                              "nearest: points holds a NaN or an infinity in row 2 (1 such rows)");
  expect_refused<value_error>(ask(good, bad), "nearest: references holds");
}

}  // namespace
}  // namespace poolwise
