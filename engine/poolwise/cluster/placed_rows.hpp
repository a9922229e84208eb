// Rows that are numbered rank after rank.
#pragma once

#include "poolwise/cluster/communicator.hpp"
#include "poolwise/core/types.hpp"

namespace poolwise {

/// Where the rows of a rank stand among those of all.
struct placed_rows {
  index_t first = 0;  ///< the number of this rank's first row
  index_t all = 0;
};

/// Behind the rows of all lower ranks: every rank calls it with how many it has. One exchange.
placed_rows place_rows(communicator& all, index_t rows);

}  // namespace poolwise
