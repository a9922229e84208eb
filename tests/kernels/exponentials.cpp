// exp of many numbers against std::exp in double.
#include "poolwise/diverse/detail/exponentials.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "reference/cpu_targets.hpp"

namespace poolwise {
namespace {

// Every `step`th float from -0 to -87, where e^x is normal.
std::vector<float> negative_floats(std::uint32_t step) {
  std::vector<float> x;
  for (std::uint32_t bits = 0x80000000; std::bit_cast<float>(bits) >= -87.0f; bits += step)
    x.push_back(std::bit_cast<float>(bits));
  return x;
}

TEST(Exponentials, AreWithinThePromiseOfTheHeader) {
  const std::vector<float> x = negative_floats(997);
  std::vector<float> y = x;
  exponentials(1, y.data(), index_t(y.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double want = std::exp(double(x[i]));
    ASSERT_NEAR(y[i], want, (6.5e-7 - 2.8e-9 * double(x[i])) * want) << x[i];
  }
}

TEST(Exponentials, HaveTheSameBitsOnEveryTarget) {
  std::vector<float> x = negative_floats(99'991);
  x.resize(x.size() / 16 * 16 + 7);  // a rest for every vector
  std::vector<float> want = x;
  exponentials(8, want.data(), index_t(want.size()));  // down to 0 and beyond
  reference::for_each_cpu_target([&] {
    std::vector<float> got = x;
    exponentials(8, got.data(), index_t(got.size()));
    EXPECT_EQ(got, want);
  });
}

TEST(Exponentials, TheEndsAreExact) {
  std::vector<float> x{0.0f, -0.0f, -88.1f, -1000.0f, -HUGE_VALF};
  exponentials(1, x.data(), index_t(x.size()));
  EXPECT_EQ(x, (std::vector<float>{1, 1, 0, 0, 0}));
}

}  // namespace
}  // namespace poolwise
