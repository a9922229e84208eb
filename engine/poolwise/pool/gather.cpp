#include "poolwise/pool/detail/gather.hpp"

#include <numeric>
#include <type_traits>

#include "poolwise/core/rows.hpp"

namespace poolwise {

real_matrix gathered_outputs::rows_of(cpu on, const real_matrix& x, std::span<const index_t> rows) {
  return std::visit(
      [&](auto m) -> real_matrix {
        auto& kept =
            values_.emplace<std::vector<std::remove_const_t<std::remove_pointer_t<decltype(m.data)>>>>();
        kept = gather(on, m, rows);
        return decltype(m){kept.data(), index_t(rows.size()), m.cols};
      },
      x);
}

real_cube gathered_outputs::rows_of(cpu on, const committee_outputs& x, std::span<const index_t> rows) {
  return std::visit(
      [&](auto first) -> real_cube {
        using value = std::remove_const_t<std::remove_pointer_t<decltype(first.data)>>;
        auto& kept = values_.emplace<std::vector<value>>();
        kept.reserve(std::size_t(x.members() * index_t(rows.size()) * x.cols()));
        for (index_t m = 0; m < x.members(); ++m)
          gather_into(on, std::get<decltype(first)>(x.member(m)), rows, kept);
        return cube_view<const value>{kept.data(), x.members(), index_t(rows.size()), first.cols};
      },
      x.member(0));
}

real_cube gathered_outputs::cube_of(cpu on, const committee_outputs& x) {
  if (x.cube()) return *x.cube();
  std::vector<index_t> all(std::size_t(x.rows()));
  std::iota(all.begin(), all.end(), index_t(0));
  return rows_of(on, x, all);
}

gathered_pool::gathered_pool(cpu on, const pool_inputs& pool, std::vector<index_t> rows, parts needed)
    : rows_(std::move(rows)) {
  const index_t count = index_t(rows_.size());
  view_.rows = count;
  view_.model_kind = pool.model_kind;
  view_.committee_kind = pool.committee_kind;
  view_.label_kind = pool.label_kind;
  view_.queries = pool.queries;
  view_.query_weights = pool.query_weights;
  view_.targets = pool.targets;
  view_.cost_matrix = pool.cost_matrix;
  view_.private_rows = pool.private_rows;
  if (needed.has(part::outputs)) view_.model = model_.rows_of(on, *pool.model, rows_);
  if (needed.has(part::label_outputs))
    view_.label_outputs = label_outputs_.rows_of(on, *pool.label_outputs, rows_);
  if (needed.has(part::committee)) view_.committee = committee_.rows_of(on, *pool.committee, rows_);
  if (needed.has(part::embeddings)) {
    embeddings_ = gather(on, *pool.embeddings, rows_);
    view_.embeddings = matrix_view<const float>{embeddings_.data(), count, pool.embeddings->cols};
  }
  if (needed.has(part::predictions)) {
    const auto& x = *pool.predictions;
    for (index_t m = 0; m < x.members; ++m) gather_into(on, x.member(m), rows_, predictions_);
    view_.predictions = cube_view<const float>{predictions_.data(), x.members, count, x.cols};
  }
  cost_ = gather(pool.cost, rows_);
  for (const cost_column& one : pool.also_cost) also_cost_.push_back(gather(one.cost, rows_));
  for (std::size_t c = 0; c < also_cost_.size(); ++c)
    view_.also_cost.push_back({pool.also_cost[c].name, {also_cost_[c].data(), count}});
  group_ = gather(pool.group, rows_);
  view_.cost = {cost_.data(), index_t(cost_.size())};
  view_.group = {group_.data(), index_t(group_.size())};
}

std::uint64_t row_bytes(const pool_inputs& pool, parts needed) {
  const auto of = [](const real_matrix& x) {
    return std::visit([](auto m) { return std::uint64_t(m.cols) * sizeof(*m.data); }, x);
  };
  std::uint64_t bytes = sizeof(index_t) * 3;  // its number, cost and group
  if (needed.has(part::outputs)) bytes += of(*pool.model);
  if (needed.has(part::label_outputs)) bytes += of(*pool.label_outputs);
  if (needed.has(part::committee))
    bytes += std::uint64_t(pool.committee->members()) * of(pool.committee->member(0));
  if (needed.has(part::embeddings)) bytes += std::uint64_t(pool.embeddings->cols) * sizeof(float);
  if (needed.has(part::predictions))
    bytes += std::uint64_t(pool.predictions->members * pool.predictions->cols) * sizeof(float);
  return bytes;
}

pool_inputs rows_between(const pool_inputs& pool, index_t begin, index_t end, parts needed) {
  const bool all = begin == 0 && end == pool.rows;
  pool_inputs some = pool;
  some.rows = end - begin;
  some.labelled = some.excluded = {};
  some.ids = nullptr;
  some.cost = rows_between(pool.cost, begin, end);
  for (cost_column& one : some.also_cost) one.cost = rows_between(one.cost, begin, end);
  some.group = rows_between(pool.group, begin, end);
  some.labels = rows_between(pool.labels, begin, end);
  if (some.label_sets) some.label_sets = rows_between(*pool.label_sets, begin, end);
  if (!needed.has(part::label_outputs)) some.label_outputs.reset();
  if (some.label_outputs) some.label_outputs = rows_between(*pool.label_outputs, begin, end);
  if (!needed.has(part::outputs)) some.model.reset();
  if (some.model) some.model = rows_between(*pool.model, begin, end);
  if (!needed.has(part::embeddings)) some.embeddings.reset();
  if (some.embeddings) some.embeddings = rows_between(*pool.embeddings, begin, end);
  if (!needed.has(part::committee)) some.committee.reset();
  if (some.committee && !all) {
    std::vector<real_matrix> members;
    for (index_t m = 0; m < pool.committee->members(); ++m)
      members.push_back(rows_between(pool.committee->member(m), begin, end));
    some.committee = committee_outputs(std::move(members));
  }
  if (!needed.has(part::predictions) || !all) some.predictions.reset();
  return some;
}

}  // namespace poolwise
