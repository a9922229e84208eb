// Methods for neighbour lists: which is taken, what is said of it, and that what is said is so.
#include "poolwise/graph/knn_method.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/diverse/typiclust.hpp"
#include "poolwise/graph/similarity.hpp"
#include "reference/errors.hpp"
#include "reference/neighbours.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::lists;
using reference::normal_rows;

constexpr knn_method approximations[] = {knn_method::ivf, knn_method::hnsw};

struct result {
  lists found;
  knn_report made;
};

result listed(knn_method by, cpu on, const std::vector<float>& points, index_t cols, index_t neighbours) {
  const index_t rows = index_t(points.size()) / cols;
  result got{lists(rows, neighbours), {}};
  got.made = knn_graph_by(by, on, {points.data(), rows, cols}, got.found.which_view(), got.found.d2_view());
  return got;
}

bool same(const knn_report& a, const knn_report& b) {
  return a.method == b.method && a.cells == b.cells && a.probes == b.probes && a.train_rows == b.train_rows &&
         a.links == b.links && a.breadth == b.breadth && a.recall == b.recall && a.sampled == b.sampled;
}

TEST(KnnMethod, IsChosenByTheShapeAlone) {
  const auto automatic = [](const where& on, index_t rows, index_t cols) {
    return resolved(knn_method::automatic, on, rows, cols);
  };
  EXPECT_EQ(automatic(cpu{}, 395'000, 64), knn_method::exact);
  EXPECT_EQ(automatic(cpu{}, 396'000, 64), knn_method::ivf);
  EXPECT_EQ(automatic(cpu{}, 139'000, 512), knn_method::exact);
  EXPECT_EQ(automatic(cpu{}, 141'000, 512), knn_method::ivf);
  EXPECT_EQ(automatic(cpu{}, index_t(1) << 40, 1 << 20), knn_method::ivf);
  EXPECT_EQ(automatic(cpu{1}, 0, 0), knn_method::exact);
  EXPECT_EQ(automatic(offload{}, 10'000'000, 512), knn_method::exact);
  for (const knn_method asked : {knn_method::exact, knn_method::ivf, knn_method::hnsw})
    for (const index_t rows : {1, 10'000'000}) EXPECT_EQ(resolved(asked, cpu{}, rows, 64), asked);
}

TEST(KnnMethod, ExactListsAreThoseOfBruteForce) {
  const auto points = normal_rows(60, 5, 1);
  for (const knn_method by : {knn_method::automatic, knn_method::exact}) {
    const result got = listed(by, {}, points, 5, 7);
    EXPECT_EQ(got.found, reference::neighbours_of(points, points, 5, 7, 0));
    EXPECT_TRUE(same(got.made, {}));
    EXPECT_EQ(got.made.recall, 1);
  }
}

// Of 500 rows every one is in the sample, so that the recall is no estimate.
TEST(KnnMethod, TheRecallThatIsSaidIsThatOfTheLists) {
  const index_t rows = 500, cols = 24, neighbours = 12;
  const auto points = normal_rows(rows, cols, 2);
  const lists exact = reference::neighbours_of(points, points, cols, neighbours, 0);
  for (const knn_method by : approximations) {
    SCOPED_TRACE(name_of(by));
    const result got = listed(by, {}, points, cols, neighbours);
    EXPECT_EQ(got.made.method, by);
    EXPECT_EQ(got.made.sampled, rows);
    EXPECT_DOUBLE_EQ(got.made.recall, reference::recall(got.found, exact));
    EXPECT_GT(got.made.recall, wanted_recall - 0.02);  // tuned on half of the rows
    EXPECT_LE(got.made.recall, 1);
  }
}

TEST(KnnMethod, LooksNoFartherThanItHasTo) {
  // Heaps far apart: one's own cell and few more hold all neighbours.
  auto heaps = normal_rows(3000, 8, 3);
  for (index_t i = 0; i < 3000; ++i)
    for (index_t c = 0; c < 8; ++c)
      heaps[std::size_t(i * 8 + c)] = 0.1f * heaps[std::size_t(i * 8 + c)] + float(i % 20);
  const result near = listed(knn_method::ivf, {}, heaps, 8, 5);
  const result spread = listed(knn_method::ivf, {}, normal_rows(3000, 8, 3), 8, 5);
  EXPECT_EQ(near.made.cells, 219);
  EXPECT_EQ(near.made.train_rows, 3000);
  EXPECT_LT(near.made.probes, spread.made.probes);
  EXPECT_LT(spread.made.probes, near.made.cells);
  for (const result* got : {&near, &spread}) {
    EXPECT_GT(got->made.recall, wanted_recall - 0.02);
    EXPECT_EQ(got->made.sampled, 512);
  }
  EXPECT_EQ(listed(knn_method::hnsw, {}, heaps, 8, 5).made.links, 16);
}

TEST(KnnMethod, TheSameForAnyNumberOfThreads) {
  const auto points = normal_rows(1200, 10, 4);
  for (const knn_method by : approximations) {
    SCOPED_TRACE(name_of(by));
    const result one = listed(by, {1}, points, 10, 8);
    for (const int threads : {2, 5}) {
      const result more = listed(by, {threads}, points, 10, 8);
      EXPECT_EQ(more.found, one.found) << threads;
      EXPECT_TRUE(same(more.made, one.made)) << threads;
    }
  }
}

TEST(KnnMethod, FewAndEqualRows) {
  for (const knn_method by : approximations)
    for (const index_t rows : {2, 3, 9, 33}) {
      SCOPED_TRACE(testing::Message() << name_of(by) << ", " << rows << " rows");
      const result equal = listed(by, {}, std::vector<float>(std::size_t(rows * 2), 1.5f), 2, 1);
      EXPECT_EQ(equal.made.recall, 1);
      const auto points = normal_rows(rows, 2, 5);
      const result all = listed(by, {}, points, 2, rows - 1);
      EXPECT_GT(all.made.recall, rows == 2 ? 0.99 : 0.5);
      EXPECT_EQ(all.made.sampled, rows);
    }
}

TEST(KnnMethod, GraphsAndTypicalRowsSayHowTheyWereMade) {
  const index_t rows = 900, cols = 6;
  const auto points = normal_rows(rows, cols, 6);
  const matrix_view<const float> x{points.data(), rows, cols};
  for (const knn_method by : approximations) {
    SCOPED_TRACE(name_of(by));
    knn_report made, typical;
    const similarity_graph graph = knn_similarities(cpu{}, x, 10, 0, by, &made);
    EXPECT_EQ(made.method, by);
    const similarity_graph exact = knn_similarities(cpu{}, x, 10, 0, knn_method::exact, &made);
    EXPECT_EQ(made.method, knn_method::exact);
    EXPECT_NEAR(double(graph.edges()), double(exact.edges()), 0.02 * double(exact.edges()));
    const typiclust_options options{.method = by};
    const auto picks = typiclust(cpu{1}, x, {.picks = 12}, {}, options, &typical);
    EXPECT_EQ(typical.method, by);
    EXPECT_GT(typical.recall, 0.9);
    EXPECT_EQ(picks.size(), 12u);
    for (const int threads : {2, 5}) EXPECT_EQ(typiclust(cpu{threads}, x, {.picks = 12}, {}, options), picks);
  }
}

// Two rows in a cell of their own, with all else far away: their lists are short.
TEST(KnnMethod, AListMayBeShort) {
  std::vector<float> points = normal_rows(4000, 1, 7);
  points[0] = points[1] = 1e6f;
  const result got = listed(knn_method::ivf, {}, points, 1, 5);
  EXPECT_EQ(got.found.which[0], 1);
  EXPECT_GT(got.made.recall, 0.95);
  knn_report made;
  const similarity_graph graph =
      knn_similarities(cpu{}, {points.data(), 4000, 1}, 5, 0, knn_method::ivf, &made);
  EXPECT_GE(graph.of(0).size, 2);
}

TEST(KnnMethod, DevicesFindNoNeighboursByWalks) {
  const auto points = normal_rows(5, 1, 8);
  std::vector<index_t> which(10);
  EXPECT_THROW(knn_graph_by(knn_method::hnsw, offload{}, {points.data(), 5, 1}, {which.data(), 5, 2}),
               no_cuda_error);
}

TEST(KnnMethod, NamesAndWrongUses) {
  for (const char* name : {"auto", "exact", "ivf", "hnsw"}) EXPECT_STREQ(name_of(parse_knn_method(name)), name);
  expect_refused<value_error>(
      [] { parse_knn_method("lsh"); },
      "neighbours by \"lsh\" are unknown; pass \"auto\", \"exact\", \"ivf\" or \"hnsw\"");
  const std::vector<float> bad{1, 2, std::numeric_limits<float>::quiet_NaN(), 4, 5};
  std::vector<index_t> which(25);
  for (const knn_method by : approximations) {
    expect_refused<value_error>(
        [&] {
          knn_graph_by(by, cpu{}, {bad.data(), 5, 1}, {which.data(), 5, 2});
        },
        "knn_graph_by: points holds a NaN or an infinity in row 2 (1 such rows); leave these rows out");
    expect_refused<shape_error>(
        [&] {
          knn_graph_by(by, cpu{}, {bad.data(), 5, 1}, {which.data(), 5, 5});
        },
        "knn_graph_by: neighbours has 5 columns but there are 4 to choose from; ask for 1 to 4");
    expect_refused<value_error>(
        [&] {
          knn_graph_by(by, cuda{}, {bad.data(), 5, 1}, {which.data(), 5, 2});
        },
        "knn_graph_by: measures recall on host memory, and cuda{} means arrays on a device; pass offload{}");
  }
}

}  // namespace
}  // namespace poolwise
