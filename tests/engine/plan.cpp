// Plans, for every strategy there is.
#include "poolwise/query/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"

#include "reference/batches.hpp"

namespace poolwise {
namespace {

using reference::normals;

// More rows than the first probe takes, so that a part of every input is probed.
constexpr index_t rows = 5000, classes = 4, features = 3, members = 2, picks = 5;

TEST(Plan, EveryStrategyAloneAndAmongCandidates) {
  const auto logits = normals(rows * classes, 1), committee = normals(members * rows * classes, 2),
             embeddings = normals(rows * features, 3);
  const std::vector<index_t> labelled = {3, 4999};
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, classes};
  pool.committee = cube_view<const float>{committee.data(), members, rows, classes};
  pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
  std::vector<std::string> names;
  for (const strategy_entry& entry : strategy_entries()) {
    names.emplace_back(entry.name);
    if (entry.diversify) {
      names.push_back("margin/10x/" + std::string(entry.name));
      names.push_back("bald/100/" + std::string(entry.name));
    }
  }
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    selection_request request;
    request.what = parse_strategy(name);
    request.labelled = labelled;
    request.limit.picks = picks;
    const query_plan planned = plan(cpu{}, pool, request);
    EXPECT_GT(planned.bytes, 0u);
    EXPECT_GT(planned.seconds, 0);
    EXPECT_GE(planned.sweeps, 1);
    const query_plan memory = plan_memory(cpu{}, pool, request);
    EXPECT_EQ(memory.bytes, planned.bytes);
    EXPECT_EQ(select(cpu{}, pool, request).picks.size(), std::size_t(picks));
  }
}

TEST(Plan, OfNeighboursByEveryMethod) {
  const auto embeddings = normals(rows * features, 3);
  pool_inputs pool;
  pool.rows = rows;
  pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
  selection_request request;
  request.what = parse_strategy("facility_location");
  request.limit.picks = picks;
  const std::uint64_t exact = plan_memory(cpu{}, pool, request).bytes;
  for (const knn_method by : {knn_method::ivf, knn_method::hnsw}) {
    request.neighbours = by;
    const query_plan planned = plan(cpu{}, pool, request);
    EXPECT_GT(planned.bytes, exact + rows * features * 4);
    EXPECT_GT(planned.seconds, 0);
  }
  // A pool of whose rows nothing is read: beyond what exact lists are made for, memory grows with rows.
  pool.rows = 10'000'000;
  pool.embeddings->rows = pool.rows;
  request.neighbours = knn_method::exact;
  const std::uint64_t lists = plan_memory(cpu{}, pool, request).bytes;
  request.neighbours = knn_method::automatic;
  EXPECT_GT(plan_memory(cpu{}, pool, request).bytes, lists + std::uint64_t(pool.rows) * features * 4);
}

// What select runs, plan plans: it probes the first rows, which may be those that cannot be picked.
TEST(Plan, OfAPoolWhoseFirstRowsCannotBePicked) {
  constexpr index_t first = 4900;
  auto logits = normals(rows * classes, 1);
  const auto embeddings = normals(rows * features, 3);
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, classes};
  pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
  std::vector<index_t> labelled, group(rows, 1);
  std::fill_n(group.begin(), first, 0);
  std::vector<std::int64_t> cost(rows, 1);
  std::fill_n(cost.begin(), first, 100);
  for (index_t i = 0; i < first; ++i) labelled.push_back(i);
  const std::vector<index_t> quota = {0, picks};
  for (const char* name : {"margin", "badge"}) {
    SCOPED_TRACE(name);
    selection_request request;
    request.what = parse_strategy(name);
    request.limit.picks = picks;
    selection_request grouped = request, priced = request, known = request;
    grouped.limit.group = {group.data(), rows};
    grouped.limit.quota = {quota.data(), 2};
    priced.limit.cost = {cost.data(), rows};
    priced.limit.budget = picks;
    for (const selection_request& r : {grouped, priced}) {
      EXPECT_EQ(select(cpu{}, pool, r).picks.size(), std::size_t(picks));
      EXPECT_GT(plan(cpu{}, pool, r).seconds, 0);
    }
    // No model was asked about rows that have a label.
    known.labelled = labelled;
    const float kept = logits[0];
    std::fill_n(logits.begin(), first * classes, std::nanf(""));
    EXPECT_EQ(select(cpu{}, pool, known).picks.size(), std::size_t(picks));
    EXPECT_GT(plan(cpu{}, pool, known).seconds, 0);
    std::fill_n(logits.begin(), first * classes, kept);
  }
}

// The first window of rows that is probed holds none that can be judged, or hardly any.
TEST(Plan, OfAPoolWhoseFirstRowsAreInvalid) {
  const auto embeddings = normals(rows * features, 3);
  for (const index_t invalid : {index_t{4000}, index_t{4095}, index_t{4096}, rows - 2}) {
    auto logits = normals(rows * classes, 1), committee = normals(members * rows * classes, 2);
    std::fill_n(logits.begin(), invalid * classes, std::nanf(""));
    for (index_t m = 0; m < members; ++m)
      std::fill_n(committee.begin() + m * rows * classes, invalid * classes, std::nanf(""));
    pool_inputs pool;
    pool.rows = rows;
    pool.model = matrix_view<const float>{logits.data(), rows, classes};
    pool.committee = cube_view<const float>{committee.data(), members, rows, classes};
    pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    for (const char* name : {"margin", "badge", "bald", "margin/10x/kcenter", "batchbald"}) {
      SCOPED_TRACE(name + std::string(" of ") + std::to_string(invalid));
      selection_request request;
      request.what = parse_strategy(name);
      request.limit.picks = 2;
      request.invalid = on_invalid::skip;
      EXPECT_GT(plan(cpu{}, pool, request).seconds, 0);
      EXPECT_EQ(select(cpu{}, pool, request).picks.size(), 2u);
    }
  }
}

TEST(Plan, OfAPoolWithoutAValidRowSaysWhatSelectSays) {
  const std::vector<float> logits(rows * classes, std::nanf(""));
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, classes};
  selection_request request;
  request.what = parse_strategy("margin");
  request.limit.picks = 2;
  EXPECT_THROW(plan(cpu{}, pool, request), value_error);
  request.invalid = on_invalid::skip;
  EXPECT_THROW(plan(cpu{}, pool, request), value_error);
  request.limit.budget = 5;
  EXPECT_THROW(plan(cpu{}, pool, request), budget_error);
}

TEST(Plan, RefusesWhatSelectRefusesBeforeItReadsTheData) {
  const auto logits = normals(rows * classes, 1);
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, classes};
  const auto refused = [&](const selection_request& request) {
    std::string said[3];
    try {
      select(cpu{}, pool, request);
    } catch (const value_error& problem) {
      said[0] = problem.what();
    }
    try {
      plan(cpu{}, pool, request);
    } catch (const value_error& problem) {
      said[1] = problem.what();
    }
    try {
      plan_memory(cpu{}, pool, request);
    } catch (const value_error& problem) {
      said[2] = problem.what();
    }
    EXPECT_NE(said[0], "");
    EXPECT_EQ(said[1], said[0]);
    EXPECT_EQ(said[2], said[0]);
  };
  selection_request request;
  request.what = parse_strategy("margin");
  request.limit.picks = rows + 1;
  refused(request);
  request.limit.picks = rows;
  const std::vector<index_t> one = {7}, outside = {rows}, twice = {7, 7};
  for (const auto& list : {one, outside, twice}) {
    request.labelled = list;
    refused(request);
  }
  request.labelled = {};
  for (const char* name : {"kcenter", "badge", "bald", "batchbald"}) {
    request.what = parse_strategy(name);
    refused(request);
  }
  pool.model_kind = outputs::probabilities;
  request.what = parse_strategy("energy");
  refused(request);
}

TEST(Plan, RefusesLimitsThatSelectRefuses) {
  const auto logits = normals(rows * classes, 1);
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, classes};
  selection_request request;
  request.what = parse_strategy("margin");
  request.limit.picks = picks;
  std::vector<index_t> group(rows, 0), quota = {1, -1};
  request.limit.group = {group.data(), rows};
  request.limit.quota = {quota.data(), 2};
  EXPECT_THROW(plan(cpu{}, pool, request), value_error);
  quota[1] = 1;
  group.back() = 2;  // beyond the first rows
  EXPECT_THROW(plan(cpu{}, pool, request), value_error);
}

}  // namespace
}  // namespace poolwise
