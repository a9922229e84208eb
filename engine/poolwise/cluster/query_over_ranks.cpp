#include "poolwise/cluster/detail/query_over_ranks.hpp"

#include <cstddef>
#include <vector>

#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/detail/message.hpp"

namespace poolwise {

std::string not_made_over_ranks() { return " is not made over ranks yet; run the query in one process"; }

std::string refused_over_ranks(const query_spec& spec, const strategy& what) {
  const stage& first = what.first();
  const std::string named = "strategy \"" + what.name + "\"";
  if (!spec.batch) return "the ranks have to know how many rows to pick; give the size of the batch";
  if (spec.budget || !spec.budgets.empty()) return "a budget" + not_made_over_ranks();
  if (spec.apart) return "that picks lie apart" + not_made_over_ranks();
  if (spec.distance == metric::cosine) return "the cosine as a metric" + not_made_over_ranks();
  if (!spec.floor.empty() && what.score() == nullptr) return named + " under floors" + not_made_over_ranks();
  // What is not brought from rank to rank.
  for (const stage& s : what.stages) {
    const parts needed = s.needs();
    const bool later = &s != &first && needed.has(part::label_outputs);
    if (later || needed.has(part::label_sets))
      return named + ", which looks at " + names_of(needed) + " of other ranks," + not_made_over_ranks();
  }
  if (first.entry->scores()) {
    if (first.does(trait::compares_rows))
      return named + ", which compares each row with all others," + not_made_over_ranks();
    return {};
  }
  const std::string instead = ", or keep candidates first, as in margin/10x/" + first.text;
  if (first.entry->pick_over_ranks == nullptr)
    return named + ", which looks at all rows at once," + not_made_over_ranks() + instead;
  if (what.stages.size() > 1)
    return named + ", whose first stage picks among all rows for another," + not_made_over_ranks() + instead;
  return {};
}

std::string refused_over_ranks(const query_spec& spec) {
  const strategy what = parse_strategy(spec.strategy);
  if (what.phases.empty()) return refused_over_ranks(spec, what);
  for (const strategy& phase : what.phases)
    if (std::string why = refused_over_ranks(spec, phase); !why.empty()) return why;
  return {};
}

common_facts facts_of(const where& on, const pool_shard& shard, const query_spec& spec, const query_run& how) {
  const pool_inputs& pool = shard.pool;
  query_spec rest = spec;
  rest.strategy.clear();
  rest.seed = 0;
  rest.round = 0;
  rest.batch.reset();
  const auto if_rows = [&](std::string text) { return pool.rows == 0 ? std::string() : text; };
  const auto count_of = [](const auto& part, auto&& number) {
    return part ? std::to_string(number(*part)) : std::string("none");
  };
  hash shared;
  if (pool.queries)
    for (index_t i = 0; i < pool.queries->rows; ++i)
      shared.add(pool.queries->row(i), std::size_t(pool.queries->cols) * sizeof(float));
  if (pool.private_rows)
    for (index_t i = 0; i < pool.private_rows->rows; ++i)
      shared.add(pool.private_rows->row(i), std::size_t(pool.private_rows->cols) * sizeof(float));
  shared.add(pool.query_weights.data, std::size_t(pool.query_weights.size) * sizeof(float));
  std::string costs;
  for (const cost_column& one : pool.also_cost) costs += one.name + " ";
  return {
      {"strategy", spec.strategy},
      {"seed", std::to_string(spec.seed)},
      {"round", std::to_string(spec.round)},
      {"batch", spec.batch ? std::to_string(*spec.batch) : "none"},
      {"limits", to_json(rest)},
      {"device", std::holds_alternative<cpu>(on) ? "cpu" : "offload"},
      {"features", if_rows(count_of(pool.embeddings, [](const auto& x) { return x.cols; }))},
      {"classes", if_rows(count_of(pool.model, [](const auto& x) { return cols_of(x); }))},
      {"format of outputs", if_rows(count_of(pool.model, [](const auto& x) { return x.index(); }))},
      {"kind of outputs", if_rows(std::to_string(int(pool.model_kind)))},
      {"members", if_rows(count_of(pool.committee, [](const auto& x) { return x.members(); }))},
      {"classes of the committee", if_rows(count_of(pool.committee, [](const auto& x) { return x.cols(); }))},
      {"kind of the committee", if_rows(std::to_string(int(pool.committee_kind)))},
      {"members of predictions", if_rows(count_of(pool.predictions, [](const auto& x) { return x.members; }))},
      {"costs", if_rows(std::string(pool.cost.empty() ? "none " : "some ") + costs)},
      {"groups", if_rows(pool.group.empty() ? "none" : "some")},
      {"queries", std::to_string(shared.value())},
      {"checkpoint", how.checkpoint.empty() ? "none" : "some"},
  };
}

std::uint64_t fingerprint_of_ranks(const where& on, const ordered_shard& shard, const pool_inputs& pool,
                                   const query_spec& spec, parts needed, communicator& all) {
  std::vector<std::uint8_t> marks(std::size_t(pool.rows));
  for (const index_t row : pool.labelled) marks[std::size_t(row)] |= 1;
  for (const index_t row : pool.excluded) marks[std::size_t(row)] |= 2;
  std::uint64_t sum = 0;  // in any order
  for (index_t i = 0; i < pool.rows; ++i) {
    hash row;
    row.add_value(shard.number(i));
    row.add_value(marks[std::size_t(i)]);
    if (!pool.group.empty()) row.add_value(pool.group[i]);
    if (needed.has(part::embeddings))
      row.add(pool.embeddings->row(i), std::size_t(pool.embeddings->cols) * sizeof(float));
    if (needed.has(part::outputs))
      std::visit([&](auto x) { row.add(x.row(i), std::size_t(x.cols) * sizeof(*x.data)); }, *pool.model);
    sum += row.value();
  }
  message_writer out;
  out.add(sum);
  std::uint64_t of_all = 0;
  for (const auto& bytes : all.allgather(out.bytes())) of_all += message_reader(bytes).value<std::uint64_t>();
  hash h;
  const std::string text = to_json(spec);
  h.add(text.data(), text.size());
  h.add_value(std::holds_alternative<cpu>(on));
  h.add_value(of_all);
  return h.value();
}

}  // namespace poolwise
