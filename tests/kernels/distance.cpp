// The canonical distance against its written definition, and nearest() against a loop over all references.
#include "poolwise/distance/distance.hpp"

#include <gtest/gtest.h>
#include <omp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/detail/dot_table.hpp"
#include "reference/cpu_targets.hpp"
#include "reference/distance.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using reference::message_of;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> random_values(index_t size, std::uint32_t seed, float scale = 1) {
  std::mt19937 next(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(size));
  for (float& v : x) v = scale * normal(next);
  return x;
}

std::vector<index_t> awkward_columns() {
  std::vector<index_t> cols;
  for (index_t c = 0; c <= 130; ++c) cols.push_back(c);
  cols.insert(cols.end(), {784, 1000});
  return cols;
}

bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

TEST(DotTable, HasTheBitsOfTheDefinition) {
  std::mt19937 next(41);
  std::normal_distribution<float> normal;
  for (const index_t cols : {1, 15, 16, 17, 48, 100})
    for (const auto& shape : std::vector<std::pair<index_t, index_t>>{{1, 1}, {12, 4}, {13, 5}, {25, 19}}) {
      const index_t rows = shape.first, others = shape.second;
      SCOPED_TRACE(testing::Message() << cols << " columns, " << rows << " rows with " << others);
      std::vector<float> values(std::size_t((rows + others) * cols));
      for (float& v : values) v = normal(next);
      const float* const second = values.data() + rows * cols;
      packed_rows x(cols, rows, left_group), y(cols, others, right_group);
      for (index_t i = 0; i < rows; ++i) x.add(values.data() + i * cols);
      for (index_t j = 0; j < others; ++j) y.add(second + j * cols);
      std::vector<float> table(36 * 20);
      reference::for_each_cpu_target([&] {
        dot_table(x, y, table.data(), 20);
        for (index_t i = 0; i < rows; ++i)
          for (index_t j = 0; j < others; ++j)
            ASSERT_EQ(table[std::size_t(i * 20 + j)],
                      canonical_dot(values.data() + i * cols, second + j * cols, cols));
      });
    }
}

TEST(CanonicalDistance, IsItsWrittenDefinitionToTheBitOnEveryTarget) {
  reference::for_each_cpu_target([] {
    for (const index_t cols : awkward_columns())
      for (const float scale : {1.0f, 1e-21f, 1e19f}) {  // ordinary; squares that are denormal; overflow
        SCOPED_TRACE(testing::Message() << cols << " columns, scale " << scale);
        const auto x = random_values(cols, 1, scale), y = random_values(cols, 2, scale);
        EXPECT_EQ(canonical_squared_distance(x.data(), y.data(), cols),
                  reference::canonical_squared_distance(x.data(), y.data(), std::size_t(cols)));
        EXPECT_TRUE(same(canonical_dot(x.data(), y.data(), cols),
                         reference::canonical_dot(x.data(), y.data(), std::size_t(cols))));
      }
  });
}

// A difference is rounded once and squared (2 roundings), ceil(n/16) fmas and 4 additions follow, and all
// terms are positive: the relative error is at most k u / (1 - k u), k = ceil(n/16) + 6, u = 2^-24.
TEST(CanonicalDistance, IsCloseToTheExactDistance) {
  for (const index_t cols : awkward_columns()) {
    const auto x = random_values(cols, 3), y = random_values(cols, 4);
    const long double exact = reference::exact_squared_distance(x.data(), y.data(), std::size_t(cols));
    const long double roundings = static_cast<long double>((cols + 15) / 16 + 6) * 0x1p-24L;
    EXPECT_LE(std::fabs(static_cast<long double>(canonical_squared_distance(x.data(), y.data(), cols)) - exact),
              roundings / (1 - roundings) * exact)
        << cols;
  }
}

TEST(CanonicalDistance, IsSymmetricAndZeroForEqualRows) {
  const auto x = random_values(77, 5), y = random_values(77, 6);
  EXPECT_EQ(canonical_squared_distance(x.data(), y.data(), 77),
            canonical_squared_distance(y.data(), x.data(), 77));
  EXPECT_EQ(canonical_dot(x.data(), y.data(), 77), canonical_dot(y.data(), x.data(), 77));
  EXPECT_EQ(canonical_squared_distance(x.data(), x.data(), 77), 0.0f);
}

TEST(SquaredDistances, EveryRowShapeStrideThreadAndTarget) {
  reference::for_each_cpu_target([] {
    for (const index_t rows : {0, 1, 3, 4, 5, 1023, 1025, 2500})
      for (const index_t cols : {1, 16, 33})
        for (const index_t stride : {cols, cols + 3}) {
          SCOPED_TRACE(testing::Message() << rows << " x " << cols << " by " << stride);
          const auto values = random_values(rows * stride + 1, 7);
          const matrix_view<const float> points{values.data() + 1, rows, cols, stride};  // unaligned
          const auto center = random_values(cols, 8);
          for (const int threads : {1, 2, 5}) {
            std::vector<float> d2(static_cast<std::size_t>(rows)), norms = d2;
            squared_distances(cpu{threads}, points, {center.data(), cols}, {d2.data(), rows});
            squared_norms(cpu{threads}, points, {norms.data(), rows});
            for (index_t i = 0; i < rows; ++i) {
              const float* row = points.row(i);
              ASSERT_EQ(d2[std::size_t(i)],
                        reference::canonical_squared_distance(row, center.data(), std::size_t(cols)));
              ASSERT_EQ(norms[std::size_t(i)], reference::canonical_dot(row, row, std::size_t(cols)));
            }
          }
        }
  });
}

/// Floats that end where the process may read no further.
class guarded_floats {
 public:
  explicit guarded_floats(std::size_t size) : page_(std::size_t(sysconf(_SC_PAGESIZE))) {
    usable_ = (size * sizeof(float) + page_ - 1) / page_ * page_;
    map_ = mmap(nullptr, usable_ + page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(map_, MAP_FAILED);
    EXPECT_EQ(mprotect(static_cast<char*>(map_) + usable_, page_, PROT_NONE), 0);
    data_ = reinterpret_cast<float*>(static_cast<char*>(map_) + usable_) - size;
  }
  ~guarded_floats() { munmap(map_, usable_ + page_); }
  guarded_floats(const guarded_floats&) = delete;
  guarded_floats& operator=(const guarded_floats&) = delete;
  float* data() const { return data_; }

 private:
  std::size_t page_, usable_ = 0;
  void* map_ = nullptr;
  float* data_ = nullptr;
};

TEST(SquaredDistances, ReadsNothingBehindTheArray) {
  reference::for_each_cpu_target([] {
    for (index_t cols = 1; cols <= 65; ++cols) {
      const guarded_floats points(std::size_t(5 * cols)), center{std::size_t(cols)};
      float d2[5];
      squared_distances(cpu{1}, {points.data(), 5, cols}, {center.data(), cols}, {d2, 5});
      EXPECT_EQ(find_nonfinite(cpu{1}, {points.data(), 5, cols}).count, 0);
    }
  });
}

TEST(SquaredDistances, WrongShapesAndDevicesAreRefused) {
  const std::vector<float> x(6);
  std::vector<float> d2(3);
  const matrix_view<const float> points{x.data(), 3, 2};
  EXPECT_EQ(message_of<shape_error>([&] {
              squared_distances(cpu{}, points, {x.data(), 3}, {d2.data(), 3});
            }),
            "squared_distances: center has 3 columns but points has 2; pass a center of as many columns");
  EXPECT_EQ(message_of<shape_error>([&] {
              squared_distances(cpu{}, points, {x.data(), 2}, {d2.data(), 2});
            }),
            "squared_distances: d2 has 2 places but points has 3 rows; pass one place per row");
  EXPECT_EQ(message_of<shape_error>([&] {
              squared_norms(cpu{}, points, {d2.data(), 1});
            }),
            "squared_norms: d2 has 1 places but points has 3 rows; pass one place per row");
  if (!built_with_cuda) {
    EXPECT_THROW(squared_norms(cuda{}, points, {d2.data(), 3}), no_cuda_error);
  }
  if (!built_with_cuda) {
    EXPECT_THROW(find_nonfinite(cuda{}, points), no_cuda_error);
  }
}

TEST(FindNonfinite, NamesTheFirstRowAndCountsThem) {
  reference::for_each_cpu_target([] {
    for (const index_t cols : {1, 7, 16, 65, 130})
      for (const index_t stride : {cols, cols + 5})
        for (const float bad : {nan, infinity, -infinity}) {
          std::vector<float> x(std::size_t(3000 * stride), std::numeric_limits<float>::max());
          if (stride > cols) x[std::size_t(cols)] = nan;  // padding is not looked at
          for (const index_t row : {40, 41, 2999}) x[std::size_t(row * stride + row % cols)] = bad;
          for (const int threads : {1, 2, 5}) {
            const nonfinite_rows found = find_nonfinite(cpu{threads}, {x.data(), 3000, cols, stride});
            EXPECT_EQ(found.first, 40);
            EXPECT_EQ(found.count, 3);
            EXPECT_EQ(find_nonfinite(cpu{threads}, {x.data(), 40, cols, stride}).first, -1);
          }
        }
  });
}

/// Points and references in one place, and what a loop over all pairs says of them.
struct nearest_case {
  index_t rows, references, cols;
  std::vector<float> x, y;

  matrix_view<const float> points() const { return {x.data(), rows, cols}; }
  matrix_view<const float> refs() const { return {y.data(), references, cols}; }

  void expect_exact(const where& on) const {
    std::vector<float> d2(static_cast<std::size_t>(rows));
    std::vector<index_t> which(static_cast<std::size_t>(rows));
    nearest(on, points(), refs(), {d2.data(), rows}, {which.data(), rows});
    for (index_t i = 0; i < rows; ++i) {
      float best = reference::canonical_squared_distance(points().row(i), refs().row(0), std::size_t(cols));
      index_t best_reference = 0;
      for (index_t j = 1; j < references; ++j) {
        const float d =
            reference::canonical_squared_distance(points().row(i), refs().row(j), std::size_t(cols));
        if (d < best) {
          best = d;
          best_reference = j;
        }
      }
      ASSERT_EQ(d2[std::size_t(i)], best) << "row " << i;
      ASSERT_EQ(which[std::size_t(i)], best_reference) << "row " << i;
    }
  }
};

nearest_case random_case(index_t rows, index_t references, index_t cols) {
  return {rows, references, cols, random_values(rows * cols, 11), random_values(references * cols, 12)};
}

// 1000 references are enough for products; all smaller cases are scanned.
nearest_case large_case() { return random_case(150, 1000, 140); }

TEST(Nearest, SmallShapes) {
  for (const index_t references : {1, 2, 8, 9, 100, 256, 257})
    for (const index_t cols : {1, 7, 16, 33, 784}) {
      SCOPED_TRACE(testing::Message() << references << " references, " << cols << " columns");
      random_case(70, references, cols).expect_exact(cpu{2});
    }
}

TEST(Nearest, ProductsOnEveryTarget) {
  reference::for_each_cpu_target([] { large_case().expect_exact(cpu{2}); });
}

TEST(Nearest, FewPointsOfManyReferences) {
  nearest_case c = large_case();
  c.rows = 5;
  c.expect_exact(cpu{1});
}

TEST(Nearest, DuplicatedReferencesGoToTheLowest) {
  nearest_case c = large_case();
  for (index_t j = 0; j < 500; ++j)  // every reference twice, far apart
    std::copy_n(c.y.data() + j * c.cols, c.cols, c.y.data() + (j + 500) * c.cols);
  std::copy_n(c.y.data() + 3 * c.cols, c.cols, c.x.data());  // and one point at distance 0
  c.expect_exact(cpu{2});
}

TEST(Nearest, ManyDuplicates) {
  nearest_case c = large_case();
  for (index_t j = 0; j < c.references; ++j)
    std::copy_n(c.y.data() + j % 3 * c.cols, c.cols, c.y.data() + j * c.cols);
  c.expect_exact(cpu{2});
}

TEST(Nearest, NearTiesOneUlpApart) {
  nearest_case c = large_case();
  for (index_t j = 1; j < c.references; ++j)
    for (index_t k = 0; k < c.cols; ++k) {
      const float base = c.y[std::size_t(k)];
      const bool moved = (j + k) % 7 == 0;
      c.y[std::size_t(j * c.cols + k)] = moved ? std::nextafter(base, j % 2 ? 9.0f : -9.0f) : base;
    }
  c.expect_exact(cpu{2});
}

// Two references on opposite sides of each point: their canonical distances tie, products differ either way.
TEST(Nearest, ExactTiesThatProductsRankEitherWay) {
  nearest_case c = large_case();
  for (float& v : c.x) v = std::round(4096 * v) / 4096;  // too fine for exact products
  for (index_t i = 0; i < c.rows; ++i)
    for (index_t k = 0; k < c.cols; ++k) {
      const float at = c.x[std::size_t(i * c.cols + k)], step = float((i + 3 * k) % 5) / 64;
      c.y[std::size_t(2 * i * c.cols + k)] = at - step;
      c.y[std::size_t((2 * i + 1) * c.cols + k)] = at + step;
    }
  c.expect_exact(cpu{2});
}

TEST(Nearest, LargeOffsetsWhereProductsCancel) {
  nearest_case c = large_case();
  for (float& v : c.x) v = 1e4f + 0.01f * v;
  for (float& v : c.y) v = 1e4f + 0.01f * v;
  c.expect_exact(cpu{2});
}

// Half of the data clustered tightly, half spread out: products that suffice and products that do not.
TEST(Nearest, MixedClustersAndSpread) {
  nearest_case c = large_case();
  for (index_t j = 0; j < c.references; j += 2)
    for (index_t k = 0; k < c.cols; ++k)
      c.y[std::size_t(j * c.cols + k)] = 5.0f + 1e-5f * c.y[std::size_t(j * c.cols + k)];
  for (index_t i = 0; i < c.rows; i += 3)
    for (index_t k = 0; k < c.cols; ++k)
      c.x[std::size_t(i * c.cols + k)] = 5.0f + 1e-3f * c.x[std::size_t(i * c.cols + k)];
  c.expect_exact(cpu{2});
}

TEST(Nearest, TinyAndHugeNumbers) {
  for (const float scale : {1e-22f, 1e-38f, 1e18f, 1e38f}) {
    SCOPED_TRACE(scale);
    nearest_case c = large_case();
    for (float& v : c.x) v = std::clamp(v * scale, -1e38f, 1e38f);
    for (float& v : c.y) v = std::clamp(v * scale, -1e38f, 1e38f);
    c.expect_exact(cpu{1});
  }
}

TEST(Nearest, MoreRowsThanOneTileAndPaddedRows) {
  const nearest_case c{4500, 1100, 128, random_values(4500 * 128, 13), random_values(1100 * 128, 14)};
  std::vector<float> expected(4500), got(4500);
  nearest(cpu{2}, c.points(), c.refs(), {expected.data(), 4500});
  const index_t cols = 125, stride = 128;  // the same numbers, the last three columns now padding
  const matrix_view<const float> points{c.x.data(), 4500, cols, stride}, refs{c.y.data(), 1100, cols, stride};
  nearest(cpu{2}, points, refs, {got.data(), 4500});
  for (const index_t i : {0, 1, 4095, 4096, 4499}) {
    const auto least = [&](index_t width) {
      float best = infinity;
      for (index_t j = 0; j < 1100; ++j)
        best = std::min(best, reference::canonical_squared_distance(c.points().row(i), c.refs().row(j),
                                                                    std::size_t(width)));
      return best;
    };
    EXPECT_EQ(expected[std::size_t(i)], least(128));
    EXPECT_EQ(got[std::size_t(i)], least(125));
  }
}

TEST(Nearest, SameForAnyThreadCountAndLeavesOpenMpAsItWas) {
  const nearest_case c = large_case();
  const int before = omp_get_max_threads();
  std::vector<float> first(150), d2(150);
  nearest(cpu{1}, c.points(), c.refs(), {first.data(), 150});
  for (const int threads : {2, 5}) {
    nearest(cpu{threads}, c.points(), c.refs(), {d2.data(), 150});
    EXPECT_EQ(d2, first);
    EXPECT_EQ(omp_get_max_threads(), before);
  }
}

TEST(Nearest, WrongUsesAreRefused) {
  std::vector<float> x(6), y(4), d2(3);
  std::vector<index_t> which(2);
  const matrix_view<const float> points{x.data(), 3, 2}, refs{y.data(), 2, 2};
  const vector_view<float> out{d2.data(), 3};
  EXPECT_EQ(message_of<shape_error>([&] {
              nearest(cpu{}, points, {y.data(), 0, 2}, out);
            }),
            "nearest: got no references; pass at least one");
  EXPECT_EQ(message_of<shape_error>([&] {
              nearest(cpu{}, points, {y.data(), 4, 1}, out);
            }),
            "nearest: references has 1 columns but points has 2; pass both from the same features");
  EXPECT_EQ(message_of<shape_error>([&] {
              nearest(cpu{}, points, refs, {d2.data(), 2});
            }),
            "nearest: d2 has 2 places but points has 3 rows; pass one place per row");
  EXPECT_EQ(message_of<shape_error>([&] {
              nearest(cpu{}, points, refs, out, {which.data(), 2});
            }),
            "nearest: which has 2 places but points has 3 rows; pass one place per row, or none");
  if (!built_with_cuda) {
    EXPECT_THROW(nearest(cuda{}, points, refs, out), no_cuda_error);
  }
  x[3] = nan;
  EXPECT_EQ(message_of<value_error>([&] { nearest(cpu{}, points, refs, out); }),
            "nearest: points holds a NaN or an infinity in row 1 (1 such rows); leave these rows out");
  x[3] = 0;
  y[0] = y[2] = infinity;
  EXPECT_EQ(message_of<value_error>([&] { nearest(cpu{}, points, refs, out); }),
            "nearest: references holds a NaN or an infinity in row 0 (2 such rows); leave these rows out");
}

TEST(Nearest, RowsThatWereJudgedAreNotReadAgain) {
  std::vector<float> x{0, 0, std::numeric_limits<float>::quiet_NaN(), 0}, y{3, 4}, d2(2);
  const matrix_view<const float> points{x.data(), 2, 2}, references{y.data(), 1, 2};
  nearest(cpu{}, finite_rows::judged(points), finite_rows::judged(references), {d2.data(), 2});
  EXPECT_EQ(d2[0], 25);
}

TEST(Nearest, NoPoints) {
  EXPECT_NO_THROW(nearest(cpu{}, {nullptr, 0, 2}, {random_values(2, 1).data(), 1, 2}, {}));
}

}  // namespace
}  // namespace poolwise
