// Graphs of who resembles whom, against all pairs.
#include "poolwise/graph/similarity.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/distance.hpp"
#include "reference/errors.hpp"
#include "reference/neighbours.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::normal_rows;

constexpr float largest = std::numeric_limits<float>::max();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr index_t any_number = index_t(1) << 40;

/// Similarities by row and other row.
using table = std::map<std::pair<index_t, index_t>, float>;

table table_of(const similarity_graph& graph) {
  table found;
  index_t edges = 0;
  for (index_t i = 0; i < graph.rows(); ++i) {
    index_t before = -1;
    for (const auto& edge : graph.of(i)) {
      EXPECT_LT(before, index_t(edge.row)) << "in the list of row " << i;
      before = edge.row;
      found[{i, edge.row}] = edge.similarity;
      ++edges;
    }
  }
  EXPECT_EQ(graph.edges(), edges);
  return found;
}

/// The larger of both similarities of a pair, and 1 for a row and itself.
void add(table& to, index_t i, index_t j, float similarity) {
  for (const auto& pair : {std::pair(i, j), std::pair(j, i)}) to[pair] = std::max(to[pair], similarity);
}

table itself(index_t rows) {
  table only;
  for (index_t i = 0; i < rows; ++i) only[{i, i}] = 1;
  return only;
}

matrix_view<const float> rows_of(const std::vector<float>& values, index_t cols) {
  return {values.data(), index_t(values.size()) / cols, cols};
}

float distance(const std::vector<float>& x, index_t i, index_t j, index_t cols) {
  return reference::canonical_squared_distance(x.data() + i * cols, x.data() + j * cols, std::size_t(cols));
}

TEST(SimilarityGraph, HoldsWhatEitherRowSays) {
  std::mt19937 next(1);
  for (const index_t rows : {1, 2, 31, 32, 33, 1500})
    for (const index_t each : {0, 1, 7}) {
      SCOPED_TRACE(testing::Message() << rows << " rows, " << each << " each");
      std::vector<index_t> which;
      std::vector<float> similarity;
      table expected = itself(rows);
      for (index_t i = 0; i < rows; ++i)
        for (index_t n = 0; n < each; ++n) {
          const index_t other = index_t(next() % unsigned(rows + 1)) - 1;
          const float s = float(next() % 5) / 4;
          which.push_back(other);
          similarity.push_back(other < 0 ? nan : s);
          if (other >= 0 && other != i && s > 0) add(expected, i, other, s);
        }
      for (const int threads : {1, 2, 5})
        EXPECT_EQ(table_of({cpu{threads}, {which.data(), rows, each}, {similarity.data(), rows, each}}),
                  expected);
    }
}

TEST(SimilarityGraph, OfNoRows) {
  EXPECT_EQ(similarity_graph(cpu{}, {}, {}).rows(), 0);
  EXPECT_EQ(similarity_graph(cpu{}, {}, {}).edges(), 0);
  EXPECT_EQ(radius_graph(cpu{}, {}, 1, 0)->rows(), 0);
}

TEST(SimilarityGraph, RefusesOtherLists) {
  const std::vector<index_t> which{1, -1, 0, 1};
  const auto refusal = [&](std::vector<index_t> lists, std::vector<float> values) {
    return reference::message_of<value_error>([&] {
      similarity_graph(cpu{}, {lists.data(), 2, 2}, {values.data(), 2, 2});
    });
  };
  EXPECT_EQ(refusal({1, -1, 2, 0}, {1, 1, 1, 1}),
            "similarity_graph: row 1 lists row 2 but there are rows 0 to 1; list one of them, or -1 for none");
  EXPECT_EQ(refusal({1, -1, -2, 0}, {1, 1, 1, 1}),
            "similarity_graph: row 1 lists row -2 but there are rows 0 to 1; list one of them, or -1 for none");
  EXPECT_EQ(refusal(which, {1.5f, 1, 1, 1}),
            "similarity_graph: the similarity of rows 0 and 1 is 1.500000; it must be from 0 to 1");
  EXPECT_EQ(refusal(which, {1, 1, -0.5f, 1}),
            "similarity_graph: the similarity of rows 1 and 0 is -0.500000; it must be from 0 to 1");
  EXPECT_EQ(refusal(which, {nan, 1, 1, 1}),
            "similarity_graph: the similarity of rows 0 and 1 is nan; it must be from 0 to 1");
  const std::vector<float> four(4, 1.0f);
  expect_refused<shape_error>(
      [&] {
        similarity_graph(cpu{}, {which.data(), 2, 2}, {four.data(), 4, 1});
      },
      "similarity_graph: neighbours is [2, 2] but similarity is [4, 1]; pass one similarity per neighbour");
}

table nearest_by_brute_force(const std::vector<float>& x, index_t cols, index_t neighbours, float half_d2) {
  const reference::lists lists = reference::neighbours_of(x, x, cols, neighbours, 0);
  table expected = itself(lists.rows);
  for (index_t i = 0; i < lists.rows; ++i)
    for (index_t n = 0; n < neighbours; ++n) {
      const float d2 = lists.d2[std::size_t(i * neighbours + n)];
      const float similarity = d2 == 0 ? 1.0f : 1 / (1 + d2 / half_d2);
      if (similarity > 0) add(expected, i, lists.which[std::size_t(i * neighbours + n)], similarity);
    }
  return expected;
}

TEST(KnnSimilarities, AreThoseOfBruteForce) {
  for (const auto& [rows, cols, neighbours] :
       std::vector<std::array<index_t, 3>>{{2, 1, 1}, {31, 3, 30}, {33, 16, 5}, {300, 17, 8}}) {
    SCOPED_TRACE(rows);
    const auto x = normal_rows(rows, cols, unsigned(rows));
    for (const float half_d2 : {0.25f, 3.0f})
      for (const int threads : {1, 2, 5})
        EXPECT_EQ(table_of(knn_similarities(cpu{threads}, rows_of(x, cols), neighbours, half_d2)),
                  nearest_by_brute_force(x, cols, neighbours, half_d2));
  }
}

TEST(KnnSimilarities, AreOneHalfAtTheMedianOfTheFarthestUnlessTold) {
  const auto x = normal_rows(101, 4, 2);
  const reference::lists lists = reference::neighbours_of(x, x, 4, 6, 0);
  std::vector<float> farthest;
  for (std::size_t i = 0; i < 101; ++i) farthest.push_back(lists.d2[i * 6 + 5]);
  std::sort(farthest.begin(), farthest.end());
  EXPECT_EQ(table_of(knn_similarities(cpu{}, rows_of(x, 4), 6)), nearest_by_brute_force(x, 4, 6, farthest[50]));
}

TEST(KnnSimilarities, TakeAllOthersWhereThereAreFewer) {
  const auto x = normal_rows(5, 2, 8);
  EXPECT_EQ(table_of(knn_similarities(cpu{}, rows_of(x, 2), 9)),
            table_of(knn_similarities(cpu{}, rows_of(x, 2), 4)));
  EXPECT_EQ(table_of(knn_similarities(cpu{}, {x.data(), 1, 2}, 9)), itself(1));
  EXPECT_EQ(knn_similarities(cpu{}, {}, 9).rows(), 0);
}

TEST(KnnSimilarities, EqualRowsAreAsAlikeAsCanBe) {
  const std::vector<float> same(10 * 3, 2.5f);
  for (const auto& [pair, similarity] : table_of(knn_similarities(cpu{}, rows_of(same, 3), 9)))
    EXPECT_EQ(similarity, 1) << pair.first << " " << pair.second;
  // Most are equal, so that the median is 0: what is not equal then resembles nothing.
  std::vector<float> two(same);
  two[29] = 7;
  const table found = table_of(knn_similarities(cpu{}, rows_of(two, 3), 3));
  EXPECT_EQ(found.count({9, 9}), 1u);
  EXPECT_EQ(found.count({9, 0}), 0u);
  EXPECT_EQ(found.at({0, 1}), 1);
}

TEST(KnnSimilarities, RowsAtAnInfiniteDistanceResembleNothing) {
  const std::vector<float> ends{-largest, 1, largest, 2, -largest};
  const table found = table_of(knn_similarities(cpu{}, rows_of(ends, 1), 4));  // whose median is infinite
  table expected = itself(5);
  add(expected, 0, 4, 1);
  add(expected, 1, 3, 1);
  EXPECT_EQ(found, expected);
}

TEST(KnnSimilarities, RefusesWhatItCannotDo) {
  const auto x = normal_rows(4, 2, 3);
  for (const float bad : {-1.0f, nan, std::numeric_limits<float>::infinity()})
    expect_refused<value_error>([&] { knn_similarities(cpu{}, rows_of(x, 2), 2, bad); },
                                "knn_similarities: half_d2 is " + std::to_string(bad) +
                                    "; pass a finite number above 0, or 0 for the median");
  for (const index_t few : {0, -1})
    expect_refused<value_error>(
        [&] { knn_similarities(cpu{}, rows_of(x, 2), few); },
        "knn_similarities: got " + std::to_string(few) + " neighbours; pass at least 1");
  const std::vector<float> bad{0, nan};
  expect_refused<value_error>([&] { knn_similarities(cpu{}, rows_of(bad, 1), 1); },
                              "points holds a NaN or an infinity in row 1");
  expect_refused<value_error>(
      [&] {
        knn_similarities(cpu{}, {&nan, 1, 1}, 1);
      },
      "knn_similarities: points holds a NaN or an infinity in row 0");
  EXPECT_THROW(knn_similarities(cuda{}, rows_of(x, 2), 2), error);
  if (!built_with_cuda) {
    EXPECT_THROW(knn_similarities(offload{}, rows_of(x, 2), 2), no_cuda_error);
  }
}

table within_by_brute_force(const std::vector<float>& x, index_t cols, float radius_d2) {
  const auto rows = index_t(x.size()) / cols;
  table expected = itself(rows);
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < i; ++j)
      if (distance(x, i, j, cols) <= radius_d2) add(expected, i, j, 1);
  return expected;
}

TEST(RadiusGraph, HoldsThePairsWithinAndNoOthers) {
  for (const auto& [rows, cols] :
       std::vector<std::pair<index_t, index_t>>{{1, 3}, {2, 1}, {31, 7}, {32, 16}, {33, 17}, {150, 5}}) {
    SCOPED_TRACE(rows);
    const auto x = normal_rows(rows, cols, 4);
    // At, just below and just above a distance that occurs; none; all.
    const float some = distance(x, 0, rows / 2, cols);
    for (const float radius_d2 :
         {0.0f, some, std::nextafter(some, 0.0f), std::nextafter(some, largest), largest}) {
      const table expected = within_by_brute_force(x, cols, radius_d2);
      for (const int threads : {1, 2, 5})
        EXPECT_EQ(table_of(*radius_graph(cpu{threads}, rows_of(x, cols), radius_d2, any_number)), expected);
    }
  }
}

// Tiles of FAISS, of one row and of many, where the GEMM says much, little, and nothing.
TEST(RadiusGraph, TheCanonicalDistanceDecides) {
  for (const auto& [scale, offset] : std::vector<std::pair<float, float>>{
           {1, 0}, {1, 3e4f}, {1e-4f, 1e3f}, {1e17f, 0}, {1e19f, 0}, {1e-22f, 0}}) {
    SCOPED_TRACE(testing::Message() << scale << " from " << offset);
    auto x = normal_rows(120, 6, 5);
    for (index_t i = 50; i < 70; ++i) std::copy_n(x.begin(), 6, x.begin() + i * 6);
    for (float& v : x) v = v * scale + offset;
    const float radius_d2 = std::min(distance(x, 3, 100, 6), largest);
    const table expected = within_by_brute_force(x, 6, radius_d2);
    const auto pairs = index_t(expected.size() - 120) / 2;
    EXPECT_EQ(table_of(*radius_graph(cpu{2}, rows_of(x, 6), radius_d2, any_number)), expected);
    EXPECT_EQ(table_of(*radius_graph(cpu{2}, rows_of(x, 6), radius_d2, pairs)), expected);
    EXPECT_FALSE(radius_graph(cpu{2}, rows_of(x, 6), radius_d2, pairs - 1));
  }
}

TEST(RadiusGraph, RefusesWhatItCannotDo) {
  const std::vector<float> x{0, 1, 2, 3}, bad{0, nan};
  EXPECT_FALSE(radius_graph(cpu{}, rows_of(x, 1), 1, 2));
  EXPECT_FALSE(radius_graph(cpu{}, rows_of(x, 1), 1, -1));
  EXPECT_EQ(radius_graph(cpu{}, rows_of(x, 1), 1, 3)->edges(), 10);
  expect_refused<value_error>([&] { radius_graph(cpu{}, rows_of(x, 1), -1, 9); },
                              "radius_graph: radius_d2 is -1.000000; it must be a finite number, 0 or more");
  expect_refused<value_error>([&] { radius_graph(cpu{}, rows_of(x, 1), nan, 9); }, "radius_d2 is nan");
  expect_refused<value_error>([&] { radius_graph(cpu{}, rows_of(bad, 1), 1, 9); },
                              "radius_graph: points holds a NaN or an infinity in row 1");
  EXPECT_THROW(radius_graph(offload{}, rows_of(x, 1), 1, 9), no_cuda_error);
}

/// The share of balls that hold no other label.
double purity_at(const std::vector<float>& x, index_t cols, const std::vector<index_t>& labels,
                 float radius_d2) {
  index_t pure = 0;
  const auto rows = index_t(labels.size());
  for (index_t i = 0; i < rows; ++i) {
    bool other = false;
    for (index_t j = 0; j < rows; ++j)
      other =
          other || (labels[std::size_t(i)] != labels[std::size_t(j)] && distance(x, i, j, cols) <= radius_d2);
    pure += !other;
  }
  return double(pure) / double(rows);
}

TEST(PureRadius, IsTheLargestThatIsPureEnough) {
  std::mt19937 next(6);
  for (const auto& [rows, cols] : std::vector<std::pair<index_t, index_t>>{{2, 1}, {31, 3}, {33, 16}, {200, 4}})
    for (const double purity : {0.01, 0.5, 0.95, 1.0}) {
      SCOPED_TRACE(testing::Message() << rows << " rows, purity " << purity);
      // Small integers for the larger half: many equal distances.
      auto x = normal_rows(rows, cols, 7);
      if (rows > 32)
        for (float& v : x) v = std::round(8 * v);
      std::vector<index_t> labels;
      for (index_t i = 0; i < rows; ++i) labels.push_back(i < 2 ? i : 3 * index_t(next() % 4));
      const float got = pure_radius_d2(cpu{2}, rows_of(x, cols), {labels.data(), rows}, purity);
      ASSERT_GE(got, 0);
      EXPECT_GE(purity_at(x, cols, labels, got), purity);
      EXPECT_LT(purity_at(x, cols, labels, std::nextafter(got, largest)), purity);
      for (const int threads : {1, 5})
        EXPECT_EQ(pure_radius_d2(cpu{threads}, rows_of(x, cols), {labels.data(), rows}, purity), got);
    }
}

TEST(PureRadius, AtTheEnds) {
  const std::vector<float> x{0, 0, 1, 5};
  const std::vector<index_t> one(4, 3), two{0, 1, 0, 0};
  const auto radius = [&](const std::vector<index_t>& labels, double purity) {
    return pure_radius_d2(cpu{}, rows_of(x, 1), {labels.data(), 4}, purity);
  };
  EXPECT_EQ(radius(one, 1), largest);
  EXPECT_EQ(radius(two, 0), largest);
  EXPECT_EQ(radius(two, 1), -1);  // rows 0 and 1 are equal
  EXPECT_EQ(radius(two, 0.75), -1);
  EXPECT_EQ(radius(two, 0.5), std::nextafter(1.0f, 0.0f));
  EXPECT_EQ(radius(two, 0.25), std::nextafter(25.0f, 0.0f));
  EXPECT_EQ(pure_radius_d2(cpu{}, {}, {}, 0.95), largest);
}

TEST(PureRadius, RefusesWhatItCannotDo) {
  EXPECT_THROW(pure_radius_d2(offload{}, {}, {}, 1), no_cuda_error);
  const std::vector<float> x{0, 1, 2}, bad{0, 1, nan};
  const std::vector<index_t> labels{0, 1, 0}, negative{0, -1, 0};
  const auto refusal = [](auto&& call) { return reference::message_of<error>(call); };
  EXPECT_EQ(refusal([&] {
              pure_radius_d2(cpu{}, rows_of(x, 1), {labels.data(), 2}, 1);
            }),
            "pure_radius_d2: labels has 2 places but points has 3 rows; pass one per row");
  EXPECT_EQ(refusal([&] {
              pure_radius_d2(cpu{}, rows_of(x, 1), {negative.data(), 3}, 1);
            }),
            "pure_radius_d2: the label of row 1 is -1; it must be 0 or more");
  EXPECT_EQ(refusal([&] {
              pure_radius_d2(cpu{}, rows_of(x, 1), {labels.data(), 3}, 1.5);
            }),
            "pure_radius_d2: purity is 1.500000; it must be from 0 to 1");
  EXPECT_EQ(refusal([&] {
              pure_radius_d2(cpu{}, rows_of(bad, 1), {labels.data(), 3}, 1);
            }),
            "pure_radius_d2: points holds a NaN or an infinity in row 2 (1 such rows); leave these rows out");
}

TEST(KnnSimilarities, SaysHowAlikeRowsBeyondTheListsAreAtMost) {
  const auto x = normal_rows(40, 3, 21);
  for (const bool gaussian : {false, true}) {
    similarity_law law{.gaussian = gaussian, .scale_d2 = 0.5f};
    double ends = 0;
    for (index_t i = 0; i < 40; ++i) {
      std::vector<double> d2;
      for (index_t j = 0; j < 40; ++j) {
        double sum = 0;
        for (index_t c = 0; c < 3; ++c)
          sum += std::pow(double(x[std::size_t(3 * i + c)]) - double(x[std::size_t(3 * j + c)]), 2);
        d2.push_back(sum);
      }
      std::sort(d2.begin(), d2.end());
      ends += (gaussian ? std::exp(-d2[5] / 0.5) : 1 / (1 + d2[5] / 0.5)) / 40;
    }
    knn_report made;
    const similarity_graph graph = knn_similarities(cpu{}, rows_of(x, 3), 5, law, knn_method::exact, &made);
    EXPECT_NEAR(made.beyond, ends, 1e-5);
    for (const auto& to : graph.of(7)) {
      double d2 = 0;
      for (index_t c = 0; c < 3; ++c)
        d2 += std::pow(double(x[std::size_t(21 + c)]) - double(x[std::size_t(3 * index_t(to.row) + c)]), 2);
      EXPECT_NEAR(to.similarity, gaussian ? std::exp(-d2 / 0.5) : 1 / (1 + d2 / 0.5), 1e-6);
    }
    knn_similarities(cpu{}, rows_of(x, 3), 39, law, knn_method::exact, &made);
    EXPECT_EQ(made.beyond, 0);
  }
}

}  // namespace
}  // namespace poolwise
