// Scores as factors of gains.
#pragma once

#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// The scores by which the rows were kept, for the strategy `name`, which multiplies by them.
/// throws value_error for a negative one.
inline vector_view<const float> worth_of(const stage_input& x, const char* name) {
  for (const float score : x.scores)
    if (score < 0)
      throw value_error(std::string(name) + ": multiplies by the score of a row, and got " +
                        std::to_string(score) + "; rank by one that is never negative, such as margin");
  return x.scores;
}

}  // namespace poolwise
