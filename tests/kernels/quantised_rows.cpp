// Rows as small integers: their products, the bound of what they miss, and the sweeps and lists that stand on
// it.
#include "poolwise/distance/detail/quantised_rows.hpp"
#include "poolwise/core/mapped_pages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/mapped_pages.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/detail/lower_distances.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/graph/similarity.hpp"
#include "reference/cpu_targets.hpp"
#include "reference/neighbours.hpp"

namespace poolwise {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

struct matrix {
  index_t rows, cols;
  std::vector<float> values;
  operator matrix_view<const float>() const { return {values.data(), rows, cols}; }
  float* row(index_t i) { return values.data() + i * cols; }
  const float* row(index_t i) const { return values.data() + i * cols; }
};

matrix normal(index_t rows, index_t cols, std::uint32_t seed, float scale = 1, float offset = 0) {
  std::mt19937 next(seed);
  std::normal_distribution<float> value;
  matrix x{rows, cols, std::vector<float>(std::size_t(rows * cols))};
  for (float& v : x.values) v = offset + scale * value(next);
  return x;
}

struct named {
  std::string name;
  matrix x;
};

/// Rows that are hard on small integers, on norms, or on the range of fp32.
std::vector<named> hard_rows(index_t rows, index_t cols) {
  std::vector<named> all{{"normal", normal(rows, cols, 1)},
                         {"far from the origin", normal(rows, cols, 2, 1, 1e4f)},
                         {"hardly apart, far from the origin", normal(rows, cols, 3, 1e-4f, 100)},
                         {"tiny", normal(rows, cols, 4, 1e-25f)},
                         {"denormal", normal(rows, cols, 5, 1e-41f)},
                         {"huge", normal(rows, cols, 6, 1e17f)},
                         {"beyond the range", normal(rows, cols, 7, 1e25f)}};
  matrix dominated = normal(rows, cols, 8);
  for (index_t i = 0; i < rows; ++i) dominated.row(i)[i % 2] *= 1e6f;
  all.push_back({"one coordinate dominates", dominated});
  matrix heavy = normal(rows, cols, 9);
  for (float& v : heavy.values) v = std::exp(6 * v);
  all.push_back({"heavy tails", heavy});
  matrix repeated = normal(rows, cols, 10);
  for (index_t i = 3; i < rows; ++i)
    if (i % 3 != 0) std::copy_n(repeated.row(i % 3), cols, repeated.row(i));
  all.push_back({"duplicates", repeated});
  matrix near = normal(rows, cols, 11);
  for (index_t i = 1; i < rows; ++i)
    for (index_t c = 0; c < cols; ++c) near.row(i)[c] = std::nextafter(near.row(i - 1)[c], infinity);
  all.push_back({"an ulp apart", near});
  matrix mixed = normal(rows, cols, 12);
  for (index_t i = 0; i < rows; ++i)
    for (index_t c = 0; c < cols; ++c) mixed.row(i)[c] *= std::pow(10.0f, float(i % 30) - 15);
  all.push_back({"of every size", mixed});
  matrix ends = normal(rows, cols, 13);  // whose differences are infinite
  for (float& v : ends.values) v = std::copysign(std::numeric_limits<float>::max(), v);
  all.push_back({"at the ends of the range", ends});
  all.push_back({"zeros", {rows, cols, std::vector<float>(std::size_t(rows * cols), 0.0f)}});
  return all;
}

template <class Integer>
Integer integer_of(const std::int32_t* units, index_t c) {
  Integer value;
  std::memcpy(&value, reinterpret_cast<const char*>(units) + c * index_t(sizeof value), sizeof value);
  return value;
}

double integer_product(const quantised_rows& x, index_t i, const quantised_rows& y, index_t j, index_t cols) {
  double sum = 0;
  for (index_t c = 0; c < cols; ++c)
    sum += x.fine() == grain::bytes
               ? double(integer_of<std::int8_t>(x.row(i), c)) * double(integer_of<std::int8_t>(y.row(j), c))
               : double(integer_of<std::int16_t>(x.row(i), c)) * double(integer_of<std::int16_t>(y.row(j), c));
  return sum;
}

quantised_rows quantised(const matrix& x, grain fine, const float* origin = nullptr) {
  quantised_rows rows(fine, x.cols, x.rows);
  for (index_t i = 0; i < x.rows; ++i) rows.add(x.row(i), origin);
  return rows;
}

using lines = std::vector<float, line_allocator<float>>;

TEST(QuantisedProducts, AreThoseOfTheIntegersOnEveryTarget) {
  for (const index_t cols : {1, 3, 4, 5, 16, 17, 33, 200})
    for (const auto& shape :
         std::vector<std::pair<index_t, index_t>>{{1, 1}, {7, 16}, {8, 17}, {9, 47}, {20, 48}}) {
      const matrix x = normal(shape.first, cols, 21), y = normal(shape.second, cols, 22, 40);
      SCOPED_TRACE(testing::Message() << cols << " columns, " << x.rows << " rows with " << y.rows);
      reference::for_each_cpu_target([&] {
        for (const grain fine : {grain::bytes, grain::words}) {
          const quantised_rows rows = quantised(x, fine), others = quantised(y, fine);
          const quantised_panel panel(others);
          lines table(std::size_t(product_height(x.rows) * panel.places()));
          quantised_products(rows, panel, table.data());
          for (index_t i = 0; i < x.rows; ++i)
            for (index_t j = 0; j < y.rows; ++j)
              ASSERT_EQ(table[std::size_t(i * panel.places() + j)],
                        float(integer_product(rows, i, others, j, cols)));
        }
      });
    }
}

// So many columns that the integers have to be smaller than their type allows.
TEST(QuantisedProducts, SumsOfManyColumnsFit) {
  matrix x{2, 200'000, std::vector<float>(400'000, 1.0f)};
  std::fill_n(x.row(1), x.cols, -1.0f);
  for (const grain fine : {grain::bytes, grain::words}) {
    const quantised_rows rows = quantised(x, fine);
    const quantised_panel panel(rows);
    lines table(std::size_t(product_height(2) * panel.places()));
    quantised_products(rows, panel, table.data());
    const double square = integer_product(rows, 0, rows, 0, x.cols);
    EXPECT_GT(square, 1e9);
    EXPECT_EQ(table[0], float(square));
    EXPECT_EQ(table[1], float(-square));
  }
}

TEST(QuantisedFacts, BoundWhatTheIntegersMiss) {
  for (const index_t cols : {3, 100})
    for (const auto& [name, x] : hard_rows(20, cols)) {
      SCOPED_TRACE(testing::Message() << name << ", " << cols << " columns");
      reference::for_each_cpu_target([&, &x = x] {
        for (const bool shifted : {false, true})
          for (const grain fine : {grain::bytes, grain::words}) {
            const float* const origin = shifted ? x.row(0) : nullptr;
            const quantised_rows rows = quantised(x, fine, origin);
            const quantised_facts& facts = rows.facts();
            for (std::size_t i = 0; i < 20; ++i)
              if (facts.norm2[i] == infinity) {
                ASSERT_EQ(facts.scale[i], 0);
                ASSERT_EQ(facts.reach[i], 0);
                ASSERT_EQ(facts.loss[i], 0);
              }
            for (std::size_t i = 0; i < 20; ++i)
              for (std::size_t j = 0; j < 20; ++j) {
                if (std::max(facts.norm2[i], facts.norm2[j]) == infinity) continue;
                const float* const one = x.row(index_t(i));
                const float* const other = x.row(index_t(j));
                long double exact = 0;
                for (index_t c = 0; c < cols; ++c) {
                  const long double o = shifted ? origin[c] : 0;
                  exact += (one[c] - o) * (other[c] - o);
                }
                const auto product = float(integer_product(rows, index_t(i), rows, index_t(j), cols));
                const float got = facts.scale[i] * (facts.scale[j] * product);
                const float bound = facts.loss[i] * facts.reach[j] + facts.reach[i] * facts.loss[j];
                ASSERT_LE(std::abs(static_cast<long double>(got) - exact), static_cast<long double>(bound));
                if (shifted) continue;
                ASSERT_LE(std::abs(got - canonical_dot(one, other, cols)), bound);
              }
          }
      });
    }
}

TEST(QuantisedFacts, LeaveFewPairsOfOrdinaryRowsOpen) {
  const matrix x = normal(96, 128, 31), y = normal(48, 128, 32);
  for (const grain fine : {grain::bytes, grain::words}) {
    const quantised_rows rows = quantised(x, fine), others = quantised(y, fine);
    const quantised_panel panel(others);
    lines table(std::size_t(96 * panel.places()));
    quantised_products(rows, panel, table.data());
    // |x|^2 + |y|^2 - 2 x.y < 256 - 80, a distance 3.5 standard deviations below the mean.
    std::vector<float> limit;
    for (const float norm2 : rows.facts().norm2) limit.push_back(256 - 80 - norm2);
    std::vector<open_pair> pairs(96 * 48);
    const quantised_factor factor{&rows, &panel, table.data()};
    const index_t open = find_open_pairs(factor, panel.facts().norm2.data(), limit.data(), pairs.data());
    EXPECT_LT(open, fine == grain::bytes ? 60 : 20);
  }
}

TEST(PairFilter, TakesTheNextGrainWhereTooManyPairsAreOpenInVain) {
  reference::for_each_cpu_target([] {
    pair_filter filter;
    if (has_byte_products()) {
      EXPECT_EQ(filter.fine(), grain::bytes);
      filter.count(filter.fine(), 100, 40, 4000);  // of so few centres it says nothing yet
      EXPECT_EQ(filter.fine(), grain::bytes);
      filter.count(filter.fine(), 100, 40'000, 400'000);  // a tenth
      EXPECT_EQ(filter.fine(), grain::bytes);
      filter.count(filter.fine(), 100, 100, 2000);  // a fifth
    }
    EXPECT_EQ(filter.fine(), grain::words);
    filter.count(filter.fine(), 100, 100, 2000);
    EXPECT_FALSE(filter.direct());
    filter.count(filter.fine(), 100, 100, 6000);
    EXPECT_TRUE(filter.direct());
  });
}

std::vector<index_t> some_rows(index_t count, index_t rows, std::uint32_t seed) {
  std::mt19937 next(seed);
  std::vector<index_t> centers;
  for (index_t j = 0; j < count; ++j) centers.push_back(index_t(next() % unsigned(rows)));
  return centers;
}

// A pair that was closed though its distance is lower would show here: every bit is that of all distances.
TEST(DistanceSweeper, HasTheBitsOfAllDistancesOnEveryTarget) {
  const index_t rows = 150;
  mapped_pages pages(1);  // under a ceiling centres are copied
  for (const index_t cols : {2, 67})
    for (const auto& [name, x] : hard_rows(rows, cols)) {
      SCOPED_TRACE(testing::Message() << name << ", " << cols << " columns");
      std::vector<std::vector<float>> expected;
      const std::vector<std::vector<index_t>> passes{some_rows(6, rows, 41), some_rows(70, rows, 42),
                                                     some_rows(1, rows, 43), some_rows(60, rows, 44)};
      std::vector<float> least(std::size_t(rows), infinity);
      for (std::size_t i = 0; i < std::size_t(rows); i += 7) least[i] = -1;
      const std::vector<float> first = least;
      for (const auto& centers : passes) {
        for (index_t i = 0; i < rows; ++i)
          for (const index_t center : centers)
            least[std::size_t(i)] =
                std::min(least[std::size_t(i)], canonical_squared_distance(x.row(i), x.row(center), cols));
        expected.push_back(least);
      }
      reference::for_each_cpu_target([&, &x = x] {
        for (const cpu on : {cpu{1}, cpu{3, &pages}}) {
          distance_sweeper sweeper(on, x);
          std::vector<float> got = first;
          for (std::size_t pass = 0; pass < passes.size(); ++pass) {
            sweeper.lower(passes[pass], got.data());
            ASSERT_EQ(got, expected[pass]) << "pass " << pass;
          }
        }
      });
    }
}

TEST(DistanceSweeper, LowersSomeRowsAlone) {
  const index_t rows = 130;
  const matrix x = normal(rows, 40, 61);
  std::vector<index_t> some;
  for (index_t i = rows - 1; i >= 0; i -= 2) some.push_back(i);
  for (const index_t count : {3, 60}) {
    const std::vector<index_t> centers = some_rows(count, rows, 62);
    std::vector<float> all(std::size_t(rows), infinity), got = all;
    distance_sweeper(cpu{1}, x).lower(centers, all.data());
    mapped_pages pages(1);
    distance_sweeper(cpu{2, &pages}, x).lower_some(some, centers, got.data());
    for (index_t i = 0; i < rows; ++i)
      EXPECT_EQ(got[std::size_t(i)], i % 2 != 0 ? all[std::size_t(i)] : infinity) << i;
  }
}

TEST(DistanceSweeper, RowsWithoutColumnsAreAtDistanceZero) {
  const matrix x{40, 0, {}};
  std::vector<float> distance(40, infinity);
  distance_sweeper(cpu{2}, x).lower(some_rows(10, 40, 63), distance.data());
  EXPECT_EQ(distance, std::vector<float>(40, 0.0f));
}

TEST(OuterProductSweeper, HasTheBitsOfAllDistancesOnEveryTarget) {
  const index_t rows = 110, classes = 5, features = 33;
  mapped_pages pages(1);
  const auto all_a = hard_rows(rows, classes), all_h = hard_rows(rows, features);
  for (std::size_t n = 0; n < all_a.size(); ++n)
    for (const std::size_t shift : {std::size_t(0), std::size_t(3)})
      for (const bool bias : {false, true}) {
        const auto& [a_name, a] = all_a[n];
        const auto& [h_name, h] = all_h[(n + shift) % all_h.size()];
        SCOPED_TRACE(a_name + " (x) " + h_name);
        std::vector<double> norm2;
        bool fits = true;
        for (index_t i = 0; i < rows; ++i) {
          const float a2 = canonical_dot(a.row(i), a.row(i), classes),
                      h2 = canonical_dot(h.row(i), h.row(i), features);
          fits = fits && a2 < 1e38f && h2 < 1e38f;
          norm2.push_back(double(a2) * (double(h2) + double(bias)));
        }
        if (!fits) continue;  // refused by kmeans_pp
        const auto passes = {some_rows(5, rows, 51), some_rows(90, rows, 52), some_rows(50, rows, 53)};
        std::vector<float> expected(std::size_t(rows), infinity);
        for (const auto& centers : passes)
          for (index_t i = 0; i < rows; ++i)
            for (const index_t center : centers)
              expected[std::size_t(i)] =
                  std::min(expected[std::size_t(i)],
                           outer_squared_distance(norm2[std::size_t(i)], norm2[std::size_t(center)],
                                                  canonical_dot(a.row(i), a.row(center), classes),
                                                  canonical_dot(h.row(i), h.row(center), features), bias));
        reference::for_each_cpu_target([&, &a = a, &h = h] {
          for (const cpu on : {cpu{2}, cpu{2, &pages}}) {
            outer_product_sweeper sweeper(on, factored_rows{a, h, bias});
            std::vector<float> got(std::size_t(rows), infinity);
            for (const auto& centers : passes) sweeper.lower({norm2.data(), rows}, centers, got.data());
            ASSERT_EQ(got, expected);
          }
        });
      }
}

// A pair that was closed though it belongs to a list would show here: more rows than a block of points.
TEST(NeighbourLists, HaveTheBitsOfAllDistancesOnEveryTarget) {
  for (const auto& [rows, cols] : std::vector<std::pair<index_t, index_t>>{{200, 2}, {40, 67}, {20, 2500}})
    for (const auto& [name, x] : hard_rows(rows, cols))
      for (const index_t neighbours : {index_t(1), index_t(9), rows - 1}) {
        SCOPED_TRACE(testing::Message() << name << ", " << cols << " columns, " << neighbours << " neighbours");
        const auto expected = reference::neighbours_of(x.values, x.values, cols, neighbours, 0);
        const auto check = [&, &x = x, rows = rows](int threads) {
          reference::lists got(rows, neighbours);
          knn_graph(cpu{threads}, x, got.which_view(), got.d2_view());
          EXPECT_EQ(got, expected) << threads << " threads";
        };
        reference::for_each_cpu_target([&] { check(2); });
        for (const int threads : {1, 5}) check(threads);
      }
}

// More references than the choice of a grain rests on.
TEST(NeighbourLists, AreTheSameByAnyGrain) {
  for (const auto& [name, references] : hard_rows(2200, 3)) {
    SCOPED_TRACE(name);
    const matrix points{20, 3, {references.values.begin(), references.values.begin() + 60}};
    const auto expected = reference::neighbours_of(points.values, references.values, 3, 5);
    reference::for_each_cpu_target([&, &references = references] {
      reference::lists got(points.rows, 5);
      nearest_neighbours(cpu{1}, points, references, got.which_view(), got.d2_view());
      ASSERT_EQ(got, expected);
    });
  }
}

TEST(RadiusGraph, HoldsThePairsOfAllDistancesOnEveryTarget) {
  const index_t rows = 110;
  for (const index_t cols : {2, 67})
    for (const auto& [name, x] : hard_rows(rows, cols)) {
      std::vector<float> d2;
      for (index_t i = 0; i < rows; ++i)
        for (index_t j = 0; j < rows; ++j)
          d2.push_back(reference::canonical_squared_distance(x.row(i), x.row(j), std::size_t(cols)));
      for (const float some : {0.0f, d2[77], d2[4 * rows + 5]}) {
        const float radius_d2 = std::min(some, std::numeric_limits<float>::max());
        SCOPED_TRACE(testing::Message() << name << ", " << cols << " columns, within " << radius_d2);
        reference::for_each_cpu_target([&, &x = x] {
          const auto graph = radius_graph(cpu{2}, x, radius_d2, rows * rows);
          for (index_t i = 0; i < rows; ++i) {
            std::vector<similarity_graph::edge> expected;
            for (index_t j = 0; j < rows; ++j)
              if (i == j || d2[std::size_t(i * rows + j)] <= radius_d2)
                expected.push_back({std::uint32_t(j), 1});
            const auto got = graph->of(i);
            ASSERT_EQ(std::vector(got.data, got.data + got.size), expected) << "row " << i;
          }
        });
      }
    }
}

}  // namespace
}  // namespace poolwise
