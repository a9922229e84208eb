// Rows by their cosine to what is looked for.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/query/select.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

constexpr index_t rows = 300, features = 13, queries = 4;

struct looked_for {
  std::vector<float> embeddings = reference::normals(rows * features, 1);
  std::vector<float> wanted = reference::normals(queries * features, 2);
  std::vector<float> weights;
  pool_inputs pool;

  const pool_inputs& view() {
    pool.rows = rows;
    pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    pool.queries = matrix_view<const float>{wanted.data(), queries, features};
    pool.query_weights = {weights.data(), index_t(weights.size())};
    return pool;
  }
};

long double cosine(const float* x, const float* y) {
  long double xy = 0, xx = 0, yy = 0;
  for (index_t f = 0; f < features; ++f) {
    xy += (long double)x[f] * y[f];
    xx += (long double)x[f] * x[f];
    yy += (long double)y[f] * y[f];
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

// The length of a row, and of a query, is no part of it: neither one whose square leaves fp32.
TEST(Similar, RowsAndQueriesOfAnySizeHaveTheirDirection) {
  looked_for of;
  const query_spec spec{.strategy = "similar", .batch = rows};
  const batch expected = select(cpu{}, of.view(), spec);
  for (index_t i = 0; i < rows; ++i)
    for (index_t f = 0; f < features; ++f)
      of.embeddings[std::size_t(i * features + f)] *= i % 3 == 0 ? 0x1p90f : i % 3 == 1 ? 0x1p-90f : 1;
  for (std::size_t f = 0; f < of.wanted.size(); ++f) of.wanted[f] *= f < features ? 0x1p80f : 0x1p-80f;
  const batch got = select(cpu{}, of.view(), spec);
  ASSERT_EQ(got.picks.size(), expected.picks.size());
  for (std::size_t i = 0; i < got.picks.size(); ++i) {
    EXPECT_EQ(got.picks[i].row, expected.picks[i].row);
    EXPECT_EQ(got.picks[i].score, expected.picks[i].score);
  }
}

TEST(Similar, IsTheCosineToTheNearestQueryOrTheMean) {
  looked_for of;
  std::fill_n(of.embeddings.begin() + 7 * features, features, 0.0f);  // like nothing
  for (const bool weighted : {false, true})
    for (const bool mean : {false, true}) {
      of.weights = weighted ? std::vector<float>{1, 0, 2.5f, 0.5f} : std::vector<float>{};
      const batch all =
          select(cpu{}, of.view(), {.strategy = mean ? "similar(mean=1)" : "similar", .batch = rows});
      ASSERT_EQ(all.picks.size(), std::size_t(rows));
      for (const pick& p : all.picks) {
        long double largest = -2, sum = 0, total = 0;
        for (index_t q = 0; q < queries; ++q) {
          const long double weight = weighted ? (long double)of.weights[std::size_t(q)] : 1;
          const long double to = weight * cosine(&of.embeddings[std::size_t(p.row * features)],
                                                 &of.wanted[std::size_t(q * features)]);
          largest = std::max(largest, to);
          sum += to;
          total += weight;
        }
        // Three canonical dots of 13 terms, each within 13 * 2^-24 of |x| |y|, times weights up to 2.5.
        EXPECT_NEAR(p.score, double(mean ? sum / total : largest), 1e-5) << p.row;
      }
      const batch again =
          select(cpu{1}, of.pool, {.strategy = mean ? "similar(mean=1)" : "similar", .batch = 9});
      for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(again.picks[i].row, all.picks[i].row);
    }
}

TEST(Similar, RefusesQueriesThatDoNotFit) {
  looked_for of;
  const auto refused = [&](const char* text) {
    reference::expect_refused<value_error>([&] { select(cpu{}, of.pool, {.strategy = "similar", .batch = 3}); },
                                           text);
  };
  of.view();
  of.pool.queries.reset();
  refused("needs embeddings to be like");
  of.weights = {1, 1, 1, -1};
  of.view();
  refused("query 3");
  of.weights = {0, 0, 0, 0};
  of.view();
  refused("all queries have weight 0");
  of.weights.clear();
  of.wanted[5] = INFINITY;
  of.view();
  refused("query 0");
  of.wanted[5] = 1;
  of.embeddings[9 * features] = NAN;
  of.view();
  refused("row 9 has an embedding that is not finite");
}

}  // namespace
}  // namespace poolwise
