// A query as tests put it together: the spec beside what it says of the rows.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/query/checkpoint.hpp"
#include "poolwise/query/plan.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise {

struct asked {
  query_spec spec;
  std::span<const index_t> labelled = {}, excluded = {};
  vector_view<const std::int64_t> cost = {};
  std::vector<cost_column> also_cost = {};
  vector_view<const index_t> group = {};
  wording words = {};
};

inline asked ask(const std::string& strategy_name, index_t picks) {
  asked request;
  request.spec.strategy = strategy_name;
  request.spec.batch = picks;
  return request;
}

inline std::vector<index_t> rows_of(const batch& b) {
  std::vector<index_t> rows;
  for (const pick& p : b.picks) rows.push_back(p.row);
  return rows;
}

inline query prepared(pool_inputs pool, const asked& a) {
  pool.labelled = a.labelled;
  pool.excluded = a.excluded;
  pool.cost = a.cost;
  pool.also_cost = a.also_cost;
  pool.group = a.group;
  return prepare(a.spec, pool, a.words);
}

inline batch select(const where& on, const pool_inputs& pool, const asked& a) {
  return run(on, prepared(pool, a));
}
inline query_plan plan(const where& on, const pool_inputs& pool, const asked& a) {
  return plan(on, prepared(pool, a));
}
inline query_plan plan_memory(const where& on, const pool_inputs& pool, const asked& a) {
  return plan_memory(on, prepared(pool, a));
}

}  // namespace poolwise
