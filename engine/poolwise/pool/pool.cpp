#include "poolwise/pool/pool.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

std::vector<real_matrix> each_member(const real_cube& cube) {
  std::vector<real_matrix> members;
  std::visit(
      [&](auto c) {
        // Members of nothing cost no bytes in a file: there may be any number of them.
        constexpr index_t most_empty = 1 << 20;
        if (c.members == 0 || (c.rows * c.cols == 0 && c.members > most_empty))
          throw shape_error("committee outputs: have shape " + shape_text({c.members, c.rows, c.cols}) +
                            "; give at least one member, row and class");
        for (index_t m = 0; m < c.members; ++m) members.push_back(c.member(m));
      },
      cube);
  return members;
}

/// Refuses outputs that would be scored as something else than they are. Those of a committee are all alike.
void check_outputs(const std::string& what, std::span<const real_matrix> members, outputs kind) {
  const bool logits = kind == outputs::logits;
  if (cols_of(members.front()) == 1)
    throw shape_error(what + " have one column, as a binary model's; give two, " +
                      (logits ? "0 and z" : "1 - p and p"));
  if (logits && std::all_of(members.begin(), members.end(), are_probabilities))
    throw value_error(what +
                      " are given as logits, but are probabilities: all are 0 or more and each row sums to 1; "
                      "give them as probabilities, or their logarithms as logits");
}

void check_targets(const std::string& call, const committee_outputs& targets,
                   const committee_outputs& committee) {
  if (targets.members() != committee.members() || targets.cols() != committee.cols())
    throw shape_error(call + ": the targets are of " + std::to_string(targets.members()) + " members and " +
                      std::to_string(targets.cols()) + " classes but the committee has " +
                      std::to_string(committee.members()) + " and " + std::to_string(committee.cols()) +
                      "; give what the same members say of both");
  if (targets.rows() == 0) throw shape_error(call + ": there is no target; give at least one");
}

void check_cost_matrix(const std::string& call, matrix_view<const float> costs) {
  if (costs.rows != costs.cols || costs.rows == 0)
    throw shape_error(call + ": the cost matrix is [" + std::to_string(costs.rows) + ", " +
                      std::to_string(costs.cols) + "]; give a row and a column for each class");
  for (index_t y = 0; y < costs.rows; ++y)
    for (index_t d = 0; d < costs.cols; ++d)
      if (!(costs(y, d) >= 0 && std::isfinite(costs(y, d))))
        throw value_error(call + ": the cost of taking class " + std::to_string(y) + " for class " +
                          std::to_string(d) + " is " + std::to_string(costs(y, d)) +
                          "; give a finite cost of 0 or more");
}

/// Whether all values lie from 0 to 1, enough of them that logits would not do so by chance.
bool are_label_probabilities(const real_matrix& x) {
  constexpr index_t enough = 64;
  return std::visit(
      [](auto m) {
        bool undecided = false;
        for (index_t i = 0; i < m.rows; ++i)
          for (index_t c = 0; c < m.cols; ++c) {
            const float value = to_float(m(i, c));
            if (value < 0 || value > 1) return false;
            undecided |= value > 0 && value < 1;
          }
        return undecided && m.rows * m.cols >= enough;
      },
      x);
}

void check_label_outputs(const std::string& call, const real_matrix& x, outputs kind) {
  if (cols_of(x) == 0)
    throw shape_error(call + ": label outputs have rows of 0 columns; give at least one label");
  if (kind == outputs::logits && are_label_probabilities(x))
    throw value_error(call +
                      ": label outputs are given as logits, but all lie from 0 to 1 as probabilities do; give "
                      "them as probabilities, or ln(p / (1 - p)) as logits");
}

void check_label_sets(const std::string& call, const pool_inputs& pool) {
  const matrix_view<const float> sets = *pool.label_sets;
  if (pool.label_outputs && cols_of(*pool.label_outputs) != sets.cols)
    throw shape_error(call + ": label sets have " + std::to_string(sets.cols) +
                      " labels but label outputs have " + std::to_string(cols_of(*pool.label_outputs)) +
                      "; give one column for each label");
  for (const index_t row : pool.labelled) {
    if (row < 0 || row >= sets.rows) continue;  // refused with its reason elsewhere
    for (index_t c = 0; c < sets.cols; ++c)
      if (const float has = sets(row, c); has != 0 && has != 1 && has == has)
        throw value_error(call + ": label " + std::to_string(c) + " of labelled row " + std::to_string(row) +
                          " is " + std::to_string(has) +
                          "; give 1 where it has the label, 0 where not, NaN where "
                          "nobody knows");
  }
}

/// The axes of a committee as they may lie in the array of who made them, and how they come to lie as here.
const char* const other_axes =
    "numpy.moveaxis(x, -1, 0) of [rows, classes, members], x.swapaxes(0, 1) of [rows, members, classes]";

}  // namespace

void check_axes(const std::string& what, const committee_outputs& x, outputs kind) {
  if (!x.cube() || kind != outputs::probabilities || x.rows() == 0) return;
  std::visit(
      [&](auto m) {
        const auto is_one = [](double sum) { return std::abs(sum - 1) < 1e-2; };
        double row = 0;
        for (index_t c = 0; c < m.cols; ++c) row += double(to_float(m(0, c)));
        if (is_one(row)) return;
        for (index_t c = 0; c < m.cols; ++c) {
          double column = 0;
          for (index_t i = 0; i < m.rows; ++i) column += double(to_float(m(i, c)));
          if (!is_one(column)) return;
        }
        throw value_error(what +
                          " sum to 1 over the second axis, not over the last, which are rows and classes of "
                          "[members, rows, classes]; give " +
                          other_axes);
      },
      x.member(0));
}

std::string doubt_axes(const committee_outputs& x) {
  if (!x.cube() || x.members() <= x.rows()) return {};
  return "the committee is read as " + std::to_string(x.members()) + " members of " + std::to_string(x.rows()) +
         " rows and " + std::to_string(x.cols()) + " classes: if its axes are others, give " + other_axes;
}

bool are_probabilities(const real_matrix& x) {
  return std::visit(
      [](auto m) {
        const double rounding = sizeof(*m.data) == 4 ? 1e-3 : 1e-2;
        bool undecided = false;
        for (index_t i = 0; i < m.rows; ++i) {
          double sum = 0;
          bool negative = false, between = false;
          for (index_t c = 0; c < m.cols; ++c) {
            const float value = to_float(m(i, c));
            negative |= value < 0;
            between |= value > 0 && value < 1;
            sum += value;
          }
          if (sum != sum) continue;
          if (negative || std::abs(sum - 1) > rounding) return false;
          undecided |= between;
        }
        return undecided;
      },
      x);
}

std::string names_of(parts needed) {
  constexpr std::pair<part, const char*> all[] = {
      {part::outputs, "outputs"},         {part::committee, "committee"},
      {part::embeddings, "embeddings"},   {part::predictions, "predictions"},
      {part::queries, "queries"},         {part::labels, "labels"},
      {part::targets, "targets"},         {part::private_rows, "private"},
      {part::cost_matrix, "cost matrix"}, {part::label_outputs, "label outputs"},
      {part::label_sets, "label sets"}};
  std::string names;
  for (const auto& [one, name] : all)
    if (needed.has(one)) names += (names.empty() ? "" : ", ") + std::string(name);
  return names.empty() ? "nothing" : names;
}

committee_outputs::committee_outputs(const real_cube& cube) : members_(each_member(cube)), cube_(cube) {}

committee_outputs::committee_outputs(std::vector<real_matrix> members) : members_(std::move(members)) {
  if (members_.empty()) throw shape_error("committee outputs: there is no member; give at least one");
  const real_matrix& first = members_.front();
  for (std::size_t m = 1; m < members_.size(); ++m) {
    const real_matrix& other = members_[m];
    if (other.index() != first.index() || rows_of(other) != rows_of(first) || cols_of(other) != cols_of(first))
      throw shape_error("committee outputs: member " + std::to_string(m) + " has [" +
                        std::to_string(rows_of(other)) + ", " + std::to_string(cols_of(other)) +
                        "] values but member 0 has [" + std::to_string(rows_of(first)) + ", " +
                        std::to_string(cols_of(first)) +
                        "], or they differ in format; give all members in one shape and format");
  }
}

index_t committee_outputs::rows() const {
  return cube_ ? poolwise::rows_of(*cube_) : rows_of(members_.front());
}

index_t committee_outputs::cols() const { return cube_ ? cols_of(*cube_) : cols_of(members_.front()); }

bool pool_inputs::has(part one) const {
  if (one == part::outputs) return model.has_value();
  if (one == part::committee) return committee.has_value();
  if (one == part::embeddings) return embeddings.has_value();
  if (one == part::predictions) return predictions.has_value();
  if (one == part::labels) return !labels.empty() || labelled.empty();
  if (one == part::targets) return targets.has_value();
  if (one == part::cost_matrix) return cost_matrix.has_value();
  if (one == part::label_outputs) return label_outputs.has_value();
  if (one == part::label_sets) return label_sets.has_value() || labelled.empty();
  if (one == part::private_rows) return private_rows.has_value();
  return queries.has_value();
}

std::string pool_inputs::group_name(index_t number) const {
  const bool named = number < index_t(group_names.size());
  return "group " + (named ? printable(group_names[std::size_t(number)], 80) : std::to_string(number));
}

void pool_inputs::check(const char* call) const {
  if (rows == 0) throw value_error(std::string(call) + ": the pool is empty; give at least one row");
  const auto same = [&](const char* what, index_t got) {
    if (got != rows)
      throw shape_error(std::string(call) + ": " + what + " have " + std::to_string(got) +
                        " rows but the pool has " + std::to_string(rows) + "; give one row for each pool item");
  };
  if (model) same("model outputs", rows_of(*model));
  if (committee) same("committee outputs", committee->rows());
  if (embeddings) same("embeddings", embeddings->rows);
  if (predictions) same("predictions", predictions->rows);
  if (!labels.empty()) same("labels", labels.size);
  if (label_outputs) same("label outputs", rows_of(*label_outputs));
  if (label_sets) same("label sets", label_sets->rows);
  if (ids != nullptr && !ids->numbered()) same("ids", ids->size());
  // Rows of nothing cost no bytes in a file: there may be more of them than any memory has room for.
  const auto some = [&](const char* what, index_t got) {
    if (got == 0)
      throw shape_error(std::string(call) + ": " + what + " have rows of 0 columns; give at least one column");
  };
  if (model) some("model outputs", cols_of(*model));
  if (committee) some("committee outputs", committee->cols());
  if (embeddings) some("embeddings", embeddings->cols);
  if (predictions) some("predictions", predictions->cols);
  const std::string name(call);
  if (model) check_outputs(name + ": model outputs", {&*model, 1}, model_kind);
  if (committee) check_axes(name + ": committee outputs", *committee, committee_kind);
  if (committee) check_outputs(name + ": committee outputs", committee->each(), committee_kind);
  if (targets && committee) check_targets(name, *targets, *committee);
  if (targets) check_outputs(name + ": target outputs", targets->each(), committee_kind);
  if (cost_matrix) check_cost_matrix(name, *cost_matrix);
  if (label_outputs) check_label_outputs(name, *label_outputs, label_kind);
  if (label_sets) check_label_sets(name, *this);
}

void exclude_others(std::span<const index_t> candidates, index_t rows, std::vector<index_t>& excluded) {
  std::vector<bool> spoken_for(std::size_t(std::max<index_t>(0, rows)));
  for (const index_t row : candidates) {
    if (row < 0 || row >= rows)
      throw value_error("candidates: row " + std::to_string(row) + " is not in the pool, which has rows 0 to " +
                        std::to_string(rows - 1));
    spoken_for[std::size_t(row)] = true;
  }
  for (const index_t row : excluded)
    if (row >= 0 && row < rows) spoken_for[std::size_t(row)] = true;
  for (index_t row = 0; row < rows; ++row)
    if (!spoken_for[std::size_t(row)]) excluded.push_back(row);
}

}  // namespace poolwise
