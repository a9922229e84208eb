// Launches the kernels that read a whole pool, on arrays whose rows are full and aligned, where nothing excuses a
// sector too many: the simulator's counters of this program are held to limits.toml.
#include <gtest/gtest.h>

#include <vector>

#include "poolwise/distance/distance.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::on_device;

TEST(Probe, Distance) {
  const index_t rows = 64, cols = 128;
  const on_device<float> points{std::vector<float>(std::size_t(rows * cols), 1.0f)},
      center{std::vector<float>(cols)};
  const auto d2 = on_device<float>::room(rows);
  squared_distances(cuda{}, points.rows(rows, cols), center.view(), d2.view());
  squared_norms(cuda{}, points.rows(rows, cols), d2.view());
  EXPECT_EQ(d2.to_host(), std::vector<float>(rows, cols));
}

}  // namespace
}  // namespace poolwise
