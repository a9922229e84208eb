// exp and log in double against those of long double.
#include "poolwise/core/detail/exp_log.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace poolwise {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

double ulp_of(double x) { return std::nextafter(std::abs(x), infinity) - std::abs(x); }

TEST(FixedExp, IsWithinThePromiseOfTheHeader) {
  std::mt19937_64 engine(1);
  for (const double range : {1e-9, 0.02, 1.0, 40.0, 690.0}) {
    std::uniform_real_distribution<double> uniform(-range, range);
    for (int i = 0; i < 20'000; ++i) {
      const double x = uniform(engine), got = fixed_exp(x);
      ASSERT_LE(std::abs(got - std::exp(static_cast<long double>(x))), 0.6L * ulp_of(got)) << x;
    }
  }
}

TEST(FixedExp, TheEndsAreExact) {
  EXPECT_EQ(fixed_exp(0.0), 1);
  EXPECT_EQ(fixed_exp(-0.0), 1);
  EXPECT_EQ(fixed_exp(-708.1), 0);
  EXPECT_EQ(fixed_exp(-infinity), 0);
  EXPECT_EQ(fixed_exp(709.1), infinity);
  EXPECT_EQ(fixed_exp(infinity), infinity);
  EXPECT_TRUE(std::isnan(fixed_exp(NAN)));
}

TEST(FixedLog, IsWithinThePromiseOfTheHeader) {
  std::mt19937_64 engine(2);
  for (const double range : {1e-9, 0.02, 1.0, 40.0, 700.0}) {
    std::uniform_real_distribution<double> uniform(-range, range);
    for (int i = 0; i < 20'000; ++i) {
      const double x = std::exp(uniform(engine)), got = fixed_log(x);
      ASSERT_LE(std::abs(got - std::log(static_cast<long double>(x))), 1.0L * ulp_of(got)) << x;
    }
  }
}

TEST(FixedLog, TheEndsAreExact) {
  EXPECT_EQ(fixed_log(1.0), 0);
  EXPECT_EQ(fixed_log(2.0), 0x1.62e42fefa39efp-1);
  EXPECT_EQ(fixed_log(0.0), -infinity);
  EXPECT_EQ(fixed_log(infinity), infinity);
  EXPECT_TRUE(std::isnan(fixed_log(NAN)));
  EXPECT_TRUE(std::isnan(fixed_log(-1.0)));
}

}  // namespace
}  // namespace poolwise
