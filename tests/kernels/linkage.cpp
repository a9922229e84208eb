// Average linkage against merging by means over all pairs.
#include "poolwise/graph/linkage.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

constexpr index_t cols = 3;
constexpr float any_height = std::numeric_limits<float>::infinity();

/// [rows] clusters numbered in the order of their first rows.
std::vector<index_t> merged(const std::vector<float>& x, const std::vector<float>& weights, std::size_t fewest,
                            double height) {
  std::vector<std::vector<std::size_t>> clusters;
  for (std::size_t i = 0; i < weights.size(); ++i) clusters.push_back({i});
  const auto average = [&](const auto& a, const auto& b) {
    double sum = 0, count = 0;
    for (const std::size_t i : a)
      for (const std::size_t j : b) {
        double d2 = 0;
        for (std::size_t c = 0; c < std::size_t(cols); ++c)
          d2 += std::pow(double(x[i * std::size_t(cols) + c]) - double(x[j * std::size_t(cols) + c]), 2);
        const double weight = double(weights[i]) * double(weights[j]);
        sum += weight * std::sqrt(d2);
        count += weight;
      }
    return sum / count;
  };
  while (clusters.size() > fewest) {
    std::size_t a = 0, b = 1;
    for (std::size_t i = 0; i < clusters.size(); ++i)
      for (std::size_t j = i + 1; j < clusters.size(); ++j)
        if (average(clusters[i], clusters[j]) < average(clusters[a], clusters[b])) a = i, b = j;
    if (average(clusters[a], clusters[b]) > height) break;
    clusters[a].insert(clusters[a].end(), clusters[b].begin(), clusters[b].end());
    clusters.erase(clusters.begin() + std::ptrdiff_t(b));
  }
  std::vector<index_t> number(weights.size(), -1);
  index_t next = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (number[i] >= 0) continue;
    for (const auto& one : clusters)
      for (const std::size_t k : one)
        if (k == i)
          for (const std::size_t m : one) number[m] = next;
    ++next;
  }
  return number;
}

TEST(AverageLinkage, MergesTheClustersThatAreNearestOnAverage) {
  for (const index_t rows : {1, 2, 7, 25})
    for (const bool weighted : {false, true}) {
      const auto x = reference::normals(rows * cols, unsigned(rows));
      std::vector<float> weights(std::size_t(rows), 1.0f);
      for (std::size_t i = 0; weighted && i < weights.size(); ++i) weights[i] = float(1 + i % 4);
      const vector_view<const float> given{weights.data(), weighted ? rows : 0};
      for (const index_t fewest : {1, 3, 10})
        EXPECT_EQ(average_linkage(cpu{}, point_rows(x.data(), rows, cols), given, fewest, any_height),
                  merged(x, weights, std::size_t(fewest), 1e9));
      for (const float height : {0.0f, 0.7f, 1.5f})
        EXPECT_EQ(average_linkage(cpu{1}, point_rows(x.data(), rows, cols), given, 1, height),
                  merged(x, weights, 1, double(height)));
    }
}

TEST(AverageLinkage, EqualRowsAndNone) {
  const std::vector<float> x(12, 2.0f);
  EXPECT_EQ(average_linkage(cpu{}, point_rows(x.data(), 4, cols), {}, 1, 0),
            (std::vector<index_t>{0, 0, 0, 0}));
  EXPECT_TRUE(average_linkage(cpu{}, point_rows(x.data(), 0, cols), {}, 1, 0).empty());
}

TEST(AverageLinkage, RefusesWhatIsNoQuestion) {
  std::vector<float> x(12, 2.0f);
  const point_rows rows(x.data(), 4, cols);
  const std::vector<float> weights = {1, 0, 1, 1};
  reference::expect_refused<value_error>(
      [&] {
        average_linkage(cpu{}, rows, {weights.data(), 4}, 1, 0);
      },
      "a weight");
  reference::expect_refused<shape_error>(
      [&] {
        average_linkage(cpu{}, rows, {weights.data(), 3}, 1, 0);
      },
      "3 places");
  reference::expect_refused<value_error>([&] { average_linkage(cpu{}, rows, {}, 0, 0); }, "0 clusters");
  x[5] = NAN;
  reference::expect_refused<value_error>([&] { average_linkage(cpu{}, rows, {}, 1, 0); }, "points");
}

}  // namespace
}  // namespace poolwise
