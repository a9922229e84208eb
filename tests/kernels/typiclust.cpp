// TypiClust against its definition, over the clusters that k-means makes.
#include "poolwise/diverse/typiclust.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"
#include "reference/neighbours.hpp"

namespace poolwise {
namespace {

using reference::normal_rows;
using reference::picks;
using reference::rows_of;
using reference::view;

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Everything anew for every pick.
picks naive(const std::vector<float>& x, index_t cols, const allowance& limit,
            const std::vector<index_t>& labelled, const typiclust_options& options) {
  const auto rows = index_t(x.size()) / cols;
  const matrix_view<const float> points{x.data(), rows, cols};
  const std::set<index_t> has_label(labelled.begin(), labelled.end());
  const index_t count = std::min({index_t(has_label.size()) + limit.picks, options.most_clusters, rows});
  std::vector<float> centroids(std::size_t(count * cols));
  kmeans(cpu{1}, points, {centroids.data(), count, cols}, {.seed = options.seed});
  const reference::lists to_centroid = reference::neighbours_of(x, centroids, cols, 1);
  std::vector<index_t> labels(std::size_t(count), 0), size(labels), turns(labels);
  for (index_t i = 0; i < rows; ++i) {
    const auto cluster = std::size_t(to_centroid.which[std::size_t(i)]);
    ++size[cluster];
    labels[cluster] += index_t(has_label.count(i));
  }
  const index_t each = std::min(options.neighbours, rows - 1);
  const reference::lists nearest = reference::neighbours_of(x, x, cols, each, 0);
  const auto typicality = [&](index_t i) {
    double sum = 0;
    for (index_t n = 0; n < each; ++n) sum += std::sqrt(double(nearest.d2[std::size_t(i * each + n)]));
    return float(double(each) / sum);
  };

  picks picked;
  std::set<index_t> gone = has_label;
  remaining left(limit);
  while (left.picks() > 0) {
    // Of the clusters that still have a row: that of the fewest turns, the fewest labels, the most rows.
    candidate best;
    index_t from = -1;
    for (index_t c = 0; c < count; ++c) {
      candidate first{-1, -1};
      for (index_t i = 0; i < rows; ++i)
        if (to_centroid.which[std::size_t(i)] == c && gone.count(i) == 0 && left.eligible(i))
          if (const candidate other{i, typicality(i)}; before(other, first)) first = other;
      const auto rank = [&](index_t cluster) {
        const auto at = std::size_t(cluster);
        return std::tuple(turns[at], labels[at], -size[at]);
      };
      if (first.row >= 0 && (from < 0 || rank(c) < rank(from))) {
        best = first;
        from = c;
      }
    }
    if (from < 0) break;
    ++turns[std::size_t(from)];
    picked.push_back(best);
    gone.insert(best.row);
    left.take(best.row);
  }
  return picked;
}

TEST(TypiClust, PickForPickAsItIsDefined) {
  std::mt19937 next(1);
  for (unsigned trial = 0; trial < 24; ++trial) {
    SCOPED_TRACE(trial);
    const auto rows = index_t(1 + next() % 70), cols = index_t(1 + next() % 20);
    std::vector<float> x = normal_rows(rows, cols, trial);
    if (trial & 1)
      for (float& v : x) v = std::round(v);  // duplicates and ties
    std::vector<index_t> labelled, group;
    const std::vector<index_t> quota{9, 4, 0, 30};
    std::vector<std::int64_t> cost;
    std::vector<std::uint8_t> barred;
    for (index_t i = 0; i < rows; ++i) {
      cost.push_back(std::int64_t(next() % 6));
      group.push_back(index_t(next() % 4));
      barred.push_back(next() % 3 == 0);
      if ((trial & 2) && next() % 6 == 0) labelled.push_back(i);
    }
    allowance limit{.picks = index_t(1 + next() % 40)};
    if (trial & 4) {
      limit.cost = view(cost);
      limit.budget = std::int64_t(next() % 60);
    }
    if (trial & 8) {
      limit.group = view(group);
      limit.quota = view(quota);
      limit.barred = view(barred);
    }
    const typiclust_options options{
        .neighbours = trial % 3 == 0 ? 20 : 3, .most_clusters = trial % 4 == 0 ? 500 : 7, .seed = trial};
    EXPECT_EQ(typiclust(cpu{1}, {x.data(), rows, cols}, limit, labelled, options),
              naive(x, cols, limit, labelled, options));
  }
}

TEST(TypiClust, TheSameForAnyNumberOfThreads) {
  const auto x = normal_rows(600, 9, 2);
  const picks expected = typiclust(cpu{1}, {x.data(), 600, 9}, {.picks = 30});
  EXPECT_EQ(expected.size(), 30u);
  for (const int threads : {2, 5})
    EXPECT_EQ(typiclust(cpu{threads}, {x.data(), 600, 9}, {.picks = 30}), expected);
}

TEST(TypiClust, TakesTheMiddleOfEachHeapThatHasNoLabel) {
  // Heaps of 5, 4 and 3 rows on a line; k-means finds them from most seeds, so from this one.
  const std::vector<float> x{0, 1, 2, 3, 4, 100, 101, 102, 103, 200, 201, 202};
  const matrix_view<const float> points{x.data(), 12, 1};
  const typiclust_options options{.neighbours = 2, .most_clusters = 3, .seed = 2};
  EXPECT_EQ(rows_of(typiclust(cpu{1}, points, {.picks = 4}, {}, options)), (std::vector<index_t>{1, 6, 10, 2}));
  const std::vector<index_t> labelled{0};
  EXPECT_EQ(rows_of(typiclust(cpu{1}, points, {.picks = 3}, labelled, options)),
            (std::vector<index_t>{6, 10, 1}));
}

TEST(TypiClust, FewAndEqualRows) {
  const std::vector<float> same(4, 2.0f);
  EXPECT_EQ(typiclust(cpu{1}, {same.data(), 1, 1}, {.picks = 3}), (picks{{0, infinity}}));
  EXPECT_EQ(typiclust(cpu{1}, {same.data(), 0, 1}, {.picks = 3}), picks{});
  EXPECT_EQ(typiclust(cpu{1}, {same.data(), 4, 1}, {.picks = 0}), picks{});
  EXPECT_EQ(typiclust(cpu{1}, {same.data(), 4, 1}, {.picks = 9}).size(), 4u);
  const std::vector<index_t> labelled{2};
  const allowance all{.picks = std::numeric_limits<index_t>::max()};
  EXPECT_EQ(typiclust(cpu{1}, {same.data(), 4, 1}, all, labelled).size(), 3u);
}

TEST(TypiClust, WrongUsesAreRefused) {
  const std::vector<float> x{0, 1, 2}, bad{0, 1, std::numeric_limits<float>::quiet_NaN()};
  const auto refusal = [](const std::vector<float>& values, const allowance& limit, index_t labelled,
                          const typiclust_options& options) {
    const std::vector<index_t> rows{labelled};
    return reference::message_of<value_error>([&] {
      typiclust(cpu{1}, {values.data(), 3, 1}, limit, rows, options);
    });
  };
  EXPECT_EQ(refusal(bad, {.picks = 1}, 0, {}),
            "typiclust: points holds a NaN or an infinity in row 2 (1 such rows); leave these rows out");
  EXPECT_EQ(refusal(x, {.picks = 1}, 3, {}),
            "typiclust: labelled row 3 is not among points, which has rows 0 to 2");
  EXPECT_EQ(refusal(x, {.picks = 1}, -1, {}),
            "typiclust: labelled row -1 is not among points, which has rows 0 to 2");
  EXPECT_EQ(refusal(x, {.picks = -1}, 0, {}), "typiclust: the number of picks is -1; it must be 0 or more");
  EXPECT_EQ(refusal(x, {.picks = 1}, 0, {.neighbours = 0}),
            "typiclust: got 0 neighbours and at most 500 clusters; pass at least 1 of each");
  EXPECT_EQ(refusal(x, {.picks = 1}, 0, {.most_clusters = 0}),
            "typiclust: got 20 neighbours and at most 0 clusters; pass at least 1 of each");
  EXPECT_THROW(typiclust(cuda{}, {x.data(), 3, 1}, {.picks = 1}), error);
}

}  // namespace
}  // namespace poolwise
