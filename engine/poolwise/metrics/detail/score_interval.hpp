// Wilson's interval of a share that weighted items gave, whose number is an effective one.
#pragma once

#include "poolwise/metrics/intervals.hpp"

namespace poolwise {

/// The z that a two-sided interval of this level reaches to.
double normal_quantile(double level);

/// `share` in [0, 1] of `trials` > 0, both real.
interval score_interval(double share, double trials, double quantile);

}  // namespace poolwise
