// What is known of a pool's rows: named parts, one entry a row.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/bit_set.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/files/ids.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

/// The parts that a strategy may need.
enum class part : unsigned {
  outputs = 1,          ///< logits or probabilities, [rows, classes]
  committee = 2,        ///< the same of several members, [members, rows, classes]
  embeddings = 4,       ///< features, [rows, features]
  predictions = 8,      ///< of regressors, [members, rows, outputs]
  queries = 16,         ///< embeddings that picks are to be like, [queries, features]
  labels = 32,          ///< of the labelled rows; none where no row is labelled
  targets = 64,         ///< the committee's outputs for rows to be predicted, [members, targets, classes]
  private_rows = 128,   ///< embeddings that picks are to be unlike, [private rows, features]
  cost_matrix = 256,    ///< of mistakes, [classes, classes]
  label_outputs = 512,  ///< logits or probabilities of labels that are independent, [rows, labels]
  label_sets = 1024,    ///< which of these the labelled rows have; none where no row is labelled
};

using parts = bit_set<part>;
constexpr parts operator|(part a, part b) { return parts(a) | b; }

/// Their names, such as "outputs, embeddings"; "nothing" for none.
std::string names_of(parts needed);

/// The outputs of a committee, in one array or in one a member.
class committee_outputs {
 public:
  template <class T>
  committee_outputs(cube_view<const T> cube) : committee_outputs(real_cube(cube)) {}
  committee_outputs(const real_cube& cube);

  /// Members that lie apart from each other. throws shape_error for no member, or unless all have the shape and
  /// the format of the first.
  explicit committee_outputs(std::vector<real_matrix> members);

  index_t members() const { return index_t(members_.size()); }
  index_t rows() const;
  index_t cols() const;
  const real_matrix& member(index_t m) const { return members_[std::size_t(m)]; }
  std::span<const real_matrix> each() const { return members_; }
  /// All members in one array, where they lie so.
  const std::optional<real_cube>& cube() const { return cube_; }

 private:
  std::vector<real_matrix> members_;
  std::optional<real_cube> cube_;
};

/// Whether all rows without a NaN are what a softmax leaves, no value negative and a sum of 1, and some of them
/// undecided: rows of logits are never all like that. Reads to the first row that is none.
bool are_probabilities(const real_matrix& x);

/// What rows cost of something else than what `pool_inputs::cost` counts: hours, say.
struct cost_column {
  std::string name;
  vector_view<const std::int64_t> cost;  ///< [rows] in the smallest unit, >= 0
};

/// Refuses probabilities of a committee that are those of [rows, classes, members]: they sum to 1 over the
/// second axis, not over the last. throws value_error that begins with `what`. Reads one member.
void check_axes(const std::string& what, const committee_outputs& x, outputs kind);

/// A sentence where one array has more members than rows, which its axes swapped would explain; else empty.
std::string doubt_axes(const committee_outputs& x);

/// What is known of a pool: views in host memory, which the caller keeps. All parts that are there have `rows`
/// rows.
struct pool_inputs {
  index_t rows = 0;
  std::optional<real_matrix> model;  ///< [rows, classes]
  outputs model_kind = outputs::logits;
  std::optional<committee_outputs> committee;  ///< [members, rows, classes]
  outputs committee_kind = outputs::logits;
  std::optional<matrix_view<const float>> embeddings;    ///< [rows, features]
  std::optional<cube_view<const float>> predictions;     ///< [members, rows, outputs]
  std::optional<matrix_view<const float>> queries;       ///< [queries, features], not of the pool
  vector_view<const float> query_weights = {};           ///< [queries], what each counts for; empty for 1
  std::optional<matrix_view<const float>> private_rows;  ///< [private rows, features], not of the pool
  /// [rows], the class of each labelled row, from 0, or its value; NaN where nobody knows it. What it says of
  /// other rows is not looked at.
  vector_view<const float> labels = {};
  /// [members, targets, classes], of committee_kind, not of the pool.
  std::optional<committee_outputs> targets;
  /// [classes, classes] what it costs to take an item of class `row` for one of class `column`.
  std::optional<matrix_view<const float>> cost_matrix;
  /// [rows, labels] of a model whose labels are independent (multi-label): a sigmoid each, not one softmax.
  std::optional<real_matrix> label_outputs;
  outputs label_kind = outputs::logits;
  /// [rows, labels] 1 where a labelled row has the label, 0 where it has not, NaN where nobody knows. What it
  /// says of other rows is not looked at.
  std::optional<matrix_view<const float>> label_sets;

  std::span<const index_t> labelled = {};     ///< rows that have a label: never picked
  std::span<const index_t> excluded = {};     ///< rows that must not be picked
  vector_view<const std::int64_t> cost = {};  ///< [rows] in the smallest unit, >= 0; empty: no row has a price
  std::vector<cost_column> also_cost = {};    ///< further costs, by name
  vector_view<const index_t> group = {};      ///< [rows], numbered from 0; empty: no row has a group
  std::span<const std::string> group_names = {};  ///< [groups], for messages; empty for their numbers
  const row_ids* ids = nullptr;                   ///< what rows are called elsewhere; null for their numbers

  bool has(part one) const;
  std::string group_name(index_t number) const;
  std::string id(index_t row) const { return ids != nullptr ? (*ids)[row] : std::to_string(row); }

  /// throws, in the name of `call`, shape_error naming the part whose rows differ, or for outputs of one
  /// column; value_error for an empty pool, for logits that are probabilities, for label sets of something else
  /// than 0 and 1, or as check_axes. Reads logits until a row is none.
  void check(const char* call) const;
};

/// Appends to `excluded` the rows of a pool that are not among `candidates`, and not there already.
/// throws value_error for a candidate that is no row.
void exclude_others(std::span<const index_t> candidates, index_t rows, std::vector<index_t>& excluded);

}  // namespace poolwise
