// One query from pool to batch.
#include "poolwise/query/select.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/pool/consensus.hpp"
#include "poolwise/pool/unit_rows.hpp"
#include "reference/asked.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

constexpr index_t pool_rows = 500, classes = 5, features = 7, members = 3;

// A pool with everything that any strategy needs.
struct pool_fixture {
  std::vector<float> logits, committee, embeddings, predictions, queries, targets, labels, cost_matrix,
      label_logits, label_sets;
  pool_inputs inputs;

  explicit pool_fixture(unsigned seed = 1, index_t rows = pool_rows)
      : logits(std::size_t(rows * classes)),
        committee(std::size_t(members * rows * classes)),
        embeddings(std::size_t(rows * features)),
        predictions(std::size_t(members * rows)),
        queries(std::size_t(4 * features)),
        targets(std::size_t(members * 6 * classes)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (auto* values : {&logits, &committee, &embeddings, &predictions, &queries, &targets})
      for (float& v : *values) v = normal(random);
    inputs.rows = rows;
    inputs.model = matrix_view<const float>{logits.data(), rows, classes};
    inputs.committee = cube_view<const float>{committee.data(), members, rows, classes};
    inputs.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    inputs.predictions = cube_view<const float>{predictions.data(), members, rows, 1};
    inputs.targets = cube_view<const float>{targets.data(), members, 6, classes};
    for (index_t i = 0; i < rows; ++i) labels.push_back(float(i % 3));
    for (index_t i = 0; i < classes * classes; ++i)
      cost_matrix.push_back(i % (classes + 1) == 0 ? 0 : 1 + i % 4);
    inputs.labels = {labels.data(), rows};
    inputs.cost_matrix = matrix_view<const float>{cost_matrix.data(), classes, classes};
    for (index_t i = 0; i < rows * classes; ++i) label_sets.push_back(float(i * i % 7 < 3));
    label_logits = logits;
    inputs.label_outputs = matrix_view<const float>{label_logits.data(), rows, classes};
    inputs.label_sets = matrix_view<const float>{label_sets.data(), rows, classes};
    inputs.queries = matrix_view<const float>{queries.data(), 2, features};
    inputs.private_rows = matrix_view<const float>{queries.data() + 2 * features, 2, features};
  }
};

std::string refusal(const pool_inputs& pool, const asked& request) {
  try {
    select(cpu{}, pool, request);
  } catch (const error& e) {
    return e.what();
  }
  return "";
}

// Each that the table lists, alone and among candidates.
std::vector<std::string> every_strategy() {
  std::vector<std::string> names = {"random/10x/kcenter", "margin/50%/bald/20%/typiclust/2x/kcenter",
                                    "typiclust/100/entropy", "power(bald, beta=2)/3x/badge"};
  const char* const kept[] = {"margin/50/", "bald/3x/", "entropy/100/"};
  std::size_t turn = 0;
  for (const strategy_entry& entry : strategies()) {
    const std::string name =  // batchbald's defaults count a million joint labels a pick
        std::string(entry.name) == "batchbald" ? "batchbald(configurations=1000, samples=100)"
                                               : entry.example();
    names.push_back(name);
    names.push_back(kept[turn++ % 3] + name);
  }
  return names;
}

class EveryStrategy : public testing::TestWithParam<std::string> {};

TEST_P(EveryStrategy, PicksDistinctAvailableRowsTheSameOnAnyThreads) {
  const pool_fixture pool;
  const std::vector<index_t> labelled = {0, 17, 499}, excluded = {3, 4, 5};
  auto request = ask(GetParam(), 40);
  request.labelled = labelled;
  request.excluded = excluded;
  const auto first = select(cpu{1}, pool.inputs, request);
  const auto rows = rows_of(first);
  EXPECT_EQ(rows.size(), 40u);
  EXPECT_EQ(std::set<index_t>(rows.begin(), rows.end()).size(), 40u);
  for (const index_t row : rows) {
    EXPECT_EQ(std::count(labelled.begin(), labelled.end(), row), 0) << row;
    EXPECT_EQ(std::count(excluded.begin(), excluded.end(), row), 0) << row;
  }
  for (int threads : {2, 5}) EXPECT_EQ(rows_of(select(cpu{threads}, pool.inputs, request)), rows);
  for (const pick& p : first.picks) EXPECT_NE(p.reason, "");
}

TEST_P(EveryStrategy, StaysWithinTheBudgetAndTheQuotas) {
  const pool_fixture pool;
  std::vector<std::int64_t> cost(pool_rows);
  std::vector<index_t> group(pool_rows);
  for (index_t i = 0; i < pool_rows; ++i) {
    cost[std::size_t(i)] = 1 + i % 7;
    group[std::size_t(i)] = i % 2;
  }
  const std::vector<index_t> quota = {5, 3};
  auto request = ask(GetParam(), 40);
  request.cost = {cost.data(), pool_rows};
  request.spec.budget = 30;
  const batch priced = select(cpu{}, pool.inputs, request);
  EXPECT_LE(priced.cost(), 30);
  EXPECT_GE(priced.cost(), 24);  // less than a dearest row is left over
  request.spec.budget.reset();
  request.group = {group.data(), pool_rows};
  request.spec.quota = quota;
  const auto rows = rows_of(select(cpu{}, pool.inputs, request));
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(), [](index_t r) { return r % 2 == 0; }), 5);
  EXPECT_EQ(rows.size(), 8u);
}

// Costs of few units and of thousands, so that what is left at the end seldom buys the next row.
std::vector<std::int64_t> uneven_costs(index_t rows = pool_rows) {
  std::vector<std::int64_t> cost;
  for (index_t i = 0; i < rows; ++i)
    cost.push_back(i % 11 == 0 ? 0 : 1 + (i * i * 7919) % (i % 3 == 0 ? 2000 : 9));
  return cost;
}

TEST_P(EveryStrategy, ABudgetThatCannotBindChangesNothing) {
  constexpr index_t few = 200;
  const pool_fixture pool(1, few);
  const auto cost = uneven_costs(few);
  auto dearest = cost;
  std::sort(dearest.rbegin(), dearest.rend());
  auto request = ask(GetParam(), 25);
  const batch free = select(cpu{}, pool.inputs, request);
  request.cost = {cost.data(), few};
  for (const bool budget : {false, true}) {
    if (budget) request.spec.budget = std::accumulate(dearest.begin(), dearest.begin() + 25, std::int64_t{0});
    const batch priced = select(cpu{}, pool.inputs, request);
    ASSERT_EQ(rows_of(priced), rows_of(free));
    for (std::size_t i = 0; i < free.picks.size(); ++i) {
      EXPECT_EQ(priced.picks[i].score, free.picks[i].score);
      EXPECT_EQ(priced.picks[i].reason, free.picks[i].reason);
    }
    EXPECT_EQ(priced.remarks, free.remarks);
  }
}

TEST_P(EveryStrategy, OfRowsOfOnePriceABudgetIsANumberOfPicks) {
  constexpr index_t few = 200;
  const pool_fixture pool(1, few);
  const std::vector<std::int64_t> cost(few, 3);
  const auto expected = rows_of(select(cpu{}, pool.inputs, ask(GetParam(), 10)));
  auto request = ask(GetParam(), 10);
  request.spec.batch.reset();
  request.spec.budget = 32;
  request.cost = {cost.data(), few};
  EXPECT_EQ(rows_of(select(cpu{}, pool.inputs, request)), expected);
}

TEST_P(EveryStrategy, NoRowThatTheLimitsAllowIsLeftOfAShortBatch) {
  constexpr index_t few = 120;
  const pool_fixture pool(1, few);
  const auto cost = uneven_costs(few);
  std::vector<index_t> group;
  for (index_t i = 0; i < few; ++i) group.push_back(i * i % 3);
  for (const std::int64_t budget : {9, 1000})
    for (const bool quotas : {false, true}) {
      SCOPED_TRACE(budget);
      auto request = ask(GetParam(), 50);
      request.cost = {cost.data(), few};
      request.spec.budget = budget;
      if (quotas) request.group = {group.data(), few}, request.spec.quota = {10, 20, 5};
      const batch chosen = select(cpu{}, pool.inputs, request);
      std::vector<index_t> left = request.spec.quota;
      std::set<index_t> taken;
      for (const pick& p : chosen.picks) {
        EXPECT_TRUE(taken.insert(p.row).second);
        if (!quotas) continue;
        EXPECT_GE(--left[std::size_t(group[std::size_t(p.row)])], 0);
      }
      ASSERT_LE(chosen.cost(), budget);
      if (chosen.picks.size() == 50) continue;
      for (index_t i = 0; i < few; ++i) {
        if (taken.count(i) != 0 || (quotas && left[std::size_t(group[std::size_t(i)])] == 0)) continue;
        EXPECT_GT(cost[std::size_t(i)], budget - chosen.cost()) << "row " << i << " is left";
      }
      ASSERT_EQ(chosen.remarks.back(), std::to_string(chosen.picks.size()) +
                                           " of 50 picks: no more rows are within query_spec::budget" +
                                           (quotas ? " and query_spec::quota" : ""));
    }
}

// Few rows of group 2, dear ones, whose floor binds; the budgets bind, too.
TEST_P(EveryStrategy, MeetsTheFloorsWithinAllLimits) {
  constexpr index_t few = 150;
  const pool_fixture pool(1, few);
  std::vector<std::int64_t> cost, hours;
  std::vector<index_t> group;
  for (index_t i = 0; i < few; ++i) {
    group.push_back(i % 25 == 7 ? 2 : i % 2);
    cost.push_back(group.back() == 2 ? 20 + i % 3 : 1 + i % 7);
    hours.push_back(i % 5);
  }
  for (const int budgets : {0, 1, 2})
    for (const bool quotas : {false, true}) {
      SCOPED_TRACE(budgets);
      auto request = ask(GetParam(), 20);
      request.group = {group.data(), few};
      request.spec.floor = {2, 0, 5};
      if (quotas) request.spec.quota = {9, 30, 6};
      request.cost = {cost.data(), few};
      request.also_cost = {{"hours", {hours.data(), few}}};
      if (budgets > 0) request.spec.budget = 150;
      if (budgets > 1) request.spec.budgets = {{"hours", 30}};
      const batch chosen = select(cpu{1}, pool.inputs, request);
      std::vector<index_t> count(3, 0);
      std::int64_t spent = 0;
      for (const pick& p : chosen.picks) {
        ++count[std::size_t(group[std::size_t(p.row)])];
        spent += hours[std::size_t(p.row)];
      }
      EXPECT_GE(count[0], 2);
      EXPECT_GE(count[2], 5);
      if (quotas) {
        EXPECT_TRUE(count[0] <= 9 && count[2] <= 6);
      }
      EXPECT_LE(chosen.cost(), budgets > 0 ? 150 : 10'000);
      EXPECT_LE(spent, budgets > 1 ? 30 : 10'000);
      if (budgets == 0) {
        EXPECT_EQ(chosen.picks.size(), 20u);
        EXPECT_TRUE(chosen.remarks.empty());
      }
      EXPECT_EQ(rows_of(select(cpu{3}, pool.inputs, request)), rows_of(chosen));
    }
}

// Where no other row would be picked a floor of nothing changes nothing.
TEST_P(EveryStrategy, AFloorThatIsMetAnywayChangesNothing) {
  constexpr index_t few = 120;
  const pool_fixture pool(1, few);
  std::vector<index_t> group;
  for (index_t i = 0; i < few; ++i) group.push_back(i % 3);
  auto request = ask(GetParam(), 15);
  request.group = {group.data(), few};
  request.spec.quota = {15, 15, 15};
  const batch without = select(cpu{}, pool.inputs, request);
  request.spec.quota.clear();
  request.spec.floor = {0, 0, 0};
  const batch with = select(cpu{}, pool.inputs, request);
  EXPECT_EQ(rows_of(with), rows_of(without));
  EXPECT_TRUE(with.remarks.empty());
}

TEST_P(EveryStrategy, PicksLieApartFromEachOtherAndFromLabelledRows) {
  pool_fixture pool;
  for (float& v : pool.embeddings) v = std::round(v);  // duplicates and neighbours at 1 abound
  const std::vector<index_t> labelled = {0, 17, 499};
  auto request = ask(GetParam(), 30);
  request.labelled = labelled;
  for (const float radius : {0.0f, 1.0f, 2.5f}) {
    SCOPED_TRACE(radius);
    request.spec.apart = radius;
    const auto rows = rows_of(select(cpu{1}, pool.inputs, request));
    EXPECT_GT(rows.size(), 10u);
    auto all = rows;
    all.insert(all.end(), labelled.begin(), labelled.end());
    for (std::size_t a = 0; a < rows.size(); ++a)
      for (std::size_t b = a + 1; b < all.size(); ++b) {
        double d2 = 0;
        for (index_t f = 0; f < features; ++f)
          d2 += std::pow(pool.embeddings[std::size_t(all[a] * features + f)] -
                             pool.embeddings[std::size_t(all[b] * features + f)],
                         2);
        EXPECT_GT(d2, double(radius) * radius) << all[a] << " and " << all[b];
      }
    EXPECT_EQ(rows_of(select(cpu{3}, pool.inputs, request)), rows);
  }
}

TEST_P(EveryStrategy, TakesTheWholePoolWhenAsked) {
  const pool_fixture pool(2, 30);
  const auto rows = rows_of(select(cpu{}, pool.inputs, ask(GetParam(), 30)));
  EXPECT_EQ(std::set<index_t>(rows.begin(), rows.end()).size(), 30u);
}

// As many as may be picked, or a sentence that says why not.
void expect_sound(const pool_inputs& pool, const std::string& strategy, std::vector<index_t> labelled,
                  index_t picks) {
  SCOPED_TRACE(std::to_string(pool.rows) + " rows, " + std::to_string(labelled.size()) + " labelled");
  auto request = ask(strategy, picks);
  request.labelled = labelled;
  std::vector<index_t> rows;
  try {
    rows = rows_of(select(cpu{}, pool, request));
  } catch (const value_error& e) {
    EXPECT_NE(std::string(e.what()).find(';'), std::string::npos) << e.what() << " does not say what to do";
    return;
  }
  EXPECT_EQ(index_t(rows.size()), std::min(picks, pool.rows - index_t(labelled.size())));
  for (const index_t row : labelled) EXPECT_EQ(std::count(rows.begin(), rows.end(), row), 0) << row;
  std::sort(rows.begin(), rows.end());
  EXPECT_EQ(std::adjacent_find(rows.begin(), rows.end()), rows.end());
}

TEST_P(EveryStrategy, PoolsOfOneRowOfEqualRowsAndWithOneRowLeft) {
  const pool_fixture one(1, 1), few(1, 12);
  expect_sound(one.inputs, GetParam(), {}, 1);
  expect_sound(few.inputs, GetParam(), {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 1);
  expect_sound(few.inputs, GetParam(), {2, 7}, 12);
  pool_fixture equal(1, 12);
  for (auto* values : {&equal.logits, &equal.embeddings, &equal.committee, &equal.predictions})
    std::fill(values->begin(), values->end(), 1.0f);
  expect_sound(equal.inputs, GetParam(), {}, 4);
  expect_sound(equal.inputs, GetParam(), {2, 7}, 4);
}

INSTANTIATE_TEST_SUITE_P(Select, EveryStrategy, testing::ValuesIn(every_strategy()), [](const auto& name) {
  std::string text = name.param;
  std::replace_if(
      text.begin(), text.end(), [](char c) { return !std::isalnum(c); }, '_');
  return text;
});

// Two clusters of three, and rows dear beyond reason in the middle of each.
TEST(Select, ADiverseBatchIsTheBetterOfGainsAndGainsPerCost) {
  std::vector<float> points;
  std::vector<std::int64_t> cost;
  for (const float at : {0.0f, 100.0f, 200.0f, 300.0f})
    for (const float off : {0.0f, 1.0f, -1.0f, 2.0f}) {
      points.push_back(at + off);
      cost.push_back(off == 0 ? 60 : 10);
    }
  pool_inputs pool;
  pool.rows = 16;
  pool.embeddings = matrix_view<const float>{points.data(), 16, 1};
  for (const char* strategy : {"facility_location(neighbours=3)", "kcenter"}) {
    asked request = ask(strategy, 16);
    request.cost = {cost.data(), 16};
    request.spec.budget = 40;
    const batch chosen = select(cpu{}, pool, request);
    std::set<int> clusters;
    for (const pick& p : chosen.picks) clusters.insert(int(p.row) / 4);
    EXPECT_EQ(clusters.size(), 4u) << strategy;
  }
}

TEST(Select, ADiverseBatchUnderABudgetSaysHowGoodItIs) {
  const pool_fixture pool(1, 200);
  const auto cost = uneven_costs(200);
  const std::vector<index_t> labelled = {3, 9};
  for (const char* strategy : {"facility_location", "graph_cut", "probcover", "margin/3x/facility_location"}) {
    asked request = ask(strategy, 30);
    request.labelled = labelled;
    EXPECT_FALSE(select(cpu{}, pool.inputs, request).of_optimum) << strategy;
    request.cost = {cost.data(), 200};
    request.spec.budget = 60;
    const batch chosen = select(cpu{}, pool.inputs, request);
    ASSERT_TRUE(chosen.of_optimum) << strategy;
    EXPECT_GT(*chosen.of_optimum, .3) << strategy;
    EXPECT_LE(*chosen.of_optimum, 1) << strategy;
    EXPECT_EQ(select(cpu{3}, pool.inputs, request).of_optimum, chosen.of_optimum) << strategy;
  }
  asked request = ask("kcenter", 30);
  request.cost = {cost.data(), 200};
  request.spec.budget = 60;
  EXPECT_FALSE(select(cpu{}, pool.inputs, request).of_optimum);
}

TEST(Select, PicksHaveTheScoresByWhichTheyWereKept) {
  const pool_fixture pool;
  const batch chosen = select(cpu{}, pool.inputs, ask("margin/50%/random/100/bald/3x/kcenter", 9));
  ASSERT_EQ(chosen.kept_by, (std::vector<std::string>{"margin", "bald"}));
  std::vector<float> margin(pool_rows);
  score(cpu{}, *pool.inputs.model, outputs::logits, acquisition::margin,
        vector_view<float>{margin.data(), pool_rows});
  const batch by_bald = select(cpu{}, pool.inputs, ask("bald", pool_rows));
  for (const pick& p : chosen.picks) {
    EXPECT_EQ(p.kept_by[0], margin[std::size_t(p.row)]);
    for (const pick& other : by_bald.picks)
      if (other.row == p.row) {
        EXPECT_EQ(p.kept_by[1], other.score);
      }
  }
}

TEST(Select, KCenterWithoutLabelsBeginsWhereTheSeedSays) {
  const pool_fixture pool;
  std::set<index_t> first;
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    asked request = ask("kcenter", 5);
    request.spec.seed = seed;
    const batch chosen = select(cpu{}, pool.inputs, request);
    first.insert(chosen.picks[0].row);
    EXPECT_EQ(rows_of(select(cpu{3}, pool.inputs, request)), rows_of(chosen));
  }
  EXPECT_GT(first.size(), 2u);
  const batch weighted = select(cpu{}, pool.inputs, ask("margin/100/weighted_kcenter", 5));
  EXPECT_EQ(weighted.picks[0].row, select(cpu{}, pool.inputs, ask("margin", 1)).picks[0].row);
}

// By the cosine the length of a row says nothing; of rows of length 1 it is the distance.
TEST_P(EveryStrategy, ByTheCosineRowsOfAnyLengthAreTheirDirections) {
  constexpr index_t few = 120;
  const pool_fixture pool(1, few);
  pool_inputs longer = pool.inputs, unit = pool.inputs;
  std::vector<float> scaled = pool.embeddings, directions = unit_rows(cpu{2}, *pool.inputs.embeddings);
  for (index_t i = 0; i < few; ++i)
    for (index_t f = 0; f < features; ++f) scaled[std::size_t(i * features + f)] *= float(1 << i % 5);
  longer.embeddings = matrix_view<const float>{scaled.data(), few, features};
  unit.embeddings = matrix_view<const float>{directions.data(), few, features};
  const std::vector<float> beside = unit_rows(cpu{2}, {pool.queries.data(), 4, features});
  unit.queries = matrix_view<const float>{beside.data(), 2, features};
  unit.private_rows = matrix_view<const float>{beside.data() + 2 * features, 2, features};
  asked request = ask(GetParam(), 12);
  const std::vector<index_t> labelled = {3, 50};
  request.labelled = labelled;
  const auto expected = rows_of(select(cpu{}, unit, request));
  request.spec.distance = metric::cosine;
  EXPECT_EQ(rows_of(select(cpu{}, pool.inputs, request)), expected);
  EXPECT_EQ(rows_of(select(cpu{3}, longer, request)), expected);
}

TEST(Select, ARowOfZerosHasNoDirection) {
  pool_fixture pool;
  std::fill_n(pool.embeddings.begin() + 7 * features, features, 0.0f);
  asked request = ask("kcenter", 3);
  request.spec.distance = metric::cosine;
  EXPECT_NE(refusal(pool.inputs, request).find("row 7 has an embedding of zeros"), std::string::npos);
  request.spec.invalid = on_invalid::skip;
  EXPECT_EQ(select(cpu{}, pool.inputs, request).skipped_rows, 1);
  request.spec.strategy = "entropy";  // looks at no embedding
  EXPECT_EQ(select(cpu{}, pool.inputs, request).skipped_rows, 0);
}

// The least certain rows all lie beside a labelled one: the batch is of those behind them.
TEST(Select, CandidatesThatAreAllTooNearMakeRoomForOthers) {
  constexpr index_t few = 60;
  std::vector<float> logits, points;
  for (index_t i = 0; i < few; ++i) {
    logits.insert(logits.end(), {float(i) / 8, 0});
    points.push_back(i < 30 ? float(i) / 100 : float(i));
  }
  pool_inputs pool;
  pool.rows = few;
  pool.model = matrix_view<const float>{logits.data(), few, 2};
  pool.embeddings = matrix_view<const float>{points.data(), few, 1};
  const std::vector<index_t> labelled = {0};
  for (const char* strategy : {"margin/3x/kcenter", "margin/5/facility_location", "entropy/20/margin/2x/dpp"}) {
    asked request = ask(strategy, 4);
    request.labelled = labelled;
    request.spec.apart = 1.5f;
    const auto rows = rows_of(select(cpu{}, pool, request));
    EXPECT_EQ(rows.size(), 4u) << strategy;
    for (const index_t row : rows) EXPECT_GE(row, 30) << strategy;
  }
}

// All rows of group 1 lie in one place, so that its floor cannot be met: its places go to others.
TEST(Select, AFloorThatRowsTooNearLeaveUnmetIsSaid) {
  constexpr index_t few = 60;
  std::vector<float> logits, points;
  std::vector<index_t> group;
  std::vector<std::int64_t> cost;
  for (index_t i = 0; i < few; ++i) {
    logits.insert(logits.end(), {float(i) / 8, 0});
    points.push_back(i < 30 ? float(i) : 100);
    group.push_back(i < 30 ? 0 : 1);
    cost.push_back(1 + i % 2);
  }
  pool_inputs pool;
  pool.rows = few;
  pool.model = matrix_view<const float>{logits.data(), few, 2};
  pool.embeddings = matrix_view<const float>{points.data(), few, 1};
  for (const char* strategy : {"margin", "kcenter", "margin/2x/kcenter", "badge", "facility_location"})
    for (const bool priced : {false, true}) {
      asked request = ask(strategy, 10);
      request.group = {group.data(), few};
      request.spec.floor = {0, 4};
      request.spec.apart = 0.5f;
      if (priced) request.cost = {cost.data(), few}, request.spec.budget = 14;
      const batch chosen = select(cpu{}, pool, request);
      EXPECT_GE(chosen.picks.size(), priced ? 7u : 10u) << strategy;
      EXPECT_EQ(chosen.remarks.back(),
                "1 of the 4 picks that query_spec::floor asks of group 1: no more of its rows can be picked");
    }
}

TEST(Select, AFloorOfRowsThatCannotBeJudgedIsSaid) {
  pool_fixture pool;
  std::vector<index_t> group(pool_rows, 0);
  for (const index_t row : {3, 40, 41}) group[std::size_t(row)] = 1;
  pool.logits[40 * classes] = std::nanf("");
  for (const char* strategy : {"entropy", "badge", "entropy/5x/kcenter", "margin/50%/entropy/2x/badge"}) {
    asked request = ask(strategy, 6);
    request.spec.invalid = on_invalid::skip;
    request.group = {group.data(), pool_rows};
    request.spec.floor = {1, 3};
    const batch chosen = select(cpu{}, pool.inputs, request);
    EXPECT_EQ(chosen.picks.size(), 6u);
    EXPECT_EQ(chosen.remarks.back(),
              "2 of the 3 picks that query_spec::floor asks of group 1: no more of its rows can be picked");
  }
}

TEST(Select, ABudgetOverScoresSaysHowGoodTheBatchIs) {
  const pool_fixture pool;
  const auto cost = uneven_costs();
  asked request = ask("margin", 40);
  request.cost = {cost.data(), pool_rows};
  request.spec.budget = 60;
  const batch bound = select(cpu{}, pool.inputs, request);
  ASSERT_TRUE(bound.of_optimum);
  EXPECT_GT(*bound.of_optimum, .99);
  EXPECT_EQ(bound.picks[0].reason, "highest margin for its cost");
  // Scores that are drawn are an order, not a worth.
  request.spec.strategy = "random";
  const batch drawn = select(cpu{}, pool.inputs, request);
  EXPECT_FALSE(drawn.of_optimum);
  request.spec.strategy = "energy";
  EXPECT_TRUE(select(cpu{}, pool.inputs, request).of_optimum);
}

TEST(Select, ABudgetBuysWhatItCanOfTheRowsThatAreLeft) {
  pool_fixture pool;
  for (const index_t row : {3, 40}) pool.logits[std::size_t(row * classes)] = std::nanf("");
  const std::vector<std::int64_t> cost(pool_rows, 2);
  for (const char* strategy : {"entropy", "kcenter", "margin/10x/kcenter"}) {
    SCOPED_TRACE(strategy);
    asked request = ask(strategy, pool_rows);
    request.spec.invalid = on_invalid::skip;
    request.cost = {cost.data(), pool_rows};
    request.spec.budget = 9;
    EXPECT_EQ(select(cpu{}, pool.inputs, request).picks.size(), 4u);
    request.spec.budget = 2 * pool_rows;
    const bool looks_at_logits = std::string(strategy) != "kcenter";
    EXPECT_EQ(index_t(select(cpu{}, pool.inputs, request).picks.size()),
              looks_at_logits ? pool_rows - 2 : pool_rows);
  }
}

TEST(Select, TheBestRowsThatLieApartAreThoseOfAWalkDownTheRanking) {
  pool_fixture pool;
  for (float& v : pool.embeddings) v = std::round(v);
  auto request = ask("entropy", pool_rows);
  const batch ranked = select(cpu{}, pool.inputs, request);
  std::vector<index_t> expected;
  for (const index_t row : rows_of(ranked)) {
    const auto* x = &pool.embeddings[std::size_t(row * features)];
    const bool near = std::any_of(expected.begin(), expected.end(), [&](index_t other) {
      return std::equal(x, x + features, &pool.embeddings[std::size_t(other * features)]);
    });
    if (!near) expected.push_back(row);
  }
  EXPECT_LT(expected.size(), std::size_t(pool_rows));
  request.spec.apart = 0.0f;
  EXPECT_EQ(rows_of(select(cpu{}, pool.inputs, request)), expected);
}

TEST(Select, LyingApartNeedsPlacesThatExist) {
  pool_fixture pool;
  auto request = ask("margin", 5);
  request.spec.apart = 1.0f;
  pool.embeddings[9 * features] = std::nanf("");
  EXPECT_NE(refusal(pool.inputs, request).find("row 9 has an embedding that is not finite"), std::string::npos);
  request.spec.invalid = on_invalid::skip;
  EXPECT_EQ(select(cpu{}, pool.inputs, request).skipped_rows, 1);
  const std::vector<index_t> labelled = {9};
  request.labelled = labelled;
  EXPECT_NE(refusal(pool.inputs, request).find("labelled row 9 has an embedding that is not finite"),
            std::string::npos);
  request.labelled = {};
  request.spec.apart = -1.0f;
  EXPECT_NE(refusal(pool.inputs, request).find("it must be a finite distance"), std::string::npos);
  request.spec.apart = 1.0f;
  pool.inputs.embeddings.reset();
  EXPECT_NE(refusal(pool.inputs, request).find("give them (pool_inputs::embeddings)"), std::string::npos);
}

TEST(Select, EntropyTakesTheHighestEntropies) {
  const pool_fixture pool;
  // Entropy in long double from the definition.
  std::vector<std::pair<long double, index_t>> order;
  for (index_t i = 0; i < pool_rows; ++i) {
    long double z = 0, h = 0;
    for (index_t c = 0; c < classes; ++c) z += std::exp((long double)pool.logits[std::size_t(i * classes + c)]);
    for (index_t c = 0; c < classes; ++c) {
      const long double p = std::exp((long double)pool.logits[std::size_t(i * classes + c)]) / z;
      h -= p * std::log(p);
    }
    order.push_back({-h, i});
  }
  std::sort(order.begin(), order.end());
  const batch b = select(cpu{}, pool.inputs, ask("entropy", 20));
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(b.picks[i].row, order[i].second);
    EXPECT_NEAR(b.picks[i].score, double(-order[i].first), 1e-5);
  }
}

TEST(Select, RandomDependsOnSeedAndRoundAndNothingElse) {
  const pool_fixture a(1), b(2);
  auto request = ask("random", 50);
  const auto rows = rows_of(select(cpu{}, a.inputs, request));
  EXPECT_EQ(rows_of(select(cpu{}, b.inputs, request)), rows);
  request.spec.seed = 1;
  EXPECT_NE(rows_of(select(cpu{}, a.inputs, request)), rows);
  request.spec.seed = 0;
  request.spec.round = 1;
  EXPECT_NE(rows_of(select(cpu{}, a.inputs, request)), rows);
}

TEST(Select, RandomIsUniform) {
  const pool_fixture pool(1, 20);
  std::vector<int> counts(20);
  auto request = ask("random", 5);
  for (request.spec.seed = 0; request.spec.seed < 4000; ++request.spec.seed)
    for (const index_t row : rows_of(select(cpu{1}, pool.inputs, request))) ++counts[std::size_t(row)];
  double chi2 = 0;
  for (const int n : counts)
    chi2 += (n - 1000.0) * (n - 1000.0) / 750;  // variance n p (1 - p) = 4000 * .25 * .75
  EXPECT_LT(chi2, 52);  // 20 rows, 5 picked without replacement: about chi-square of 19; P(> 52) < 1e-4
}

TEST(Select, KeepRestrictsTheDiversifierToTheBestRanked) {
  const pool_fixture pool;
  const auto best = rows_of(select(cpu{}, pool.inputs, ask("margin", 50)));
  for (const char* name : {"margin/50/kcenter", "margin/50/badge", "margin/50/facility_location",
                           "margin/50/probcover", "margin/50/graph_cut", "margin/50/typiclust"})
    for (const index_t row : rows_of(select(cpu{}, pool.inputs, ask(name, 10))))
      EXPECT_EQ(std::count(best.begin(), best.end(), row), 1) << name;
}

TEST(Select, KeepingEverythingIsNoRestriction) {
  const pool_fixture pool;
  for (const std::string name :
       {"kcenter", "badge", "facility_location", "probcover", "graph_cut", "typiclust"})
    EXPECT_EQ(rows_of(select(cpu{}, pool.inputs, ask("margin/500/" + name, 30))),
              rows_of(select(cpu{}, pool.inputs, ask(name, 30))));
}

TEST(Select, ScoresWeighDppAndWeightedKcenter) {
  pool_fixture pool(1, 40);
  // Without a score both go by the embeddings alone; a row that no score speaks for comes last.
  EXPECT_EQ(rows_of(select(cpu{}, pool.inputs, ask("weighted_kcenter", 9))),
            rows_of(select(cpu{}, pool.inputs, ask("kcenter", 9))));
  EXPECT_EQ(rows_of(select(cpu{}, pool.inputs, ask("random/40/dpp", 9))),
            rows_of(select(cpu{}, pool.inputs, ask("dpp", 9))));
  for (index_t e = 1; e < members; ++e)  // row 11: the members agree
    for (index_t c = 0; c < classes; ++c)
      pool.committee[std::size_t((e * 40 + 11) * classes + c)] = pool.committee[std::size_t(11 * classes + c)];
  for (const char* name : {"variation_ratio/40/dpp", "variation_ratio/40/weighted_kcenter"}) {
    const batch all = select(cpu{}, pool.inputs, ask(name, 40));
    const auto worthless =
        std::find_if(all.picks.begin(), all.picks.end(), [](const pick& p) { return p.row == 11; });
    EXPECT_EQ(worthless->score, 0) << name;
    EXPECT_NE(all.picks[0].reason.find("among the 40 rows of highest variation_ratio"), std::string::npos);
  }
  EXPECT_EQ(rows_of(select(cpu{}, pool.inputs, ask("bald/40/dpp", 1))),
            rows_of(select(cpu{}, pool.inputs, ask("bald", 1))));
  // Where scores are negative, by what a row exceeds the least: the worst of the candidates comes last.
  const auto candidates = rows_of(select(cpu{}, pool.inputs, ask("energy", 20)));
  for (const char* strategy : {"energy/20/dpp", "energy/20/weighted_kcenter"}) {
    const auto all = rows_of(select(cpu{}, pool.inputs, ask(strategy, 20)));
    EXPECT_EQ(all.back(), candidates.back()) << strategy;
    EXPECT_EQ(all.size(), 20u);
  }
}

TEST(Select, ReasonsOfADrawSaySo) {
  const pool_fixture pool(1, 60);
  for (const pick& p : select(cpu{}, pool.inputs, ask("random/40/kcenter", 5)).picks)
    EXPECT_EQ(p.reason, "farthest from labelled and picked rows among 40 rows drawn at random");
}

TEST(Select, MessagesSpeakInTheNamesOfTheRequest) {
  const pool_fixture pool(1, 60);
  asked request = ask("kcenter", 61);
  request.words = {.call = "pick_some",
                   .outputs = "x",
                   .committee = "members",
                   .embeddings = "places",
                   .excluded = "never",
                   .skip = "forget=them"};
  EXPECT_EQ(select(cpu{}, pool.inputs, request).remarks,
            std::vector<std::string>{"60 of 61 picks: no more rows are available"});
  pool_inputs lacking;
  lacking.rows = 60;
  const auto says = [&](const char* name, const std::string& text) {
    request.spec.strategy = name;
    EXPECT_EQ(refusal(lacking, request), "pick_some: strategy \"" + std::string(name) + "\" needs " + text);
    EXPECT_THROW(prepared(lacking, request), usage_error);
  };
  says("margin", "model outputs; give them (x)");
  says("bald", "committee outputs; give them (members)");
  says("kcenter", "embeddings; give them (places)");
}

TEST(Select, BatchBaldBeginsWithBaldAndSaysWhatIsEstimated) {
  const pool_fixture pool(1, 30);
  const auto bald = rows_of(select(cpu{}, pool.inputs, ask("bald", 1)));
  const batch b = select(cpu{}, pool.inputs, ask("batchbald", 12));
  EXPECT_EQ(b.picks[0].row, bald[0]);
  // 5^8 configurations are counted, 5^9 are not.
  for (std::size_t p = 0; p < 12; ++p)
    EXPECT_EQ(b.picks[p].reason.find("estimated") != std::string::npos, p >= 8) << p;
}

TEST(Select, KcenterStartsFarthestFromTheLabelled) {
  pool_fixture pool(1, 6);
  // Points on a line at 0, 1, 2, 10, 11, 30 in the first feature.
  std::fill(pool.embeddings.begin(), pool.embeddings.end(), 0.0f);
  const float place[] = {0, 1, 2, 10, 11, 30};
  for (std::size_t i = 0; i < 6; ++i) pool.embeddings[i * features] = place[i];
  const std::vector<index_t> labelled = {5};
  auto request = ask("kcenter", 2);
  request.labelled = labelled;
  const batch b = select(cpu{}, pool.inputs, request);
  EXPECT_EQ(rows_of(b), (std::vector<index_t>{0, 4}));
  EXPECT_EQ(b.picks[0].score, 900.0f);
  EXPECT_EQ(b.picks[1].score, 121.0f);
}

// Three heaps of 10, 20 and 30 rows far from each other, in that order.
pool_fixture three_heaps() {
  pool_fixture pool(3, 60);
  const auto place = [](index_t row) { return row < 10 ? 0.0f : row < 30 ? 100.0f : 200.0f; };
  for (index_t i = 0; i < 60; ++i) pool.embeddings[std::size_t(i * features)] += place(i);
  return pool;
}

index_t heap_of(index_t row) { return row < 10 ? 0 : row < 30 ? 1 : 2; }

TEST(Select, GraphStrategiesTakeTheLargestHeapsThatNothingLabelledLiesIn) {
  const pool_fixture pool = three_heaps();
  for (const char* name : {"facility_location", "probcover", "graph_cut"}) {
    SCOPED_TRACE(name);
    auto request = ask(name, 3);
    std::vector<index_t> labelled(25);
    std::iota(labelled.begin(), labelled.end(), index_t{35});
    const auto heaps = [&] {
      std::vector<index_t> list;
      for (const index_t row : rows_of(select(cpu{}, pool.inputs, request))) list.push_back(heap_of(row));
      return list;
    };
    EXPECT_EQ(heaps()[0], 2);
    request.labelled = labelled;
    EXPECT_EQ(heaps()[0], 1);
  }
}

// Rows that must not be picked are not there, for the others to be like.
TEST(Select, GraphStrategiesLeaveExcludedRowsOut) {
  const pool_fixture pool = three_heaps(), larger = [] {
    pool_fixture more(3, 65);
    const pool_fixture same = three_heaps();
    std::copy(same.embeddings.begin(), same.embeddings.end(), more.embeddings.begin() + 5 * features);
    return more;
  }();
  const std::vector<index_t> excluded = {0, 1, 2, 3, 4}, labelled = {12, 59};
  std::vector<index_t> labelled_later;
  for (const index_t row : labelled) labelled_later.push_back(row + 5);
  for (const char* name : {"facility_location", "probcover", "graph_cut", "typiclust"}) {
    auto request = ask(name, 20), request_larger = request;
    request.labelled = labelled;
    request_larger.labelled = labelled_later;
    request_larger.excluded = excluded;
    auto rows = rows_of(select(cpu{}, larger.inputs, request_larger));
    for (index_t& row : rows) row -= 5;
    EXPECT_EQ(rows, rows_of(select(cpu{}, pool.inputs, request))) << name;
  }
}

TEST(Select, SaysHowNeighboursWereFound) {
  const pool_fixture pool(5, 700);
  for (const char* name : {"facility_location", "graph_cut", "typiclust", "margin/600/typiclust"}) {
    SCOPED_TRACE(name);
    auto request = ask(name, 12);
    const batch exact = select(cpu{}, pool.inputs, request);
    ASSERT_TRUE(exact.neighbours.has_value());
    EXPECT_EQ(exact.neighbours->method, knn_method::exact);
    for (const knn_method by : {knn_method::ivf, knn_method::hnsw}) {
      request.spec.neighbours = by;
      const batch near = select(cpu{1}, pool.inputs, request);
      ASSERT_TRUE(near.neighbours.has_value());
      EXPECT_EQ(near.neighbours->method, by);
      EXPECT_EQ(near.neighbours->sampled, 512);
      EXPECT_GT(near.neighbours->recall, 0.95);
      EXPECT_EQ(near.picks.size(), 12u);
      for (const int threads : {2, 5})
        EXPECT_EQ(rows_of(select(cpu{threads}, pool.inputs, request)), rows_of(near));
    }
  }
  for (const char* name : {"entropy", "kcenter", "probcover"}) {
    auto request = ask(name, 2);
    EXPECT_FALSE(select(cpu{}, pool.inputs, request).neighbours.has_value()) << name;
    request.spec.neighbours = knn_method::exact;
    EXPECT_EQ(select(cpu{}, pool.inputs, request).picks.size(), 2u) << name;
    request.spec.neighbours = knn_method::hnsw;
    EXPECT_EQ(refusal(pool.inputs, request),
              "select: strategy \"" + std::string(name) +
                  "\" makes no lists of neighbours, and was asked to make them by hnsw; leave that out "
                  "(query_spec::neighbours)");
  }
}

TEST(Select, ProbcoverHalvesTheRadiusOfDenseBalls) {
  pool_fixture pool(4, 1200);
  // One heap: half a percent of the rows far away keep 95 % of the balls pure at any radius of the heap.
  for (index_t i = 0; i < 6; ++i) pool.embeddings[std::size_t(i * features)] += 1000.0f;
  EXPECT_EQ(select(cpu{}, pool.inputs, ask("probcover", 2)).picks.size(), 2u);
}

TEST(Select, InvalidRowsAreRefusedByNameOrSkipped) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const float bad : {std::nanf(""), inf})
    for (const char* name : {"entropy", "badge", "margin/50/kcenter", "margin/50/graph_cut"}) {
      pool_fixture pool;
      pool.logits[20 * classes + 2] = bad;
      pool.logits[30 * classes] = bad;
      auto request = ask(name, 10);
      const std::string message = refusal(pool.inputs, request);
      EXPECT_NE(message.find("row 20 holds"), std::string::npos) << message;
      EXPECT_NE(message.find("column 2"), std::string::npos) << message;
      EXPECT_NE(message.find("2 of 500 rows"), std::string::npos) << message;
      request.spec.invalid = on_invalid::skip;
      request.spec.batch = 498;
      const batch b = select(cpu{}, pool.inputs, request);
      EXPECT_EQ(b.skipped_rows, 2);
      EXPECT_EQ(b.first_skipped, 20);
      const auto rows = rows_of(b);
      EXPECT_EQ(std::count(rows.begin(), rows.end(), 20), 0);
    }
}

TEST(Select, InvalidRowsThatAreLabelledDoNotMatter) {
  pool_fixture pool;
  pool.logits[20 * classes] = std::nanf("");
  const std::vector<index_t> labelled = {20};
  auto request = ask("entropy", 10);
  request.labelled = labelled;
  EXPECT_EQ(select(cpu{}, pool.inputs, request).skipped_rows, 0);
}

TEST(Select, InvalidEmbeddingsAndCommittees) {
  pool_fixture pool;
  pool.embeddings[7 * features] = std::nanf("");
  EXPECT_NE(refusal(pool.inputs, ask("kcenter", 5)).find("row 7 has an embedding that is not finite"),
            std::string::npos);
  EXPECT_EQ(refusal(pool.inputs, ask("entropy", 5)), "");
  pool_fixture other;
  other.committee[std::size_t((1 * pool_rows + 9) * classes)] = std::nanf("");
  const std::string message = refusal(other.inputs, ask("bald", 5));
  EXPECT_NE(message.find("row 9 holds"), std::string::npos) << message;
  EXPECT_NE(message.find("member 1"), std::string::npos) << message;
  // Whatever ranks, the diversity sees valid rows only.
  for (const char* name : {"batchbald", "margin/50/batchbald"}) {
    EXPECT_NE(refusal(other.inputs, ask(name, 5)).find("row 9 holds"), std::string::npos) << name;
    auto request = ask(name, 5);
    request.spec.invalid = on_invalid::skip;
    EXPECT_EQ(select(cpu{}, other.inputs, request).skipped_rows, 1) << name;
  }
  other.logits[8 * classes] = std::nanf("");
  EXPECT_NE(refusal(other.inputs, ask("bald/50/badge", 5)).find("row 8 holds"), std::string::npos);
}

TEST(Select, ProbabilitiesMustSumToOne) {
  pool_fixture pool;
  std::fill(pool.logits.begin(), pool.logits.end(), 0.2f);
  pool.inputs.model_kind = outputs::probabilities;
  EXPECT_EQ(refusal(pool.inputs, ask("entropy", 5)), "");
  pool.logits[4 * classes] = 0.9f;
  EXPECT_NE(refusal(pool.inputs, ask("entropy", 5)).find("row 4 sums to 1.7"), std::string::npos)
      << refusal(pool.inputs, ask("entropy", 5));
}

pool_inputs pool_of_outputs(const std::vector<float>& x, index_t cols, outputs kind) {
  pool_inputs pool;
  pool.rows = index_t(x.size()) / cols;
  pool.model = matrix_view<const float>{x.data(), pool.rows, cols};
  pool.model_kind = kind;
  return pool;
}
pool_inputs pool_of_committee(const std::vector<float>& x, index_t rows, index_t cols) {
  pool_inputs pool;
  pool.rows = rows;
  pool.committee =
      committee_outputs(cube_view<const float>{x.data(), index_t(x.size()) / (rows * cols), rows, cols});
  return pool;
}

TEST(Select, OneColumnOfOutputsIsRefusedWithTheTwoToGive) {
  const std::vector<float> z{-6, 5, 0.1f, -4};
  const auto of = [&](outputs kind) { return refusal(pool_of_outputs(z, 1, kind), ask("entropy", 1)); };
  EXPECT_NE(of(outputs::logits).find("give two, 0 and z"), std::string::npos);
  EXPECT_NE(of(outputs::probabilities).find("give two, 1 - p and p"), std::string::npos);
  EXPECT_NE(refusal(pool_of_committee(z, 2, 1), ask("bald", 1)).find("give two, 0 and z"), std::string::npos);
}

TEST(Select, ACommitteeAloneSpeaksByTheMeanOfItsProbabilities) {
  pool_fixture pool(1, 50);
  pool.committee[std::size_t(7 * classes)] = std::numeric_limits<float>::quiet_NaN();  // of member 0, row 7
  std::vector<long double> expected(std::size_t(50 * classes));
  for (index_t m = 0; m < members; ++m)
    for (index_t i = 0; i < 50; ++i) {
      const float* const z = &pool.committee[std::size_t((m * 50 + i) * classes)];
      long double sum = 0;
      for (index_t c = 0; c < classes; ++c) sum += std::exp((long double)z[c]);
      for (index_t c = 0; c < classes; ++c)
        expected[std::size_t(i * classes + c)] += std::exp((long double)z[c]) / sum / members;
    }
  const auto mean = mean_probabilities(cpu{1}, *pool.inputs.committee, outputs::logits);
  for (std::size_t i = 0; i < mean.size(); ++i)
    if (index_t(i) / classes == 7)
      EXPECT_TRUE(std::isnan(mean[i]));
    else
      EXPECT_NEAR(mean[i], double(expected[i]), 1e-6);  // members in fp32, some roundings each
  EXPECT_EQ(std::memcmp(mean.data(), mean_probabilities(cpu{3}, *pool.inputs.committee, outputs::logits).data(),
                        mean.size() * sizeof(float)),
            0);
  // Rows of one class alone, and of equal ones.
  const std::vector<float> p{0, 1, .5f, .5f, 1, 0, .5f, .5f};
  EXPECT_EQ(mean_probabilities(cpu{1}, cube_view<const float>{p.data(), 2, 2, 2}, outputs::probabilities),
            (std::vector<float>(4, .5f)));

  std::vector<float> keep;
  pool_inputs alone = pool.inputs;
  speak_for_model(cpu{}, alone, keep);
  EXPECT_TRUE(keep.empty());  // there is a model
  alone.model.reset();
  EXPECT_EQ(consensus_bytes(alone), mean.size() * sizeof(float));
  speak_for_model(cpu{}, alone, keep);
  EXPECT_EQ(alone.model_kind, outputs::probabilities);
  auto request = ask("entropy", 10), other = ask("consensus_entropy", 10);
  request.spec.invalid = other.spec.invalid = on_invalid::skip;
  EXPECT_EQ(rows_of(select(cpu{}, alone, request)), rows_of(select(cpu{}, alone, other)));
}

TEST(Select, AllButTheCandidatesAreExcluded) {
  std::vector<index_t> excluded = {2, 0};
  exclude_others(std::vector<index_t>{4, 2}, 6, excluded);
  EXPECT_EQ(excluded, (std::vector<index_t>{2, 0, 1, 3, 5}));
  for (const index_t row : {-1, 6})
    EXPECT_THROW(exclude_others(std::vector<index_t>{row}, 6, excluded), value_error);
}

// Baal's order is [rows, classes, members].
TEST(Select, CommitteesWithTheirAxesSwappedAreRefusedOrDoubted) {
  const std::vector<float> p{.1f, .2f, .3f, .2f, .9f, .8f, .7f, .8f, .5f, .5f, .5f, .5f, .5f, .5f, .5f, .5f};
  pool_inputs pool;
  pool.rows = 2;
  pool.committee = cube_view<const float>{p.data(), 2, 2, 4};
  pool.committee_kind = outputs::probabilities;
  EXPECT_NE(refusal(pool, ask("bald", 1)).find("sum to 1 over the second axis, not over the last"),
            std::string::npos);
  const pool_fixture many(1, 30);
  pool.committee = cube_view<const float>{many.logits.data(), 15, 2, 5};
  pool.committee_kind = outputs::logits;
  EXPECT_EQ(
      select(cpu{}, pool, ask("bald", 1)).remarks,
      std::vector<std::string>{"the committee is read as 15 members of 2 rows and 5 classes: if its axes are "
                               "others, give numpy.moveaxis(x, -1, 0) of [rows, classes, members], "
                               "x.swapaxes(0, 1) of [rows, members, classes]"});
  pool.committee = cube_view<const float>{many.logits.data(), 2, 2, 5};
  EXPECT_TRUE(select(cpu{}, pool, ask("bald", 1)).remarks.empty());
}

TEST(Select, ProbabilitiesGivenAsLogitsAreRefused) {
  const auto one_model = [](const std::vector<float>& x) {
    return refusal(pool_of_outputs(x, 2, outputs::logits), ask("margin", 1));
  };
  const auto two_members = [](const std::vector<float>& x) {
    return refusal(pool_of_committee(x, 2, 2), ask("bald", 1));
  };
  const char* const why = "are given as logits, but are probabilities";
  std::vector<float> p{0.25f, 0.75f, 0.5f, 0.5f, 0, 1, 0.125f, 0.875f};
  EXPECT_NE(one_model(p).find(why), std::string::npos);
  EXPECT_NE(two_members(p).find(why), std::string::npos);
  p[0] = 0.5f;  // a row that sums to something else says that these are logits
  EXPECT_EQ(one_model(p), "");
  EXPECT_EQ(two_members(p), "");
  p = {0, 1, 1, 0, 1, 0, 0, 1};  // so do rows that are all 0 or 1: a softmax leaves others
  EXPECT_EQ(one_model(p), "");
}

TEST_P(EveryStrategy, EmbeddingsOfAnyScaleArePickedAlike) {
  pool_fixture pool(1, 200);
  auto request = ask(GetParam(), 20);
  const std::vector<index_t> labelled = {3, 50};
  request.labelled = labelled;
  for (const char* measured : {"bait", "aada", "discriminative", "glister", "badge", "egl", "emcm", "eer",
                               "evr", "kl_div", "gradmatch", "gist", "maxdet", "dropquery"})
    if (GetParam().find(measured) != std::string::npos)
      GTEST_SKIP() << "its features have a bias beside them, or a parameter of its own is a distance";
  const batch expected = select(cpu{}, pool.inputs, request);
  const std::vector<float> as_given = pool.embeddings, beside = pool.queries;
  for (const float scale : {0x1p100f, 0x1p-110f}) {
    for (std::size_t i = 0; i < as_given.size(); ++i) pool.embeddings[i] = as_given[i] * scale;
    for (std::size_t i = 0; i < beside.size(); ++i) pool.queries[i] = beside[i] * scale;
    EXPECT_EQ(rows_of(select(cpu{}, pool.inputs, request)), rows_of(expected)) << scale;
  }
}

// Eight rows on a line.
struct line_pool {
  std::vector<float> x = std::vector<float>(16);
  pool_inputs inputs;

  explicit line_pool(float scale) {
    inputs.rows = 8;
    for (std::size_t i = 0; i < 8; ++i) x[2 * i] = scale * float(i);
    inputs.embeddings = matrix_view<const float>{x.data(), 8, 2};
  }
};

TEST(Select, DistancesBeyondFp32AreThoseOfScaledEmbeddings) {
  const std::vector<index_t> first = {0}, excluded = {5};
  auto request = ask("kcenter", 3);
  request.labelled = first;
  const line_pool plain(1), large(1e25f), small(1e-30f);
  for (const line_pool* pool : {&plain, &large, &small})
    EXPECT_EQ(rows_of(select(cpu{}, pool->inputs, request)), (std::vector<index_t>{7, 3, 5}));
  EXPECT_EQ(
      select(cpu{}, large.inputs, request).remarks,
      std::vector<std::string>{"the squared distance of embeddings up to 7e+25 leaves the range of fp32: "
                               "distances, and scores made of them, are of embeddings times 2^-85, which is "
                               "exact"});
  EXPECT_NE(select(cpu{}, small.inputs, request).remarks.at(0).find("7e-30 is too small for fp32"),
            std::string::npos);
  for (const float scale : {0.0f, 0x1p-50f, 1.0f, 0x1p59f})
    EXPECT_TRUE(select(cpu{}, line_pool(scale).inputs, request).remarks.empty()) << scale;

  // What is given in the unit of the embeddings goes with them.
  request.spec.apart = 2.5e25f;
  EXPECT_EQ(rows_of(select(cpu{}, large.inputs, request)), (std::vector<index_t>{7, 3}));
  const auto by = [&](const line_pool& pool, const char* strategy) {
    return rows_of(select(cpu{}, pool.inputs, ask(strategy, 4)));
  };
  EXPECT_EQ(by(line_pool(0x1p80f), "dpp(bandwidth=1208925819614629174706176)"), by(plain, "dpp(bandwidth=1)"));
  EXPECT_NE(by(plain, "dpp(bandwidth=1)"), by(plain, "dpp(bandwidth=100)"));

  // The copy is within the ceiling, or refused.
  const query asked = prepare(request.spec, large.inputs);
  const std::uint64_t needed = plan_memory(cpu{}, asked).bytes - process_bytes;
  EXPECT_NO_THROW(run(cpu{}, asked, {.ceiling = needed + 8 * 2 * 4}));
  EXPECT_NE(reference::message_of<value_error>([&] {
              run(cpu{}, asked, {.ceiling = needed + 8 * 2 * 4 - 1});
            }).find("a copy of them times 2^-85 takes 64 B"),
            std::string::npos);
}

// A row that is not to be picked has no say in how the others are measured.
TEST(Select, AnExcludedRowOfAnySizeChangesNothing) {
  for (const char* name : {"kcenter", "badge", "dpp", "typiclust", "margin/10x/kcenter", "margin/4x/badge"}) {
    SCOPED_TRACE(name);
    pool_fixture pool(1, 101);
    const std::vector<index_t> last = {100};
    auto request = ask(name, 10);
    request.excluded = last;
    const batch expected = select(cpu{}, pool.inputs, request);
    for (const float outlier : {1e25f, 3e38f, std::numeric_limits<float>::infinity()}) {
      std::fill_n(pool.embeddings.end() - features, features, outlier);
      const batch got = select(cpu{}, pool.inputs, request);
      EXPECT_TRUE(got.remarks.empty());
      EXPECT_EQ(got.skipped_rows, 0);
      EXPECT_EQ(rows_of(got), rows_of(expected));
    }
  }
}

TEST(Select, SmallFeaturesAreNothingBesideTheBiasOfBadge) {
  pool_fixture pool;
  std::fill(pool.embeddings.begin(), pool.embeddings.end(), 0.0f);
  const auto expected = rows_of(select(cpu{}, pool.inputs, ask("badge", 20)));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& value : pool.embeddings) value = 0x1p-100f * normal(random);
  EXPECT_EQ(rows_of(select(cpu{}, pool.inputs, ask("badge", 20))), expected);
}

// Logits 60 and more apart: the square of a gradient is below what fp32 holds.
TEST(Select, BadgeTellsGradientsOfCertainModelsApart) {
  pool_fixture pool(1, 100);
  for (std::size_t i = 0; i < pool.logits.size(); ++i)
    pool.logits[i] = i % classes == 0 ? 60.0f : pool.logits[i];
  const batch chosen = select(cpu{}, pool.inputs, ask("badge", 10));
  for (const pick& p : chosen.picks) EXPECT_GT(p.score, 0);
  EXPECT_NE(chosen.remarks.at(0).find("badge: the model is so certain"), std::string::npos);
}

// Ten models weighted .1 each in fp32: a probability of 1.0000001.
TEST(Select, SumsOfRoundedProbabilitiesAreRankedAndMultiplied) {
  std::vector<float> p(6, 0.0f), x{1, 0, 0, 0, 1, 0, 0, 0, 1};
  const float one[] = {1, 0, 0.6f, 0.4f, 0.8f, 0.2f};
  for (int m = 0; m < 10; ++m)
    for (std::size_t i = 0; i < 6; ++i) p[i] += 0.1f * one[i];
  ASSERT_GT(p[0], 1.0f);
  pool_inputs pool = pool_of_outputs(p, 2, outputs::probabilities);
  pool.embeddings = matrix_view<const float>{x.data(), 3, 3};
  for (const char* name : {"margin/3/dpp", "entropy/3/weighted_kcenter", "power(least_confidence)"}) {
    SCOPED_TRACE(name);
    auto rows = rows_of(select(cpu{}, pool, ask(name, 2)));
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(rows, (std::vector<index_t>{1, 2}));
  }
}

// Rows that no budget and no quota would buy are not kept in place of others.
TEST(Select, KeepsRowsThatCanBePicked) {
  const pool_fixture pool;
  std::vector<index_t> group(pool_rows, 1);
  std::vector<std::int64_t> cost(pool_rows, 1);
  for (const index_t row : rows_of(select(cpu{}, pool.inputs, ask("margin", 250)))) {
    group[std::size_t(row)] = 0;
    cost[std::size_t(row)] = 100;
  }
  std::vector<index_t> quota = {0, 400};
  for (const char* name : {"margin/10x/kcenter", "margin/50/badge", "margin/10x/facility_location"}) {
    SCOPED_TRACE(name);
    auto shared = ask(name, 5), priced = shared;
    shared.group = {group.data(), pool_rows};
    shared.spec.quota = quota;
    priced.cost = {cost.data(), pool_rows};
    priced.spec.budget = 99;
    for (const asked& request : {shared, priced}) {
      const batch chosen = select(cpu{}, pool.inputs, request);
      ASSERT_EQ(chosen.picks.size(), 5u);
      for (const pick& p : chosen.picks) {
        EXPECT_EQ(group[std::size_t(p.row)], 1);
        EXPECT_NE(p.reason.find("among the 50 rows of highest margin"), std::string::npos) << p.reason;
      }
    }
    const std::vector<index_t> none = {0, 0};
    shared.spec.quota = none;
    EXPECT_THROW(select(cpu{}, pool.inputs, shared), budget_error);
  }
}

TEST(Select, WrongUses) {
  const pool_fixture pool;
  pool_inputs nothing;
  EXPECT_NE(refusal(nothing, ask("random", 1)).find("the pool is empty"), std::string::npos);

  pool_inputs bare;
  bare.rows = 10;
  EXPECT_EQ(refusal(bare, ask("random", 3)), "");
  EXPECT_NE(refusal(bare, ask("entropy", 3)).find("needs model outputs"), std::string::npos);
  EXPECT_NE(refusal(bare, ask("bald", 3)).find("needs committee outputs"), std::string::npos);
  EXPECT_NE(refusal(bare, ask("batchbald", 3)).find("needs committee outputs"), std::string::npos);
  for (const char* name : {"kcenter", "dpp", "facility_location", "probcover", "graph_cut", "typiclust"})
    EXPECT_NE(refusal(bare, ask(name, 3)).find("needs embeddings"), std::string::npos);

  auto request = ask("entropy", 3);
  std::vector<index_t> rows = {500};
  request.labelled = rows;
  EXPECT_NE(refusal(pool.inputs, request).find("labelled row 500 is not in the pool"), std::string::npos);
  rows = {-1};
  EXPECT_NE(refusal(pool.inputs, request).find("labelled row -1"), std::string::npos);
  rows = {4, 4};
  request.labelled = rows;
  EXPECT_NE(refusal(pool.inputs, request).find("row 4 is given twice among the labelled rows"),
            std::string::npos);

  pool_inputs uneven = pool.inputs;
  uneven.embeddings->rows = 499;
  EXPECT_NE(refusal(uneven, ask("random", 3)).find("embeddings have 499 rows but the pool has 500"),
            std::string::npos);

  std::vector<std::int64_t> cost(pool_rows, 10);
  auto poor = ask("entropy", 3);
  poor.cost = {cost.data(), pool_rows};
  poor.spec.budget = 9;
  EXPECT_THROW(select(cpu{}, pool.inputs, poor), budget_error);
  if (built_with_cuda) {
    EXPECT_THROW(select(cuda{}, pool.inputs, ask("entropy", 3)), value_error);
  } else {
    EXPECT_THROW(select(offload{}, pool.inputs, ask("entropy", 3)), no_cuda_error);
  }
}

}  // namespace
}  // namespace poolwise
