// Plans, for every strategy there is.
#include "poolwise/query/plan.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace poolwise {
namespace {

// More rows than the first probe takes, so that a part of every input is probed.
constexpr index_t rows = 5000, classes = 4, features = 3, members = 2, picks = 5;

std::vector<float> normals(index_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(random);
  return values;
}

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

}  // namespace
}  // namespace poolwise
