// The canonical distance on a device: the bits of the CPU's.
#include "poolwise/distance/distance.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::on_device;

std::vector<float> normal_values(index_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

TEST(CudaDistance, HasTheBitsOfTheCpu) {
  const index_t rows = 37;
  for (const index_t cols : {1, 2, 15, 16, 17, 31, 32, 33, 64, 100}) {
    SCOPED_TRACE(cols);
    const auto points = normal_values(rows * cols, unsigned(cols)), center = normal_values(cols, 99);
    std::vector<float> expected(static_cast<std::size_t>(rows)), norms(expected);
    squared_distances(cpu{}, {points.data(), rows, cols}, {center.data(), cols}, {expected.data(), rows});
    squared_norms(cpu{}, {points.data(), rows, cols}, {norms.data(), rows});
    const on_device<float> x(points, 1), y(center);
    const auto d2 = on_device<float>::room(rows), norm2 = on_device<float>::room(rows);
    squared_distances(cuda{}, x.rows(rows, cols), y.view(), d2.view());
    squared_norms(cuda{}, x.rows(rows, cols), norm2.view());
    EXPECT_EQ(d2.to_host(), expected);
    EXPECT_EQ(norm2.to_host(), norms);
  }
}

}  // namespace
}  // namespace poolwise
