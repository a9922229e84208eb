#include "poolwise/cluster/detail/brought_rows.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "poolwise/core/detail/message.hpp"

namespace poolwise {
namespace {

void add_row(message_writer& out, const real_matrix& x, index_t row) {
  std::visit([&](auto m) { out.add_row(m.row(row), std::size_t(m.cols)); }, x);
}

}  // namespace

/// How the rows of a rank are laid out in its bytes. All that have rows have the same.
struct brought_rows::shape {
  index_t features = 0, classes = 0, members = 0, member_classes = 0, predictors = 0, predicted = 0,
          also_cost = 0;
  std::size_t format = 0, member_format = 0;
  outputs kind = outputs::logits, member_kind = outputs::logits;
  bool costs = false, groups = false;

  static shape of(const pool_inputs& pool) {
    shape s;
    if (pool.embeddings) s.features = pool.embeddings->cols;
    if (pool.model) s.classes = cols_of(*pool.model), s.format = pool.model->index();
    if (pool.committee) {
      s.members = pool.committee->members();
      s.member_classes = pool.committee->cols();
      s.member_format = pool.committee->member(0).index();
    }
    if (pool.predictions) s.predictors = pool.predictions->members, s.predicted = pool.predictions->cols;
    s.also_cost = index_t(pool.also_cost.size());
    s.kind = pool.model_kind;
    s.member_kind = pool.committee_kind;
    s.costs = !pool.cost.empty();
    s.groups = !pool.group.empty();
    return s;
  }
};

real_matrix brought_rows::raw_rows::view(index_t rows) const {
  const auto as = [&]<class T>(const T* values) { return matrix_view<const T>{values, rows, cols_}; };
  if (format_ == 0) return as(reinterpret_cast<const float*>(values_.data()));
  if (format_ == 1) return as(reinterpret_cast<const float16*>(values_.data()));
  return as(reinterpret_cast<const bfloat16*>(values_.data()));
}

brought_rows::brought_rows(communicator& all, const pool_inputs& local, std::span<const index_t> numbers,
                           const std::vector<index_t>& rows, const std::vector<float>& scores, parts needed,
                           parts shown) {
  std::vector<bool> labelled(std::size_t(local.rows));
  for (const index_t row : local.labelled) labelled[std::size_t(row)] = true;
  message_writer out;
  if (local.rows > 0) out.add(shape::of(local));
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const index_t row = rows[at];
    message_writer one;
    one.add(numbers[std::size_t(row)]).add(scores[at]).add(std::uint8_t(labelled[std::size_t(row)]));
    one.add(local.labels.empty() ? std::numeric_limits<float>::quiet_NaN() : local.labels[row]);
    if (!local.group.empty()) one.add(local.group[row]);
    if (!local.cost.empty()) one.add(local.cost[row]);
    for (const cost_column& cost : local.also_cost) one.add(cost.cost[row]);
    if (needed.has(part::embeddings))
      one.add_row(local.embeddings->row(row), std::size_t(local.embeddings->cols));
    if (needed.has(part::outputs)) add_row(one, *local.model, row);
    if (needed.has(part::committee))
      for (const real_matrix& member : local.committee->each()) add_row(one, member, row);
    if (needed.has(part::predictions))
      for (index_t m = 0; m < local.predictions->members; ++m)
        one.add_row(local.predictions->member(m).row(row), std::size_t(local.predictions->cols));
    out.add_all(one.bytes());
  }
  std::optional<shape> layout;
  std::vector<std::pair<index_t, std::vector<std::byte>>> brought;
  for (const auto& bytes : all.allgather(out.bytes())) {
    message_reader in(bytes);
    if (in.done()) continue;
    layout = in.value<shape>();
    while (!in.done()) {
      auto row = in.all<std::byte>();
      const auto number = message_reader(row).value<index_t>();
      brought.emplace_back(number, std::move(row));
    }
  }
  std::sort(brought.begin(), brought.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  view_.rows = index_t(brought.size());
  if (!layout) return;
  model_.begin(layout->format, needed.has(part::outputs) ? layout->classes : 0);
  if (needed.has(part::committee)) members_.resize(std::size_t(layout->members));
  for (raw_rows& member : members_) member.begin(layout->member_format, layout->member_classes);
  if (needed.has(part::predictions)) predictions_.resize(std::size_t(layout->predictors));
  also_cost_.resize(std::size_t(layout->also_cost));
  for (auto& [number, row] : brought) add(std::exchange(row, {}), *layout, needed);
  show(local, *layout, needed, shown);
}

void brought_rows::add(const std::vector<std::byte>& row, const shape& of, parts needed) {
  message_reader in(row);
  numbers_.push_back(in.value<index_t>());
  scores_.push_back(in.value<float>());
  if (in.value<std::uint8_t>() != 0) labelled_.push_back(index_t(numbers_.size()) - 1);
  labels_.push_back(in.value<float>());
  if (of.groups) group_.push_back(in.value<index_t>());
  if (of.costs) cost_.push_back(in.value<std::int64_t>());
  for (auto& cost : also_cost_) cost.push_back(in.value<std::int64_t>());
  const auto append = [&](std::vector<float>& to, index_t count) {
    to.resize(to.size() + std::size_t(count));
    in.row(to.data() + to.size() - count, std::size_t(count));
  };
  if (needed.has(part::embeddings)) append(embeddings_, of.features);
  std::vector<std::byte> raw(model_.row_bytes());
  in.row(raw.data(), raw.size());
  model_.add(raw.data());
  for (raw_rows& member : members_) {
    raw.resize(member.row_bytes());
    in.row(raw.data(), raw.size());
    member.add(raw.data());
  }
  for (auto& member : predictions_) append(member, of.predicted);
}

void brought_rows::show(const pool_inputs& local, const shape& of, parts needed, parts shown) {
  const index_t rows = view_.rows;
  view_.model_kind = of.kind;
  view_.committee_kind = of.member_kind;
  view_.queries = local.queries;
  view_.query_weights = local.query_weights;
  view_.private_rows = local.private_rows;
  view_.targets = local.targets;
  view_.cost_matrix = local.cost_matrix;
  view_.group_names = local.group_names;
  view_.labels = {labels_.data(), rows};
  view_.group = {group_.data(), index_t(group_.size())};
  view_.cost = {cost_.data(), index_t(cost_.size())};
  for (std::size_t c = 0; c < also_cost_.size(); ++c)
    view_.also_cost.push_back(
        {local.also_cost.size() > c ? local.also_cost[c].name : "", {also_cost_[c].data(), rows}});
  // One row that stands for all, of a part that nobody reads: outputs that are what their kind says.
  const auto blank_rows = [&](index_t cols, outputs kind) -> real_matrix {
    if (blank_.empty()) blank_.assign(std::size_t(std::max(of.classes, of.member_classes)), 0.0f);
    blank_[0] = kind == outputs::logits ? 2.0f : 0.5f;
    if (cols > 1) blank_[1] = kind == outputs::logits ? -1.0f : 0.5f;
    return matrix_view<const float>{blank_.data(), rows, cols, 0};
  };
  if (needed.has(part::outputs))
    view_.model = model_.view(rows);
  else if (shown.has(part::outputs) && of.classes > 0)
    view_.model = blank_rows(of.classes, of.kind);
  std::vector<real_matrix> members;
  for (const raw_rows& member : members_) members.push_back(member.view(rows));
  if (members.empty() && shown.has(part::committee))
    members.assign(std::size_t(of.members), blank_rows(of.member_classes, of.member_kind));
  if (!members.empty()) view_.committee = committee_outputs(std::move(members));
  if (embeddings_.empty() && shown.has(part::embeddings)) embeddings_.resize(std::size_t(rows * of.features));
  if (!embeddings_.empty()) view_.embeddings = matrix_view<const float>{embeddings_.data(), rows, of.features};
  if (!needed.has(part::predictions) && !shown.has(part::predictions)) return;
  for (const auto& member : predictions_)
    all_predictions_.insert(all_predictions_.end(), member.begin(), member.end());
  all_predictions_.resize(std::size_t(of.predictors * rows * of.predicted));
  view_.predictions = cube_view<const float>{all_predictions_.data(), of.predictors, rows, of.predicted};
}

}  // namespace poolwise
