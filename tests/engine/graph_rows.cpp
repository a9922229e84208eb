// Equal rows before the strategies that compare rows: one vertex, of their weight.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "poolwise/diverse/coverage.hpp"
#include "poolwise/diverse/probcover.hpp"
#include "poolwise/diverse/typiclust.hpp"
#include "poolwise/query/select.hpp"
#include "reference/asked.hpp"

namespace poolwise {
namespace {

constexpr index_t features = 3;
const char* const graph_strategies[] = {"facility_location", "graph_cut", "probcover", "typiclust"};

/// Rows given by the numbers of the distinct rows that they repeat.
struct repeats {
  std::vector<index_t> repeated;
  std::vector<float> points;
  pool_inputs inputs;

  explicit repeats(std::vector<index_t> of, unsigned seed = 1) : repeated(std::move(of)) {
    const index_t distinct = 1 + *std::max_element(repeated.begin(), repeated.end());
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(std::size_t(distinct * features));
    for (float& v : values) v = normal(random);
    for (const index_t r : repeated)
      points.insert(points.end(), values.begin() + r * features, values.begin() + (r + 1) * features);
    inputs.rows = index_t(repeated.size());
    inputs.embeddings = matrix_view<const float>{points.data(), inputs.rows, features};
  }

  std::set<index_t> distinct(const std::vector<pick>& picks) const {
    std::set<index_t> all;
    for (const pick& p : picks) all.insert(repeated[std::size_t(p.row)]);
    return all;
  }
};

void expect_picks(const batch& got, const std::vector<candidate>& expected) {
  ASSERT_EQ(got.picks.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ((candidate{got.picks[i].row, got.picks[i].score}), expected[i]) << i;
}

/// `distinct` rows, some of them up to 60 times, in no order.
repeats some_repeated(index_t distinct, unsigned seed) {
  std::vector<index_t> of(static_cast<std::size_t>(distinct));
  std::iota(of.begin(), of.end(), index_t(0));
  std::mt19937 random(seed);
  for (index_t i = 0; i < distinct; i += 5) of.insert(of.end(), random() % 60, i);
  std::shuffle(of.begin(), of.end(), random);
  return repeats(std::move(of), seed);
}

TEST(GraphRows, WithoutEqualRowsTheBatchIsThatOfTheRows) {
  std::vector<index_t> all(400);
  std::iota(all.begin(), all.end(), index_t(0));
  const repeats pool(all);
  const matrix_view<const float> points = *pool.inputs.embeddings;
  const allowance limit{.picks = 50};
  const auto chosen = [&](const char* strategy) { return select(cpu{}, pool.inputs, ask(strategy, 50)); };
  const similarity_graph graph = knn_similarities(cpu{}, points, 32);
  expect_picks(chosen("facility_location"), facility_location(cpu{}, graph, limit));
  expect_picks(chosen("graph_cut"), graph_cut(cpu{}, graph, 2.5, limit));
  expect_picks(chosen("probcover"), probcover(cpu{}, points, limit, {}, {.seed = query_seed({})}));
  expect_picks(chosen("typiclust"), typiclust(cpu{}, points, limit, {}, {.seed = query_seed({})}));
}

TEST(GraphRows, FacilityLocationGainsWhatItGainsOfAllRows) {
  const repeats pool = some_repeated(60, 3);
  const index_t rows = pool.inputs.rows;
  const auto d2 = [&](index_t i, index_t j) {
    double sum = 0;
    for (index_t f = 0; f < features; ++f)
      sum += std::pow(double(pool.inputs.embeddings->row(i)[f]) - double(pool.inputs.embeddings->row(j)[f]), 2);
    return sum;
  };
  // With all rows listed, half is the median over distinct rows of the distance to the farthest.
  std::vector<double> farthest;
  std::set<index_t> seen;
  for (index_t i = 0; i < rows; ++i) {
    if (!seen.insert(pool.repeated[std::size_t(i)]).second) continue;
    farthest.push_back(0);
    for (index_t j = 0; j < rows; ++j) farthest.back() = std::max(farthest.back(), d2(i, j));
  }
  std::nth_element(farthest.begin(), farthest.begin() + 30, farthest.end());
  const double half = farthest[30];

  const batch chosen = select(cpu{}, pool.inputs, ask("facility_location(neighbours=59)", 80));
  ASSERT_EQ(chosen.picks.size(), 80u);
  std::vector<double> covered(std::size_t(rows), 0.0);
  for (const pick& p : chosen.picks) {
    const auto gain = [&](index_t j) {
      double sum = 0;
      for (index_t i = 0; i < rows; ++i)
        sum += std::max(0.0, 1 / (1 + d2(i, j) / half) - covered[std::size_t(i)]);
      return sum;
    };
    double most = 0;
    for (index_t j = 0; j < rows; ++j) most = std::max(most, gain(j));
    // Similarities are in fp32, of up to `rows` rows.
    ASSERT_NEAR(p.score, gain(p.row), 1e-6 * double(rows));
    ASSERT_NEAR(p.score, most, 1e-6 * double(rows));
    for (index_t i = 0; i < rows; ++i)
      covered[std::size_t(i)] = std::max(covered[std::size_t(i)], 1 / (1 + d2(i, p.row) / half));
  }
}

TEST(GraphRows, EqualRowsAreCoveredTogetherHoweverMany) {
  std::vector<index_t> of(1500, 0);  // blank images, say
  for (index_t i = 1; i <= 300; ++i) of.push_back(i);
  const repeats pool(of);
  const batch chosen = select(cpu{}, pool.inputs, ask("probcover", 40));
  EXPECT_EQ(chosen.picks[0].row, 0);
  EXPECT_GE(chosen.picks[0].score, 1500);
  EXPECT_EQ(pool.distinct(chosen.picks).size(), 40u);

  const repeats same(std::vector<index_t>(514, 0));
  for (const char* strategy : {"probcover", "facility_location"})
    expect_picks(select(cpu{}, same.inputs, ask(strategy, 3)), {{0, 514.0f}, {1, 0.0f}, {2, 0.0f}});
  for (const char* strategy : graph_strategies)
    EXPECT_EQ(rows_of(select(cpu{}, same.inputs, ask(strategy, 3))), (std::vector<index_t>{0, 1, 2}));
}

TEST(GraphRows, CopiesOfWhatIsPickedOrLabelledComeLastInOrder) {
  const repeats pool = some_repeated(60, 5);  // of which some are near enough to be covered by others
  const auto zero = std::find(pool.repeated.begin(), pool.repeated.end(), 0) - pool.repeated.begin();
  const std::vector<index_t> labelled{zero};
  for (const char* strategy : graph_strategies) {
    SCOPED_TRACE(strategy);
    asked request = ask(strategy, pool.inputs.rows - 1);
    request.labelled = labelled;
    const batch chosen = select(cpu{}, pool.inputs, request);
    ASSERT_EQ(index_t(chosen.picks.size()), pool.inputs.rows - 1);
    const auto last_new = chosen.picks.begin() + 59;
    const auto first = pool.distinct({chosen.picks.begin(), last_new});
    EXPECT_EQ(first.size(), 59u);
    EXPECT_EQ(first.count(0), 0u);
    for (auto p = last_new; p != chosen.picks.end(); ++p) {
      EXPECT_EQ(p->score, 0);
      if (p != last_new) {
        EXPECT_LT(p[-1].row, p->row);
      }
    }
    EXPECT_EQ(rows_of(select(cpu{3}, pool.inputs, request)), rows_of(chosen));
    request.spec.batch = 20;
    const std::string thinned = std::string(strategy) + "/59/" + strategy;
    request.spec.strategy = thinned;
    EXPECT_EQ(pool.distinct(select(cpu{}, pool.inputs, request).picks).size(), 20u);
  }
}

TEST(GraphRows, AnyCopyThatTheLimitsAllowStandsForAll) {
  const repeats pool({0, 0, 0, 1, 1, 1, 2, 2, 2});
  const std::vector<index_t> excluded{0, 3};
  const std::vector<std::int64_t> cost{1, 9, 1, 1, 9, 1, 1, 9, 1};
  const std::vector<index_t> group{0, 0, 1, 0, 0, 1, 0, 0, 1};
  for (const char* strategy : graph_strategies) {
    SCOPED_TRACE(strategy);
    asked request = ask(strategy, 3);
    request.excluded = excluded;
    EXPECT_EQ(pool.distinct(select(cpu{}, pool.inputs, request).picks), (std::set<index_t>{0, 1, 2}));
    request.group = {group.data(), 9};
    request.spec.quota = {1, 2};
    EXPECT_EQ(pool.distinct(select(cpu{}, pool.inputs, request).picks), (std::set<index_t>{0, 1, 2}));
    request.group = {};
    request.spec.quota = {};
    request.cost = {cost.data(), 9};
    request.spec.budget = 3;
    EXPECT_EQ(pool.distinct(select(cpu{}, pool.inputs, request).picks), (std::set<index_t>{0, 1, 2}));
  }
}

TEST(GraphRows, ZerosAreEqualWhateverTheirSign) {
  const float points[] = {0.0f, 1, -0.0f, 1, 5, 1};
  pool_inputs pool;
  pool.rows = 3;
  pool.embeddings = matrix_view<const float>{points, 3, 2};
  for (const char* strategy : graph_strategies) {
    const std::vector<index_t> rows = rows_of(select(cpu{}, pool, ask(strategy, 3)));
    EXPECT_EQ(rows.back(), 1) << strategy;
  }
}

TEST(GraphRows, AnIndexOfManyEqualRowsFindsTheNeighboursOfTheOthers) {
  std::vector<index_t> of(400, 0);
  for (index_t i = 1; i <= 600; ++i) of.push_back(i);
  const repeats pool(of);
  asked request = ask("facility_location", 3);
  request.spec.neighbours = knn_method::hnsw;
  const batch chosen = select(cpu{}, pool.inputs, request);
  ASSERT_TRUE(chosen.neighbours);
  EXPECT_GT(chosen.neighbours->recall, .97);
}

}  // namespace
}  // namespace poolwise
