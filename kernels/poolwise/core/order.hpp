// The one total order of Poolwise: higher score first, ties to the lower row.
#pragma once

#include "poolwise/core/types.hpp"

namespace poolwise {

/// A row and what it is worth.
struct candidate {
  index_t row = -1;
  float score = 0.0f;

  POOLWISE_HD friend bool operator==(const candidate&, const candidate&) = default;
};

/// Whether `a` is queried before `b`. Floating-point comparison makes -0 and +0 a tie, as it must.
/// A strict total order on distinct rows as long as no score is NaN; callers refuse NaN first.
POOLWISE_HD inline bool before(const candidate& a, const candidate& b) {
  return a.score > b.score || (a.score == b.score && a.row < b.row);
}

}  // namespace poolwise
