// The protocol of Lu, Cheng, Li & Lin 2023, "Re-Benchmarking Pool-Based Active Learning for Binary
// Classification" (arXiv 2306.08954), down to its random draws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/files/table.hpp"
#include "poolwise/metrics/metrics.hpp"

namespace poolwise {

struct lu2023_models {
  std::string query = "svm", task = "svm";  ///< as make_binary_classifier names them
};

inline constexpr index_t lu2023_initial = 20;

/// The rows of one seed: 60 % train and 40 % test in the order of numpy's shuffle, and the places within
/// `train` of the first labels, ascending.
struct lu2023_split {
  std::vector<index_t> train, test, initial;
};
lu2023_split split_lu2023(index_t rows, std::uint64_t seed);

/// Why the protocol leaves this seed out: its initial labels miss a class. None: it does not.
std::optional<std::string> lu2023_skips(const labelled_table& data, std::uint64_t seed);

/// One label a round until the pool is empty. Features are standardised by the training part's mean and
/// standard deviation; a constant one becomes 0. The accuracy is the task model's on the test part, refitted
/// after each label on the labelled rows in ascending order of their place in the shuffled training part.
///
/// strategy  "margin": the least |decision value| of the query model; "random"; "kcenter": Core-Set, on the
///           standardised features. Ties go to the lower place.
/// throws    value_error for other strategies, a skipped seed, and as require_lu2023.
learning_curve run_lu2023(const labelled_table& data, const lu2023_models& models, const std::string& strategy,
                          std::uint64_t seed);

/// The protocol needs two classes, and a training part of at least the 20 initial labels and two queries.
/// throws value_error that names `file`.
void require_lu2023(const labelled_table& data, const std::string& file);

}  // namespace poolwise
