// Plans, for every strategy there is.
#include "poolwise/query/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/asked.hpp"

#include "reference/batches.hpp"

namespace poolwise {
namespace {

using reference::normals;

// More rows than the first probe takes, so that a part of every input is probed.
constexpr index_t rows = 5000, classes = 4, features = 3, members = 2, picks = 5;

TEST(Plan, EveryStrategyAloneAndAmongCandidates) {
  const auto logits = normals(rows * classes, 1), committee = normals(members * rows * classes, 2),
             embeddings = normals(rows * features, 3), predictions = normals(members * rows, 4);
  const std::vector<index_t> labelled = {3, 4999};
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, classes};
  pool.committee = cube_view<const float>{committee.data(), members, rows, classes};
  pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
  pool.predictions = cube_view<const float>{predictions.data(), members, rows, 1};
  pool.queries = matrix_view<const float>{embeddings.data(), 3, features};
  pool.targets = cube_view<const float>{committee.data(), members, 7, classes};
  const std::vector<float> labels(rows, 1), costs(classes * classes, 1);
  pool.labels = {labels.data(), rows};
  pool.cost_matrix = matrix_view<const float>{costs.data(), classes, classes};
  const std::vector<float> sets(rows * classes, 1);
  pool.label_outputs = pool.model;
  pool.label_sets = matrix_view<const float>{sets.data(), rows, classes};
  pool.private_rows = matrix_view<const float>{embeddings.data() + 3 * features, 2, features};
  std::vector<std::string> names;
  for (const strategy_entry& entry : strategies()) {
    names.push_back(entry.example());
    names.push_back("margin/10x/" + entry.example());
    names.push_back("bald/100/" + entry.example());
  }
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    asked request;
    request.spec.strategy = name;
    request.labelled = labelled;
    request.spec.batch = picks;
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
  asked request;
  request.spec.strategy = "facility_location";
  request.spec.batch = picks;
  const std::uint64_t exact = plan_memory(cpu{}, pool, request).bytes;
  for (const knn_method by : {knn_method::ivf, knn_method::hnsw}) {
    request.spec.neighbours = by;
    const query_plan planned = plan(cpu{}, pool, request);
    EXPECT_GT(planned.bytes, exact + rows * features * 4);
    EXPECT_GT(planned.seconds, 0);
  }
  // A pool of whose rows nothing is read: beyond what exact lists are made for, memory grows with rows.
  pool.rows = 10'000'000;
  pool.embeddings->rows = pool.rows;
  request.spec.neighbours = knn_method::exact;
  const std::uint64_t lists = plan_memory(cpu{}, pool, request).bytes;
  request.spec.neighbours = knn_method::automatic;
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
    asked request;
    request.spec.strategy = name;
    request.spec.batch = picks;
    asked grouped = request, priced = request, known = request;
    grouped.group = {group.data(), rows};
    grouped.spec.quota = quota;
    priced.cost = {cost.data(), rows};
    priced.spec.budget = picks;
    for (const asked& r : {grouped, priced}) {
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
      asked request;
      request.spec.strategy = name;
      request.spec.batch = 2;
      request.spec.invalid = on_invalid::skip;
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
  asked request;
  request.spec.strategy = "margin";
  request.spec.batch = 2;
  EXPECT_THROW(plan(cpu{}, pool, request), value_error);
  request.spec.invalid = on_invalid::skip;
  EXPECT_THROW(plan(cpu{}, pool, request), budget_error);
  request.spec.invalid = on_invalid::refuse;
  request.spec.budget = 5;
  const std::vector<std::int64_t> cost(rows, 6);
  request.cost = {cost.data(), rows};
  EXPECT_THROW(plan(cpu{}, pool, request), budget_error);
}

TEST(Plan, RefusesWhatSelectRefusesBeforeItReadsTheData) {
  const auto logits = normals(rows * classes, 1);
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, classes};
  const auto refused = [&](const asked& request) {
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
  asked request;
  request.spec.strategy = "margin";
  request.spec.batch = rows;
  const std::vector<index_t> outside = {rows}, twice = {7, 7};
  for (const auto& list : {outside, twice}) {
    request.labelled = list;
    refused(request);
  }
  request.labelled = {};
  for (const char* name : {"kcenter", "badge", "bald", "batchbald"}) {
    request.spec.strategy = name;
    refused(request);
  }
  pool.model_kind = outputs::probabilities;
  request.spec.strategy = "energy";
  refused(request);
}

TEST(Plan, OfNoPicksWithinABudget) {
  const auto logits = normals(rows * classes, 1);
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, classes};
  const std::vector<std::int64_t> cost(rows, 2);
  asked request = ask("margin", 0);
  request.cost = {cost.data(), rows};
  request.spec.budget = 5;
  EXPECT_GT(plan(cpu{}, pool, request).seconds, 0);
}

TEST(Plan, RefusesLimitsThatSelectRefuses) {
  const auto logits = normals(rows * classes, 1);
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, classes};
  asked request;
  request.spec.strategy = "margin";
  request.spec.batch = picks;
  std::vector<index_t> group(rows, 0), quota = {1, -1};
  request.group = {group.data(), rows};
  request.spec.quota = quota;
  EXPECT_THROW(plan(cpu{}, pool, request), value_error);
  request.spec.quota[1] = 1;
  group.back() = 2;  // beyond the first rows
  EXPECT_THROW(plan(cpu{}, pool, request), value_error);
}

}  // namespace
}  // namespace poolwise
