// The threshold of a top-k guessed from a sample, so that few rows but the best have to be kept.
#pragma once

#include <algorithm>
#include <cmath>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Rows 0, step, 2 step, ... are the sample; its rank-th best row in the total order is the threshold. Of so
/// even a sample the best k rows hold k / step on average with a deviation below its root, so a rank five
/// deviations above misses them in one of millions of pools, and rows in an order made to deceive can make it
/// miss always: who uses a guess counts the rows that came before it, and does without where they are too few.
struct top_k_guess {
  index_t step = 0;  ///< 0: a sample would not pay
  index_t rank = 0;
  index_t most = 0;  ///< rows before the threshold, with as wide a margin
};

inline top_k_guess guess_top_k(index_t rows, index_t k) {
  // A longer step saves sample and costs slack of the rank; past 1021 the sample is next to free.
  const index_t step = std::min<index_t>(1021, index_t(std::sqrt(double(rows) / 16)) | 1);
  const double expected = double(k) / double(step);
  const double rank = std::ceil(expected + 5 * std::sqrt(expected + 1) + 8);
  const double most = (rank + 6 * std::sqrt(rank) + 8) * double(step);
  if (k == 0 || step < 3 || most > double(rows) / 2) return {};
  return {step, index_t(rank), index_t(most)};
}

/// How many rows the sample has.
inline index_t sample_rows(index_t rows, const top_k_guess& guess) {
  return (rows + guess.step - 1) / guess.step;
}

}  // namespace poolwise
