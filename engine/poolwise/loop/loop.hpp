// The loop of pool-based active learning, with an oracle that knows every label.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/learn/learner.hpp"
#include "poolwise/metrics/metrics.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {

/// A pool whose labels are known to the oracle, and a held-out test set. The features are also the
/// embeddings that diverse strategies compare.
struct labelled_pool {
  matrix_view<const float> pool, test;                       ///< [rows, features]
  vector_view<const std::int32_t> pool_labels, test_labels;  ///< [rows] in [0, classes)
};

struct loop_schedule {
  index_t initial = 100;  ///< labels before the first round, drawn uniformly
  index_t batch = 100;    ///< labels a round
  index_t rounds = 20;
  bool by_class = false;  ///< `initial` of each class, instead of all in all
};

struct round_record {
  index_t labels = 0;           ///< labelled so far, the model's training set
  double accuracy = 0;          ///< of that model on the test set
  std::vector<index_t> picked;  ///< labelled next, in the order of the query; none in the last record
  double train_seconds = 0, score_seconds = 0, select_seconds = 0;
};

struct loop_run {
  std::vector<round_record> rounds;  ///< rounds + 1 of them
  learning_curve curve() const;
};

/// The uniform sample of `count` of `rows` that every strategy starts from under `seed`; ascending.
std::vector<index_t> initial_rows(index_t rows, index_t count, std::uint64_t seed);

/// Such a sample of `count` rows of each class; ascending. throws value_error where a class has fewer, or
/// for a label outside [0, classes).
std::vector<index_t> initial_rows_by_class(vector_view<const std::int32_t> labels, index_t classes,
                                           index_t count, std::uint64_t seed);

/// Runs: label the initial rows; then fit, test, query a batch, label it, again. `seen` is called after each
/// round. Scoring time is the learner's prediction of the pool and the ranking of it.
/// throws  value_error if the pool is smaller than the schedule needs, or the strategy needs a committee and
///         the learner is none; what the learner and `select` throw.
loop_run run_loop(const where& on, const labelled_pool& data, learner& model, const strategy& what,
                  const loop_schedule& schedule, std::uint64_t seed,
                  const std::function<void(const round_record&)>& seen = {});

}  // namespace poolwise
