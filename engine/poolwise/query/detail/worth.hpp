// Scores as factors of gains.
#pragma once

#include <algorithm>
#include <vector>

#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// The scores by which the rows of `x` were kept, for strategies that multiply by them; where some are
/// negative, by how much each exceeds the least. Empty where no score kept them.
inline std::vector<float> row_worths(const stage_input& x) {
  std::vector<float> worths(x.scores.begin(), x.scores.end());
  float least = 0;
  for (const float score : worths) least = std::min(least, score);
  for (float& score : worths) score -= least;
  return worths;
}

}  // namespace poolwise
