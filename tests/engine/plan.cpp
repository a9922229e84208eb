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
