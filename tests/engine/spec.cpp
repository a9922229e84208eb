// One description of a query: as JSON, as it is refused, and what stages make of it.
#include "poolwise/query/spec.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/score_columns.hpp"
#include "poolwise/query/select.hpp"
#include "reference/asked.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"
#include "reference/sanitized.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::normals;

TEST(Spec, GoesToJsonAndBack) {
  query_spec spec{.strategy = "power(bald, beta=2)/10x/kcenter"};
  EXPECT_EQ(to_json(spec), R"({"strategy":"power(bald, beta=2)/10x/kcenter"})");
  EXPECT_EQ(spec_from_json(to_json(spec)), spec);
  spec = {.strategy = "margin \"x\"\n",
          .batch = std::numeric_limits<index_t>::max(),
          .budget = 0,
          .budgets = {{"hours", 7}, {"a \"b\"", 0}},
          .quota = {0, 3},
          .floor = {0, 2},
          .apart = 0.1f,
          .neighbours = knn_method::hnsw,
          .seed = std::numeric_limits<std::uint64_t>::max(),
          .round = std::numeric_limits<std::uint32_t>::max(),
          .invalid = on_invalid::skip};
  EXPECT_EQ(spec_from_json(to_json(spec)), spec);
}

TEST(Spec, RefusesJsonThatIsNone) {
  for (const char* text : {"", "[]", "{}", "{\"batch\": 3}", "{\"strategy\": \"a\"", "null"})
    expect_refused<format_error>([&] { spec_from_json(text); }, "is no JSON object with a \"strategy\"");
  for (const char* member :
       {"\"batch\": 1.5", "\"batch\": \"3\"", "\"batch\": 9223372036854775808", "\"budget\": null",
        "\"seed\": -1", "\"round\": 4294967296", "\"quota\": [1.5]", "\"quota\": 3", "\"floor\": [-0.5]",
        "\"floor\": 3", "\"budgets\": [1]", "\"budgets\": {\"hours\": 1.5}", "\"apart\": \"near\"",
        "\"on_nan\": \"keep\"", "\"neighbours\": 3", "\"colour\": 1"}) {
    SCOPED_TRACE(member);
    expect_refused<format_error>(
        [&] { spec_from_json("{\"strategy\": \"margin\", " + std::string(member) + "}"); },
        std::string(member).substr(0, std::string(member).find(':')).c_str());
  }
  EXPECT_THROW(spec_from_json(R"({"strategy": "margin", "neighbours": "lsh"})"), value_error);
}

TEST(Spec, IsRefusedInTheWordsOfTheCaller) {
  pool_inputs pool;
  pool.rows = 4;
  const std::vector<std::int64_t> cost = {1, 2, 3, 4};
  const std::vector<index_t> group = {0, 0, 1, 1};
  const wording words{.call = "ask",
                      .cost = "the price",
                      .group = "the kind",
                      .quota = "the share",
                      .batch = "how many",
                      .budget = "the money"};
  const auto refused = [&](const query_spec& spec, const char* text) {
    expect_refused<usage_error>([&] { prepare(spec, pool, words); }, text);
  };
  refused({.strategy = "random"}, "ask: neither how many nor the money is given; say how much to pick");
  refused({.strategy = "random", .budget = 3}, "ask: the money is in the unit of the price; give the price");
  refused({.strategy = "random", .batch = 1, .quota = {1, 1}}, "ask: the kind and the share go together");
  pool.group = {group.data(), 4};
  refused({.strategy = "random", .batch = 1}, "ask: the kind and the share go together");
  pool.cost = {cost.data(), 4};
  const query asked = prepare({.strategy = "random", .budget = 3, .quota = {1, 2}}, pool, words);
  EXPECT_EQ(asked.limit().picks, 1);  // row 0 and then, of the other kind, row 2 would be too dear
  EXPECT_EQ(asked.limit().budget, 3);
  EXPECT_TRUE(asked.limit().priced());
}

TEST(Spec, DemandsThatContradictEachOtherAreRefusedInTheWordsOfTheCaller) {
  pool_inputs pool;
  pool.rows = 5;
  const std::vector<std::int64_t> cost = {1, 2, 3, 4, 5}, hours = {9, 9, 9, 1, 1};
  const std::vector<index_t> group = {0, 0, 0, 1, 1}, labelled = {4};
  const std::vector<std::string> names = {"day", "night"};
  pool.group = {group.data(), 5};
  pool.group_names = names;
  pool.cost = {cost.data(), 5};
  pool.also_cost = {{"hours", {hours.data(), 5}}};
  const wording words{.call = "ask",
                      .quota = "the share",
                      .floor = "the least",
                      .batch = "how many",
                      .budget = "the money",
                      .budgets = "further money"};
  const auto refused = [&](const query_spec& spec, const char* text) {
    expect_refused<budget_error>([&] { prepare(spec, pool, words); }, text);
  };
  refused(
      {.strategy = "random", .batch = 2, .floor = {2, 1}},
      "ask: the least of group day and group night (3 picks together) and how many (2) contradict each other");
  refused({.strategy = "random", .batch = 9, .quota = {1, 9}, .floor = {2, 1}},
          "the least of group day (2 picks) and the share of group day (1) contradict each other");
  refused({.strategy = "random", .budget = 2, .floor = {2, 0}},
          "the least of group day (2 picks, which cost 3 at least) and the money (2) contradict each other");
  refused({.strategy = "random", .budgets = {{"hours", 17}}, .floor = {2, 0}},
          "(2 picks, which cost 18 at least) and the money of hours (17) contradict each other");
  pool.labelled = labelled;
  refused({.strategy = "random", .batch = 4, .floor = {0, 2}},
          "the least of group night (2 picks) is more than the 1 rows that can be picked of it; ask for fewer");
  expect_refused<usage_error>(
      [&] {
        prepare({.strategy = "random", .budgets = {{"days", 17}}}, pool, words);
      },
      "ask: further money has one of \"days\", of which there is not one cost of rows; give one by that name");
  pool.group = {};
  expect_refused<usage_error>([&] { prepare({.strategy = "random", .batch = 1, .floor = {1}}, pool, words); },
                              "go together");
  const query asked = prepare({.strategy = "random", .budgets = {{"hours", 11}}}, pool, words);
  EXPECT_EQ(asked.limit().picks, 2);
  EXPECT_EQ(asked.limits(), "further money");
  EXPECT_TRUE(prepare({.strategy = "random", .budgets = {{"hours", 28}}}, pool, words).limit().also.empty());
}

// A query holds what it views of itself wherever it is moved.
TEST(Spec, RefusesIdsOfAnotherNumberOfRows) {
  const row_ids ids({"a", "b", "c"});
  pool_inputs pool;
  pool.rows = 4;
  pool.ids = &ids;
  query_spec spec;
  spec.strategy = "random";
  spec.batch = 1;
  expect_refused<shape_error>([&] { prepare(spec, pool); }, "ids have 3 rows but the pool has 4");
  pool.rows = 3;
  prepare(spec, pool);
}

TEST(Spec, AQueryMayBeMoved) {
  pool_inputs pool;
  pool.rows = 9;
  const std::vector<index_t> labelled = {3}, group(9, 0);
  pool.labelled = labelled;
  pool.group = {group.data(), 9};
  query first = prepare({.strategy = "random", .batch = 5, .quota = {5}}, pool);
  const query second = std::move(first);
  const batch chosen = run(cpu{}, second);
  EXPECT_EQ(chosen.picks.size(), 5u);
  for (const pick& p : chosen.picks) EXPECT_NE(p.row, 3);
}

// ---- Stages

constexpr index_t rows = 400, classes = 5, features = 6, members = 3;

struct arrays {
  std::vector<float> logits = normals(rows * classes, 1), committee = normals(members * rows * classes, 2),
                     embeddings = normals(rows * features, 3);
  pool_inputs pool;

  arrays() {
    pool.rows = rows;
    pool.model = matrix_view<const float>{logits.data(), rows, classes};
    pool.committee = cube_view<const float>{committee.data(), members, rows, classes};
    pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
  }
};

std::vector<index_t> picked(const pool_inputs& pool, const std::string& strategy, index_t batch_size) {
  std::vector<index_t> list;
  for (const pick& p : select(cpu{}, pool, query_spec{.strategy = strategy, .batch = batch_size}).picks)
    list.push_back(p.row);
  return list;
}

TEST(Stages, EachSeesWhatTheOneBeforeKept) {
  const arrays of;
  auto half = picked(of.pool, "margin", rows / 2);
  const auto by_bald = picked(of.pool, "bald", rows);
  std::vector<index_t> expected;
  for (const index_t row : by_bald)
    if (std::count(half.begin(), half.end(), row) == 1 && expected.size() < 7) expected.push_back(row);
  EXPECT_EQ(picked(of.pool, "margin/50%/bald", 7), expected);
  EXPECT_EQ(picked(of.pool, "margin/200/bald", 7), expected);
  // Keeping as many as are picked leaves the next stage their order alone.
  auto four = picked(of.pool, "margin/50%/bald/4/kcenter", 4);
  expected.resize(4);
  std::sort(four.begin(), four.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(four, expected);
  // A stage of diversity thins out for the next.
  const auto typical = picked(of.pool, "typiclust", 60);
  for (const index_t row : picked(of.pool, "typiclust/60/entropy", 9))
    EXPECT_EQ(std::count(typical.begin(), typical.end(), row), 1);
}

TEST(Stages, ReasonsNameThemFromTheLastToTheFirst) {
  const arrays of;
  const batch chosen = select(
      cpu{}, of.pool, {.strategy = "margin/50%/typiclust/40/random/30/power(bald)/20/kcenter", .batch = 3});
  EXPECT_EQ(
      chosen.picks[0].reason,
      "farthest from labelled and picked rows among 20 rows drawn by power(bald) among 30 rows drawn at random "
      "among 40 rows picked by typiclust among the 200 rows of highest margin");
}

TEST(Stages, MembersThatLieApartGiveTheSameBits) {
  arrays of;
  pool_inputs apart = of.pool;
  std::vector<real_matrix> list;
  for (index_t m = 0; m < members; ++m) list.push_back(of.pool.committee->member(m));
  apart.committee = committee_outputs(list);
  for (const strategy_entry& entry : strategies()) {
    if (!entry.needs.has(part::committee) || entry.needs.has(part::targets)) continue;
    for (const std::string& name :
         {entry.example(), entry.example() + "/90/kcenter", "margin/90/" + entry.example()}) {
      SCOPED_TRACE(name);
      const batch whole = select(cpu{}, of.pool, {.strategy = name, .batch = 11});
      for (const int threads : {1, 3}) {
        const batch members_alone = select(cpu{threads}, apart, query_spec{.strategy = name, .batch = 11});
        ASSERT_EQ(members_alone.picks.size(), whole.picks.size());
        for (std::size_t i = 0; i < whole.picks.size(); ++i) {
          EXPECT_EQ(members_alone.picks[i].row, whole.picks[i].row);
          EXPECT_EQ(members_alone.picks[i].score, whole.picks[i].score);
        }
      }
    }
  }
  of.committee[std::size_t((1 * rows + 9) * classes)] = std::nanf("");
  expect_refused<value_error>([&] { select(cpu{}, apart, query_spec{.strategy = "bald", .batch = 3}); },
                              "for member 1; 1 of 400 rows are like that");
  list.push_back(matrix_view<const float>{of.logits.data(), rows - 1, classes});
  expect_refused<shape_error>([&] { committee_outputs{list}; }, "member 3 has [399, 5]");
  EXPECT_THROW(committee_outputs(std::vector<real_matrix>()), shape_error);
}

// Drawn k at a time without replacement, the first pick is row i with probability score_i^beta / sum.
TEST(Stages, PowerDrawsInProportionToThePowerOfTheScore) {
  std::vector<float> probabilities;
  for (const float p : {0.5f, 0.6f, 0.7f, 0.8f, 0.9f, 1.0f})
    probabilities.insert(probabilities.end(), {p, 1 - p});
  pool_inputs pool;
  pool.rows = 6;
  pool.model = matrix_view<const float>{probabilities.data(), 6, 2};
  pool.model_kind = outputs::probabilities;
  for (const double beta : {0.5, 1.0, 3.0}) {
    SCOPED_TRACE(beta);
    const std::string strategy = "power(least_confidence, beta=" + std::to_string(beta) + ")";
    constexpr int draws = test::sanitized ? 2'000 : 20'000;
    std::map<index_t, int> counts;
    for (std::uint64_t seed = 0; seed < draws; ++seed)
      ++counts[select(cpu{1}, pool, {.strategy = strategy, .batch = 1, .seed = seed}).picks[0].row];
    double total = 0, chi2 = 0;
    for (const double score : {0.5, 0.4, 0.3, 0.2, 0.1}) total += std::pow(score, beta);
    for (index_t i = 0; i < 5; ++i) {
      const double expected = draws * std::pow(0.5 - 0.1 * double(i), beta) / total;
      chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    EXPECT_EQ(counts[5], 0);  // a score of 0 comes last
    EXPECT_LT(chi2, 23.5);    // of 4 degrees of freedom: P(> 23.5) = 1e-4
  }
  pool.model_kind = outputs::logits;
  const std::vector<float> large(12, 3.0f);  // their energy is below 0
  pool.model = matrix_view<const float>{large.data(), 6, 2};
  expect_refused<value_error>([&] { select(cpu{}, pool, query_spec{.strategy = "power(energy)", .batch = 1}); },
                              "never negative");
}

TEST(Stages, VarianceIsThatOfThePredictions) {
  const std::vector<float> predictions = normals(members * rows * 2, 7);
  pool_inputs pool;
  pool.rows = rows;
  pool.predictions = cube_view<const float>{predictions.data(), members, rows, 2};
  std::vector<float> variance(rows);
  predictive_variance(cpu{}, *pool.predictions, {variance.data(), rows});
  const auto most = std::max_element(variance.begin(), variance.end());
  const batch chosen = select(cpu{}, pool, {.strategy = "variance", .batch = 5});
  EXPECT_EQ(chosen.picks[0].row, most - variance.begin());
  EXPECT_EQ(chosen.picks[0].score, *most);
}

TEST(ScoreColumns, AreThoseOfTheScoresAlone) {
  const arrays of;
  std::vector<strategy> which;
  for (const char* name : {"entropy", "margin", "bald", "mean_std", "power(margin)", "energy"})
    which.push_back(parse_strategy(name));
  std::vector<float> all(rows * 6), one(rows);
  score_columns(cpu{}, of.pool, which, {all.data(), rows, 6});
  for (std::size_t c = 0; c < which.size(); ++c) {
    score_columns(cpu{1}, of.pool, {&which[c], 1}, {one.data(), rows, 1});
    for (index_t i = 0; i < rows; ++i) ASSERT_EQ(all[std::size_t(i) * 6 + c], one[std::size_t(i)]) << c;
  }
}

TEST(ScoreColumns, DrawByTheSeedAsSelectDoes) {
  const arrays of;
  const strategy power = parse_strategy("power(margin)");
  std::vector<float> drawn(rows), other(rows);
  score_columns(cpu{}, of.pool, {&power, 1}, {drawn.data(), rows, 1}, 7);
  score_columns(cpu{}, of.pool, {&power, 1}, {other.data(), rows, 1}, 8);
  EXPECT_NE(drawn, other);
  for (const pick& p : select(cpu{}, of.pool, query_spec{.strategy = power.name, .batch = 20, .seed = 7}).picks)
    EXPECT_EQ(p.score, drawn[std::size_t(p.row)]);
}

}  // namespace
}  // namespace poolwise
