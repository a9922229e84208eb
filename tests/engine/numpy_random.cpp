// numpy's generator, against numpy.
#include "poolwise/reproduce/detail/numpy_random.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace poolwise {
namespace {

std::vector<int> shuffled(std::uint64_t seed, int size) {
  std::vector<int> x(static_cast<std::size_t>(size));
  std::iota(x.begin(), x.end(), 0);
  numpy_random(seed).shuffle(std::span(x));
  return x;
}

// Each literal is what numpy 2.4 prints for the call in the comment.

TEST(NumpyRandom, DrawsItsWords) {
  // default_rng(seed).bit_generator.random_raw(3)
  numpy_random zero(0), some(12345), wide((1ull << 32) + 5), widest((1ull << 63) + 7);
  for (const std::uint64_t word : {0xa30febcfd9c2825full, 0x4510bdf882d9d721ull, 0xa7d3da94ecde8b8ull})
    EXPECT_EQ(zero.next64(), word);
  for (const std::uint64_t word : {0x3a32b18db2ffc19dull, 0x51171315c9e4c4deull, 0xcc2024823444efd9ull})
    EXPECT_EQ(some.next64(), word);
  EXPECT_EQ(wide.next64(), 0xc6323ec321deb8d1ull);
  EXPECT_EQ(widest.next64(), 0xaf9e6ddf4e0e06eull);
}

TEST(NumpyRandom, BoundsItsDraws) {
  // g = default_rng(9); g.integers(0, 3_000_000_000, endpoint=True), six times: a bound that refuses a third of
  // the words; then with 0, which draws nothing, and 0xffffffff twice; then a whole word, past the half kept
  // back.
  numpy_random g(9);
  for (const std::uint32_t drawn :
       {2610747612u, 860451626u, 1809444450u, 1927879307u, 2745808737u, 2746140361u})
    EXPECT_EQ(g.integer(3'000'000'000u), drawn);
  EXPECT_EQ(g.integer(0), 0u);
  EXPECT_EQ(g.integer(0xffffffffu), 3979659784u);
  EXPECT_EQ(g.integer(0xffffffffu), 3695362584u);
  EXPECT_EQ(g.next64(), 0xeb119f0ab8946217ull);
}

TEST(NumpyRandom, Shuffles) {
  // i = arange(10); default_rng(seed).shuffle(i)
  EXPECT_EQ(shuffled(0, 10), (std::vector{4, 6, 2, 7, 3, 5, 9, 0, 8, 1}));
  EXPECT_EQ(shuffled(1, 10), (std::vector{8, 4, 7, 0, 1, 2, 5, 9, 6, 3}));
  EXPECT_EQ(shuffled(2, 10), (std::vector{2, 0, 7, 6, 9, 5, 3, 4, 8, 1}));
  EXPECT_EQ(shuffled(0, 1), std::vector{0});
  EXPECT_TRUE(shuffled(0, 0).empty());
  // i = arange(100000): i[:5], and (i * arange(1, 100001)).sum() % 1000003
  const auto many = shuffled(0, 100'000);
  EXPECT_EQ(std::vector(many.begin(), many.begin() + 5), (std::vector{18836, 43996, 91795, 93254, 38314}));
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < many.size(); ++k) sum += std::int64_t(k + 1) * many[k];
  EXPECT_EQ(sum % 1'000'003, 360867);
}

}  // namespace
}  // namespace poolwise
