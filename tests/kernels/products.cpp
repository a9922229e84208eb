// Products against the loops that their header names, to the bit.
#include "poolwise/core/detail/products.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "reference/cpu_targets.hpp"

namespace poolwise {
namespace {

template <class T>
struct Products : testing::Test {};
using types = testing::Types<float, double>;
TYPED_TEST_SUITE(Products, types);

template <class T>
std::vector<T> random_values(index_t size, unsigned seed) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<T> uniform(-1, 1);
  std::vector<T> x(static_cast<std::size_t>(size));
  for (T& value : x) value = uniform(engine);
  return x;
}

TYPED_TEST(Products, AreSumsInOneOrderOnEveryTarget) {
  using T = TypeParam;
  // Rows around each tile's, and lines around those beside them.
  for (const index_t rows : {0, 1, 2, 3, 4, 7, 8, 9, 17})
    for (const index_t lines : {0, 1, 2, 3, 4, 5, 9})
      for (const index_t inner : {0, 1, 13}) {
        SCOPED_TRACE(testing::Message() << rows << " rows, " << lines << " lines, " << inner << " inner");
        const index_t cols = lines * product_line<T>, stride = cols + 3, left_stride = inner + 2;
        const auto a = random_values<T>(rows * left_stride, 1), b = random_values<T>(inner * stride, 2);
        const auto start = random_values<T>(rows * stride, 3);
        auto want = start;
        for (index_t k = 0; k < inner; ++k)
          for (index_t i = 0; i < rows; ++i)
            for (index_t j = 0; j < cols; ++j) {
              const T product = a[std::size_t(i * left_stride + k)] * b[std::size_t(k * stride + j)];
              want[std::size_t(i * stride + j)] += product;
            }
        std::vector<T> turned(a.size());  // [inner + 2, rows]
        for (index_t i = 0; i < rows; ++i)
          for (index_t k = 0; k < left_stride; ++k)
            turned[std::size_t(k * rows + i)] = a[std::size_t(i * left_stride + k)];
        reference::for_each_cpu_target([&] {
          auto got = start, of_transpose = start;
          add_products({a.data(), left_stride, 1}, {b.data(), inner, cols, stride},
                       {got.data(), rows, cols, stride});
          add_products({turned.data(), 1, rows}, {b.data(), inner, cols, stride},
                       {of_transpose.data(), rows, cols, stride});
          EXPECT_EQ(got, want);
          EXPECT_EQ(of_transpose, want);
        });
      }
}

TYPED_TEST(Products, ANaNStaysInItsRow) {
  using T = TypeParam;
  const index_t cols = product_line<T>;
  const std::vector<T> a{1, 2, T(NAN), 4}, b(std::size_t(2 * cols), 1);
  std::vector<T> c(std::size_t(2 * cols), 0);
  add_products({a.data(), 2, 1}, {b.data(), 2, cols}, {c.data(), 2, cols});
  for (index_t j = 0; j < cols; ++j) {
    EXPECT_EQ(c[std::size_t(j)], 3);
    EXPECT_TRUE(std::isnan(c[std::size_t(cols + j)]));
  }
}

}  // namespace
}  // namespace poolwise
