// How long the stages of a query will take.
#pragma once

#include <vector>

#include "poolwise/core/where.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {

struct time_estimate {
  double seconds = 0, least = 0, most = 0;
};

/// One for each stage, that of the first with the judging of all rows.
///
/// A stage is run alone, on few rows for few picks and then on more of both, each run some four times as long
/// as the one before, until about a second has gone or it has run as a whole. Times grow as powers of the
/// sizes: on the way by equal factors from small sizes to the whole they are a straight line of logarithms,
/// which is drawn on from the last two runs; the interval is that of the last slopes, and of a machine that is
/// not calm.
///
/// rows  [stages] that each is given
/// Empty where no probe meets a row that can be picked.
std::vector<time_estimate> stage_times(const where& on, const query& asked, const std::vector<index_t>& rows);

}  // namespace poolwise
